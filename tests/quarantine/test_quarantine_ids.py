import pytest
from hypothesis import given
from hypothesis import strategies as st
from quarantine_kit import HOSTILE

from relay.quarantine.ids import NoSuchEntry, day_of, is_id, new_id, time_of


@given(st.floats(0, 253_402_300_799))
def test_an_identifier_tells_its_time(at: float) -> None:
    made = new_id(at)
    assert abs(time_of(made) - at) <= 0.001
    assert is_id(made)
    assert len(day_of(time_of(made))) == 10


@given(st.integers(0, 2**40), st.integers(0, 2**40))
def test_identifiers_sort_by_time(one: int, other: int) -> None:
    first, second = sorted((one, other))
    if first != second:
        assert new_id(first / 1000 + 0.0001) < new_id(second / 1000 + 0.0001)


def test_identifiers_of_one_moment_differ() -> None:
    assert len({new_id(1.0) for _ in range(1000)}) == 1000


@pytest.mark.parametrize("name", HOSTILE)
def test_what_is_not_an_identifier(name: str) -> None:
    assert not is_id(name)
    with pytest.raises(NoSuchEntry):
        time_of(name)


@given(st.text())
def test_no_text_breaks_it(name: str) -> None:
    assert not is_id(name) or len(name) == 26

import base64
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

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


@given(st.floats(0, 253_402_300_799))
def test_the_head_is_the_time_in_base32(at: float) -> None:
    naive = base64.b32hexencode(int(at * 1000).to_bytes(6) + bytes(10)).decode().lower()
    assert new_id(at)[:10] == naive[:10]


def test_identifiers_of_one_moment_differ() -> None:
    with ThreadPoolExecutor(4) as threads:
        made = list(threads.map(new_id, [1.0] * 5000))
    assert len(set(made)) == 5000
    assert {character for entry_id in made for character in entry_id[10:]} == set("0123456789abcdefghijklmnopqrstuv")


def test_a_forked_process_has_identifiers_of_its_own() -> None:
    code = (
        "import os; from relay.quarantine.ids import new_id; new_id(1.0); os.fork() and os.wait(); "
        "print(*(new_id(1.0) for _ in range(100)))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert len(set(ran.stdout.split())) == 200


@pytest.mark.parametrize("name", HOSTILE)
def test_what_is_not_an_identifier(name: str) -> None:
    assert not is_id(name)
    with pytest.raises(NoSuchEntry):
        time_of(name)


@given(st.text())
def test_no_text_breaks_it(name: str) -> None:
    assert not is_id(name) or len(name) == 26

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.headers.edits import Prepend, Remove, apply


@pytest.mark.parametrize(
    ("head", "edits", "pieces"),
    [
        (b"", [], []),
        (b"", [Prepend(b"A\r\n")], [b"A\r\n"]),
        (b"abc", [], [b"abc"]),
        (b"abc", [Prepend(b"1"), Prepend(b"2")], [b"1", b"2", b"abc"]),
        (b"abcdef", [Remove(4, 5), Prepend(b"1"), Remove(0, 2)], [b"1", b"cd", b"f"]),
        (b"abcdef", [Remove(0, 6)], []),
        (b"abcdef", [Remove(1, 4), Remove(2, 3)], [b"a", b"ef"]),
        (b"abcdef", [Remove(1, 4), Remove(2, 3), Remove(3, 5)], [b"a", b"f"]),
    ],
)
def test_edits_by_span(head, edits, pieces):
    assert apply(head, edits) == pieces
    assert apply(memoryview(head), tuple(edits)) == pieces


@given(st.binary(max_size=30), st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), max_size=5))
def test_what_is_not_cut_stays(head, spans):
    cuts = [Remove(min(span), max(span)) for span in spans]
    kept = bytes(byte for at, byte in enumerate(head) if not any(cut.start <= at < cut.end for cut in cuts))
    assert b"".join(apply(head, cuts)) == kept

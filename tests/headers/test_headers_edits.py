import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.headers.edits import cut


@pytest.mark.parametrize(
    ("spans", "pieces", "rest"),
    [
        ([], [], 0),
        ([(0, 6)], [], 6),
        ([(4, 5), (0, 2)], [b"cd"], 5),
        ([(1, 4), (2, 3)], [b"a"], 4),
        ([(1, 4), (2, 3), (3, 5)], [b"a"], 5),
        ([(1, 2), (2, 3)], [b"a"], 3),
    ],
)
def test_cuts_by_span(spans, pieces, rest):
    assert cut(b"abcdef", spans) == (pieces, rest)
    assert cut(memoryview(b"abcdef"), iter(spans)) == (pieces, rest)


@given(st.binary(max_size=30), st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), max_size=5))
def test_what_is_not_cut_stays(message, spans):
    spans = [(min(*span, len(message)), min(max(span), len(message))) for span in spans]
    kept = bytes(byte for at, byte in enumerate(message) if not any(start <= at < end for start, end in spans))
    pieces, rest = cut(message, spans)
    assert b"".join(pieces) + message[rest:] == kept
    assert all(pieces)

import itertools

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from relay.delivery.sender import BATCH, batched, bdat_pieces, data_pieces

CONTENT = st.lists(st.sampled_from([b"\r\n", b".", b"..", b"\r", b"\n", b"a", b"\0", b"\r\n.\r\n"]), max_size=30).map(
    b"".join
)


def cut(data, content):
    cuts = sorted(data.draw(st.lists(st.integers(0, len(content)), max_size=30)))
    return [content[a:b] for a, b in zip([0, *cuts], [*cuts, len(content)], strict=True)]


def unstuffed(wire):
    """What a server reads that ends only at CRLF.CRLF, and what is left behind it; line by line, unlike the sender."""
    content, rest = b"", wire
    while True:
        line, end, rest = rest.partition(b"\r\n")
        assert end, "the body has no end"
        if line == b".":
            return content, rest
        content += (line[1:] if line.startswith(b".") else line) + end


@given(CONTENT, st.data())
@example(b"\r\n.\r\n", None)
def test_data_arrives_as_it_was_however_it_is_cut(content, data):
    pieces = cut(data, content) if data else [content[at : at + 1] for at in range(len(content))]
    ended = content if content.endswith(b"\r\n") or not content else content + b"\r\n"
    assert unstuffed(b"".join(data_pieces(pieces))) == (ended, b"")


@given(CONTENT.filter(lambda content: b"\r\n." not in b"\r\n" + content), st.data())
def test_what_has_no_dot_at_the_start_of_a_line_is_the_same_without_looking(content, data):
    pieces = cut(data, content)
    assert b"".join(data_pieces(pieces, dotted=False)) == b"".join(data_pieces(pieces))


def test_content_that_needs_no_stuffing_is_not_copied():
    piece = b"x" * 1000 + b"\r\n"
    assert next(iter(data_pieces([piece]))) is piece
    large = b"z" * BATCH
    assert list(batched([b"a", large, b"b"]))[1] is large


@given(CONTENT, st.data())
def test_bdat_is_the_very_content(content, data):
    wire = b"".join(bdat_pieces(cut(data, content), len(content)))
    assert wire == b"BDAT %d LAST\r\n" % len(content) + content


@pytest.mark.parametrize("wrong", [-1, 1])
def test_bdat_of_another_size_is_an_error_and_never_too_long(wrong):
    sent = bytearray()
    wire = bdat_pieces([b"ab", b"cd"], 4 + wrong)
    assert next(wire) == b"BDAT %d LAST\r\n" % (4 + wrong)
    with pytest.raises(ValueError, match="not"):
        sent.extend(itertools.chain.from_iterable(wire))
    assert len(sent) <= 4 + wrong


@given(st.lists(st.integers(0, 2 * BATCH), max_size=12))
def test_batches_are_the_same_bytes(sizes):
    pieces = [bytes([index]) * size for index, size in enumerate(sizes)]
    batches = list(batched(pieces))
    assert b"".join(batches) == b"".join(pieces)
    assert all(len(a) + len(b) > BATCH for a, b in itertools.pairwise(batches))

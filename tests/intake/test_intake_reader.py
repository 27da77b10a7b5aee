"""Bodies: any content, any cut of the wire; and no end of data but CRLF.CRLF."""

import itertools

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from relay.intake.reader import ChunkReader, DataReader, LineAudit

PIECES = st.lists(
    st.sampled_from([b"\r\n", b".", b"\r", b"\n", b"a", b"..", b"\0", b"\r\n.\r", b"\r\n.."]), max_size=12
)
CUTS = st.lists(st.integers(0, 100), max_size=8)


def pieces_of(wire, cuts):
    edges = [0, *sorted(cut % (len(wire) + 1) for cut in cuts), len(wire)]
    return [wire[start:end] for start, end in itertools.pairwise(edges) if start < end]


def read(reader, wire, cuts=()):
    """Content and rest, None while there is no end."""
    content = []
    pieces = pieces_of(wire, cuts)
    for number, piece in enumerate(pieces):
        content.append(reader.feed(piece))
        if reader.done:
            return b"".join(content), reader.rest + b"".join(pieces[number + 1 :])
    return b"".join(content), None


def stuffed(content):
    """The wire form by the letter of RFC 5321 section 4.5.2, line by line."""
    lines = content.split(b"\r\n")
    return b"\r\n".join(b"." + line if line.startswith(b".") else line for line in lines)


@given(PIECES.map(b"".join) | st.binary(max_size=60), CUTS, st.binary(max_size=10))
@example(b"", [], b"")
@example(b"\r\n", [1, 2, 3, 4], b".\r\n")
def test_any_content_any_cut(body, cuts, behind):
    content = body if body.endswith(b"\r\n") or not body else body + b"\r\n"
    wire = stuffed(content) + b".\r\n" + behind
    assert read(DataReader(), wire, cuts) == (content, behind)
    assert read(DataReader(), wire, range(1, len(wire))) == (content, behind)


def parsed_by_the_letter(wire):
    """DATA, one byte after the other."""
    content, at, start = b"", 0, True
    while at < len(wire):
        if start and wire.startswith(b".\r\n", at):
            return content, wire[at + 3 :]
        if start and wire.startswith(b".", at):
            at += 1
            start = False
            continue
        content += wire[at : at + 1]
        at += 1
        start = content.endswith(b"\r\n") and wire[at - 2 : at] == b"\r\n"
    return content, None


@given(PIECES.map(b"".join), CUTS)
def test_any_wire_like_a_reader_that_looks_at_every_byte(wire, cuts):
    expected, rest = parsed_by_the_letter(wire)
    content, got_rest = read(DataReader(), wire, cuts)
    assert got_rest == rest
    if rest is None:
        assert expected.startswith(content)  # a dot at the very end may be held
    else:
        assert content == expected


SMUGGLING = [
    b"\n.\n", b"\n.\r\n", b"\r.\r", b"\r.\r\n", b"\r\n.\r", b"\r\n.\n", b"\r\n.\r\r\n", b"\r\r\n.\r\r\n",
    b"\r\n\0.\r\n", b"\r\n.\0\r\n", b"\n\n.\r\n", b"\r\n\n.\r\n", b"\n\r.\n\r", b"\r\n.\r\0\n",
    b"\x85.\x85", b"\r\n. \r\n", b"\r\n .\r\n", b"\n.\r", b"\r.\n", b"\r\r.\r\r", b"\r\n.\x0b\n",
    b"\r\n..\r\n", b"\r\n.\xc2\x85", b"\x00\r.\r\n", b"\r\n.\r\xc2\x8a",
]  # fmt: skip


@pytest.mark.parametrize("sequence", SMUGGLING)
def test_nothing_else_ends_data(sequence):
    evil = b"MAIL FROM:<evil@x.example>\r\nRCPT TO:<a@b.example>\r\nDATA\r\nevil\r\n"
    wire = b"Subject: x\r\n\r\ninnocent" + sequence + evil
    for cuts in ((), range(1, len(wire))):
        content, rest = read(DataReader(), wire, cuts)
        assert rest is None
        assert b"evil@x.example" in content
    content, rest = read(DataReader(), wire + b".\r\n")
    assert rest == b""
    assert content.endswith(evil)


@given(PIECES.map(b"".join) | st.binary(max_size=60), CUTS)
def test_audit_counts_across_cuts(content, cuts):
    audit = LineAudit()
    for piece in pieces_of(content, cuts):
        audit.feed(piece)
    without = content.replace(b"\r\n", b"")
    assert audit.bare == (b"\r" in without or b"\n" in without)
    assert audit.nul == (b"\0" in content)


@given(PIECES.map(b"".join), CUTS)
def test_a_reader_that_saw_no_dot_at_the_start_of_a_line_gave_none(wire, cuts):
    reader = DataReader()
    content, _ = read(reader, wire, cuts)
    if not reader.dotted:
        assert b"\r\n." not in b"\r\n" + content
    elif len(wire) < 100 and not cuts:
        assert b"\r\n." in b"\r\n" + wire


@pytest.mark.parametrize("cuts", [(), range(1, 40)])
@pytest.mark.parametrize(("wire", "dotted"), [(b"a.b\r\nc\r\n.\r\n", False), (b"a\r\n..\r\n.\r\n", True)])
def test_the_end_of_the_data_is_no_dot_of_the_content(wire, dotted, cuts):
    reader = DataReader()
    read(reader, wire, cuts)
    assert reader.done
    assert reader.dotted == dotted


def test_nobody_looks_for_dots_in_a_chunk():
    assert ChunkReader(1).dotted


@given(st.binary(max_size=100), st.integers(0, 100), CUTS)
def test_chunks_are_taken_by_their_size(wire, size, cuts):
    reader = ChunkReader(size)
    if size == 0:
        assert reader.done
        return
    content, rest = read(reader, wire, cuts)
    if len(wire) < size:
        assert (content, rest) == (wire, None)
    else:
        assert (content, rest) == (wire[:size], wire[size:])


def test_a_body_of_dots_is_read_in_large_pieces():
    wire = b"..\r\n" * 100_000
    reader = DataReader()
    assert reader.feed(wire) == b".\r\n" * 100_000


def test_a_body_without_dots_is_not_copied():
    wire = b"x" * 1000 + b"\r\n"
    assert DataReader().feed(wire) is wire

"""Command lines out of the wire, however it is cut up."""

import itertools
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.errors import Refused
from relay.intake.reader import ChunkReader
from relay.intake.transfer import receive
from relay.intake.wire import Inbox


def taken(wire, cuts, limit=100):
    """What comes of `wire` when it arrives in the pieces that `cuts` make of it: lines, and a code for each refusal."""
    inbox, result = Inbox(), []
    edges = [0, *sorted(cut % (len(wire) + 1) for cut in cuts), len(wire)]
    for start, end in itertools.pairwise(edges):
        if start < end:
            inbox.put(wire[start:end])
        while True:
            try:
                line = inbox.line(limit)
            except Refused as error:
                result.append(error.reply.code)
                continue
            if line is None:
                break
            result.append(line)
    return result, inbox


@given(
    st.lists(st.sampled_from([b"a", b"\r", b"\n", b"\r\n", b"\0", b"NOOP\r\n", b"x" * 60])).map(b"".join),
    st.lists(st.integers(0, 2000), max_size=12),
)
def test_cutting_the_wire_changes_nothing(wire, cuts):
    whole, inbox = taken(wire, [])
    assert taken(wire, cuts)[0] == whole
    assert inbox.size == sum(map(len, inbox._chunks)) - inbox._at


@given(st.binary(max_size=300), st.lists(st.integers(0, 400), max_size=6))
def test_one_answer_for_each_crlf_and_never_for_a_bare_lf(wire, cuts):
    result, _ = taken(wire + b"\r\n", cuts)
    pieces = (wire + b"\r\n").split(b"\r\n")[:-1]
    expected = [500 if set(piece) & set(b"\r\n\0") or len(piece) > 100 else piece for piece in pieces]
    assert result == expected


@pytest.mark.parametrize(
    ("wire", "result"),
    [
        (b"", []),
        (b"A", []),
        (b"A\r", []),
        (b"A\n", [500]),
        (b"A\nB\nC\r\nD\r\n", [500, b"D"]),
        (b"A\r\r\n", [500]),
        (b"\r\n", [b""]),
        (b"x" * 100 + b"\r\n", [b"x" * 100]),
        (b"x" * 101 + b"\r\n", [500]),
        (b"x" * 200, [500]),
        (b"x" * 200 + b"\r\nNOOP\r\n", [500, b"NOOP"]),
    ],
)
def test_lines(wire, result):
    assert taken(wire, [])[0] == result
    assert taken(wire, range(1, len(wire)))[0] == result


@given(st.lists(st.binary(min_size=1, max_size=2000)), st.integers(0, 50))
def test_chunks_give_back_all_bytes(chunks, back):
    inbox = Inbox()
    for chunk in chunks:
        inbox.put(chunk)
    assert inbox.size == sum(map(len, chunks))
    result = b""
    while (chunk := inbox.chunk()) is not None:
        if back and len(chunk) > back:
            inbox.unread(chunk[back:])
            chunk = chunk[:back]
        result += chunk
        back //= 2
    assert (result, inbox.size) == (b"".join(chunks), 0)


def test_a_small_chunk_leaves_the_rest_as_it_is():
    inbox, arrived = Inbox(), b"x" * 200_000
    inbox.put(arrived)
    for _ in range(100):
        assert inbox.chunk(3) == b"xxx"
        assert inbox._chunks[0] is arrived
    assert inbox.size == 199_700
    assert inbox.chunk() == b"x" * 199_700


async def test_a_small_bdat_does_not_copy_what_is_behind_it():
    inbox, arrived = Inbox(), b"x" * 200_000
    inbox.put(arrived)
    await receive(SimpleNamespace(inbox=inbox), ChunkReader(1), None, 1.0, 1.0)
    assert inbox._chunks[0] is arrived
    assert inbox.size == 199_999


def test_small_arrivals_are_joined():
    inbox = Inbox()
    for _ in range(20_000):
        inbox.put(b"x")
    assert len(inbox._chunks) < 10

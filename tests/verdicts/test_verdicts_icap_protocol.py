import asyncio
import itertools

import pytest
from doubles.fed import fed
from hypothesis import given
from hypothesis import strategies as st

from verdicts.protocols.icap import (
    Body,
    Encapsulated,
    Head,
    encapsulated,
    equal,
    read_head,
    split,
    threats,
    write_chunks,
)

pieces = st.lists(st.binary(max_size=30), max_size=6)
cuts = st.lists(st.integers(0, 10_000), max_size=10)
BODY = Encapsulated(0, body=True)


async def read_all(connection, follows=BODY):
    body = Body(connection, follows)
    return b"".join([piece async for piece in _pieces(body)])


async def _pieces(body):
    while piece := await body.read():
        yield piece


@given(pieces, cuts)
def test_chunks_that_are_written_are_read(pieces, cuts):
    async def there_and_back():
        with fed(b"head" + b"".join(write_chunks(pieces)) + b"0\r\n\r\nbehind", cuts) as connection:
            assert await read_all(connection, Encapsulated(4, body=True)) == b"".join(pieces)
            assert await connection.rest(100) == b"behind"

    asyncio.run(there_and_back())


@given(st.binary(max_size=40), cuts)
def test_any_bytes_are_chunks_or_an_error(content, cuts):
    async def read():
        with fed(content, cuts) as connection:
            try:
                assert len(await read_all(connection)) <= len(content)
            except (OSError, ValueError):
                return

    asyncio.run(read())


@pytest.mark.parametrize(
    "wrong",
    [
        b"", b"0\r\n", b"\r\n\r\n", b"g\r\n", b"-1\r\n", b"0x1\r\na\r\n0\r\n\r\n", b"+1\r\na\r\n0\r\n\r\n",
        b"1 1\r\na\r\n0\r\n\r\n", b"2\r\nabc\r\n0\r\n\r\n", b"2\r\na\r\n0\r\n\r\n", b"1\na\n0\n\n", b"1\r\na0\r\n\r\n",
        b"100000000\r\n", b"1\r\na\r\n", b"0\r\n" + b"a: b\r\n" * 1_000, b" 1\r\na\r\n0\r\n\r\n", b"1_1\r\n",
        "\u0661\r\na\r\n0\r\n\r\n".encode(),
    ],
)  # fmt: skip
async def test_wrong_chunks(wrong):
    with fed(wrong) as connection, pytest.raises((OSError, ValueError)):
        await read_all(connection)


async def test_chunks_may_have_extensions_and_a_trailer():
    with fed(b'1;a="b"\r\nx\r\n00 ; ieof\r\nTrailer: y\r\n\r\n') as connection:
        assert await read_all(connection) == b"x"


@given(pieces, pieces, st.booleans())
def test_equal_is_told_whatever_the_pieces(theirs, ours, same):
    ours = [b"".join(theirs)] if same else ours

    async def compare():
        with fed(b"".join(write_chunks(theirs)) + b"0\r\n\r\n") as connection:
            return await equal(Body(connection, BODY), iter(ours))

    assert asyncio.run(compare()) == (b"".join(theirs) == b"".join(ours))


@given(pieces, st.integers(0, 100))
def test_split_is_at_the_size_and_says_whether_more_comes(pieces, size):
    whole = b"".join(pieces)
    first, rest = asyncio.run(split(pieces, size))
    assert first == whole[:size]
    assert (rest is None) == (len(whole) <= size)
    assert first + b"".join(rest or ()) == whole


async def head_of(text):
    with fed(text) as connection:
        return await read_head(connection)


async def test_heads():
    text = b'ICAP/1.0 200 OK\r\nISTag: "x"\r\nA: 1\r\nX-Violations-Found: 1\r\n\ta.com\r\n\tEicar\r\na: 2\r\nE:\r\n\r\n'
    assert await head_of(text) == Head(
        200, {"istag": '"x"', "a": "1\n2", "x-violations-found": "1\na.com\nEicar", "e": ""}
    )
    assert (await head_of(b"ICAP/1.0 204\r\n\r\n")).status == 204


@pytest.mark.parametrize(
    "wrong",
    [
        b"", b"\r\n", b"HTTP/1.1 200 OK\r\n\r\n", b"ICAP/1.0 99 OK\r\n\r\n", b"ICAP/1.0 2000 OK\r\n\r\n",
        b"ICAP/1.0 200 OK\r\n a\r\n\r\n", b"ICAP/1.0 200 OK\r\na\r\n\r\n", b"ICAP/1.0 200 OK\r\na : b\r\n\r\n",
        b"ICAP/1.0 200 OK\n\n", b"ICAP/1.0 200 OK\r\n" + b"a: b\r\n" * 1_000, b"ICAP/1.0 200 OK\r\na: " + b"b" * 9_000,
        b"ICAP/1.0 200 OK\r\n\xff: b\r\n\r\n",
    ],
)  # fmt: skip
async def test_wrong_heads(wrong):
    with pytest.raises((OSError, ValueError)):
        await head_of(wrong)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("null-body=0", (0, False)), ("res-hdr=0, res-body=137", (137, True)), ("res-hdr=0,null-body=20", (20, False)),
        ("req-hdr=0, res-hdr=5, res-body=9", (9, True)), ("opt-body=0", (0, True)),
    ],
)  # fmt: skip
def test_encapsulated(value, expected):
    assert encapsulated(Head(200, {"encapsulated": value})) == expected
    assert encapsulated(Head(200, {})) == (0, False)


@pytest.mark.parametrize(
    "value",
    [
        "", "x", "res-hdr=0", "res-body=5", "res-hdr=0, res-body=-1", "res-hdr=0, res-body=0", "res-body=0, res-hdr=5",
        "res-hdr=0, res-body=999999", "res-hdr=0, res-body=5, x", "res-hdr=0\nres-body=5", "res-body=0, null-body=3",
        "res-hdr=0, res-body=1234567890",
    ],
)  # fmt: skip
def test_wrong_encapsulated(value):
    with pytest.raises(ValueError, match="the ICAP server sends"):
        encapsulated(Head(200, {"encapsulated": value}))


@pytest.mark.parametrize(
    ("fields", "names"),
    [
        ({}, []),
        ({"x-infection-found": "Type=0; Resolution=2; Threat=Eicar;"}, ["Eicar"]),
        ({"x-infection-found": "Type=0; Resolution=2; Threat=A;\nType=0; Threat=B"}, ["A", "B"]),
        ({"x-infection-found": "1"}, ["unnamed"]),
        ({"x-infection-found": "Threat=;"}, ["unnamed"]),
        ({"x-violations-found": "0"}, []),
        ({"x-violations-found": "1\na.com\nEicar\n7\n2"}, ["Eicar"]),
        ({"x-violations-found": "2\na\nA\n7\n2\nb\nB\n7\n2"}, ["A", "B"]),
        ({"x-violations-found": "1"}, ["unnamed"]),
        ({"x-violations-found": "1\na.com"}, ["unnamed"]),
        ({"x-virus-id": "Eicar"}, ["Eicar"]),
        ({"x-virus-id": "No Threats"}, []),
        ({"x-virus-name": "Eicar", "x-virus-id": "Eicar"}, ["Eicar"]),
        ({"x-blocked": "1"}, ["blocked"]),
        ({"x-blocked": "True", "x-block-reason": "Dangerous"}, ["Dangerous"]),
        ({"x-blocked": "0"}, []),
    ],
)
def test_threats(fields, names):
    assert threats(Head(200, fields)) == names


async def test_a_body_of_tiny_chunks_lets_others_in():
    turns = itertools.count()

    async def others():
        while True:
            next(turns)
            await asyncio.sleep(0)

    task = asyncio.create_task(others())
    with fed(b"1\r\na\r\n" * 10_000 + b"0\r\n\r\n") as connection:
        await read_all(connection)
    task.cancel()
    assert next(turns) > 5_000

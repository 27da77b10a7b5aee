import asyncio
import hashlib
import itertools

import pytest
from dkim import rfc822_parse
from dkim.canonicalization import Relaxed, Simple
from hypothesis import example, given
from hypothesis import strategies as st

from verdicts.identity import canonical
from verdicts.identity.canonical import body_hash, canonical_body, relaxed_header, simple_header
from verdicts.kit import BytesContent

REFERENCE = {"simple": Simple, "relaxed": Relaxed}
PIECES = (b"\r\n", b"\n", b"\r", b" ", b"\t", b"  ", b" \r\n", b"a", b"bc", b"\0", b"\xff", b"\r\n\r\n", b"\x0b")
garbage = st.lists(st.sampled_from(PIECES), max_size=30).map(b"".join) | st.binary(max_size=100)
ways = st.sampled_from(["simple", "relaxed"])


def expected_body(body, way):
    """What dkimpy makes of it. A last line without an end gets one first, else dkimpy keeps the space at its end."""
    _, parsed = rfc822_parse(b"A: b\r\n\r\n" + body)
    closed = parsed if not parsed or parsed.endswith(b"\r\n") else parsed + b"\r\n"
    return REFERENCE[way].canonicalize_body(closed)


def pieces_of(body, cuts):
    places = sorted({0, len(body), *(cut % (len(body) + 1) for cut in cuts)})
    return [body[start:end] for start, end in itertools.pairwise(places)] + [b""]


@given(garbage, ways, st.lists(st.integers(0, 1000), max_size=12))
@example(b"a \r\n\r\n\r\n", "relaxed", [1, 2, 3, 4, 5])
@example(b"a\r\r\n\r\r\n", "simple", [1, 2, 3, 4])
@example(b" \r", "relaxed", [1])
@example(b"\r\n\r\n", "relaxed", [1])
def test_a_body_in_any_pieces_is_what_dkimpy_says(body, way, cuts):
    assert b"".join(canonical_body(pieces_of(body, cuts), way)) == expected_body(body, way)


@pytest.mark.parametrize(
    ("body", "simple", "relaxed"),
    [  # the example of RFC 6376 section 3.4.5, and its words on empty bodies
        (b" C \r\nD \t E\r\n\r\n\r\n", b" C \r\nD \t E\r\n", b" C\r\nD E\r\n"),
        (b"", b"\r\n", b""),
        (b"\r\n\r\n", b"\r\n", b""),
        (b" ", b" \r\n", b""),
        (b"no end", b"no end\r\n", b"no end\r\n"),
    ],
)
def test_bodies_as_the_rfc_says(body, simple, relaxed):
    assert b"".join(canonical_body([body], "simple")) == simple
    assert b"".join(canonical_body([body], "relaxed")) == relaxed


@given(st.sampled_from([b"Subject", b"x-Y", b"DKIM-Signature"]), garbage)
def test_a_header_field_is_what_dkimpy_says(name, garbled):
    value = b" a" + garbled.replace(b"\n", b"\n ") + b"b \t"  # dkimpy strips more than white space at the ends
    ((parsed, rest),), _ = rfc822_parse(name + b":" + value)
    assert relaxed_header(name, value) == b":".join(Relaxed.canonicalize_headers([(parsed, rest)])[0])
    assert simple_header(name, value) == b":".join(Simple.canonicalize_headers([(parsed, rest)])[0])


def test_header_fields_as_the_rfc_says():
    assert relaxed_header(b"A", b" X") == b"a:X\r\n"
    assert relaxed_header(b"B ", b" Y\t\r\n\tZ  ") == b"b:Y Z\r\n"
    assert simple_header(b"B ", b" Y\t\r\n\tZ  ") == b"B : Y\t\r\n\tZ  \r\n"
    assert relaxed_header(b"C", b" \r\n ") == b"c:\r\n"
    assert relaxed_header(b"D", b" \x0b ") == b"d:\x0b\r\n"


@given(garbage, ways, st.none() | st.integers(0, 60), st.sampled_from(["sha1", "sha256"]))
async def test_the_hash_is_of_so_much_of_the_body(body, way, limit, name):
    content = BytesContent(b"A: b\r\n\r\n" + body)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(canonical, "_WINDOW", 7)
        found = await body_hash(content, way, limit, name)
    assert found == hashlib.new(name, expected_body(body, way)[:limit]).digest()


@pytest.mark.parametrize("message", [b"", b"A: b", b"A: b\r\n", b"A: b\r\n\r\n", b"\r\n"])
async def test_a_message_without_a_body_has_an_empty_one(message):
    assert await body_hash(BytesContent(message), "relaxed") == hashlib.sha256(b"").digest()
    assert await body_hash(BytesContent(message), "simple") == hashlib.sha256(b"\r\n").digest()


HOSTILE = (b"\r\n", b"\n", b" ", b"\t ", b" \t\r\n", b"a ", b"a  b", b"\r", b"\r\r\n", b"a" * 76 + b"\r\n")


@pytest.mark.parametrize("pattern", HOSTILE)
@pytest.mark.parametrize("way", ["simple", "relaxed"])
def test_no_step_makes_much_of_a_body(pattern, way):
    """No step is given, or gives, more than some windows, however much white space is held back; so none is long."""
    piece = (pattern * 65_536)[:65_536]
    steps = [len(step) for step in canonical_body([piece] * 40 + [b"."], way)]
    assert len(steps) >= 41
    assert max(steps) <= 3 * 65_536


async def test_others_get_their_turn():
    content = BytesContent(b"\r\n" + b"\r\n" * 500_000 + b"x")
    turns = 0
    task = asyncio.create_task(body_hash(content, "relaxed"))
    while not task.done():
        turns += 1
        await asyncio.sleep(0)
    assert turns > 30

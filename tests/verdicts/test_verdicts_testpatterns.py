import asyncio
import base64
import binascii
import email
import itertools
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verdicts import decoding
from verdicts.contract import Severity, Unscanned
from verdicts.engines import testpatterns
from verdicts.engines.testpatterns import EICAR, GTUBE, TestPatterns
from verdicts.kit import assert_contract, letter, mail_of, pretend_tools
from verdicts.reading import read_parts

ENGINE = TestPatterns(TestPatterns.Options(), pretend_tools())


async def names(message):
    return [finding.name for finding in await ENGINE.judge(mail_of(message))]


async def test_the_patterns_are_the_published_ones():
    assert (len(GTUBE), len(EICAR)) == (68, 68)
    source = Path(testpatterns.__file__).read_bytes()
    assert GTUBE not in source
    assert EICAR not in source


async def test_severities():
    both = await ENGINE.judge(mail_of(letter(GTUBE.decode() + "\r\n", attachments=[("virus.com", EICAR)])))
    assert [(finding.name, finding.severity) for finding in both] == [
        ("GTUBE", Severity.SPAM), ("EICAR", Severity.MALICIOUS),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (letter(), []),
        (b"", []),
        (GTUBE, ["GTUBE"]),
        (b"Subject: " + GTUBE + b"\r\n\r\n", ["GTUBE"]),
        (letter(EICAR.decode()), ["EICAR"]),
        (letter(GTUBE.decode() + "\u20ac" * 40), ["GTUBE"]),
        (letter(attachments=[("a", b"x"), ("b.com", EICAR), ("c", b"y")]), ["EICAR"]),
        (letter(attachments=[("a", b"x" * 100_001 + GTUBE + b"x" * 100_001)]), ["GTUBE"]),
        (letter(attachments=[("outer.eml", b"x")]) + EICAR, ["EICAR"]),
        (b"Content-Type: message/rfc822\r\n\r\n" + letter(attachments=[("b", EICAR)]), ["EICAR"]),
        (
            b"Content-Type: message/rfc822\r\nContent-Transfer-Encoding: base64\r\n\r\n"
            + base64.encodebytes(b"\r\n" + EICAR),
            ["EICAR"],
        ),
        (
            b"Content-Transfer-Encoding: quoted-printable\r\n\r\n" + b"=\r\n".join(b"=%02X" % byte for byte in EICAR),
            ["EICAR"],
        ),
        (letter(EICAR[:-1].decode()), []),
        (letter("x" * 1_048_500 + EICAR.decode()), ["EICAR"]),
    ],
)
async def test_wherever_it_is(message, expected):
    assert await names(message) == expected


@given(st.integers(0, 700), st.sampled_from(["base64", "quoted-printable", "raw"]), st.sampled_from([GTUBE, EICAR]))
async def test_at_any_offset_of_any_piece(offset, encoding, pattern):
    content = b"." * offset + pattern + b"." * (700 - offset)
    body = base64.encodebytes(content) if encoding == "base64" else content.replace(b"=", b"=3D")
    head = b"" if encoding == "raw" else b"Content-Transfer-Encoding: " + encoding.encode()
    message = head + b"\r\n\r\n" + body
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(decoding, "PIECE", 97)
        patch.setattr(testpatterns, "_WINDOW", 101)
        assert await names(message) == (["GTUBE"] if pattern is GTUBE else ["EICAR"])


JUNK = st.sampled_from([b"", b"", b"", b"\r\n", b"\n", b" ", b"!", b"\xff\0", b"=", b"=="])


@given(
    st.binary(max_size=100), st.sampled_from([GTUBE, EICAR, EICAR[:-1], b""]), st.binary(max_size=100),
    st.integers(1, 100), st.lists(JUNK, min_size=1, max_size=9), st.integers(90, 400),
)  # fmt: skip
async def test_base64_is_searched_as_it_would_be_decoded(before, pattern, behind, width, junk, window):
    """Lines of any length, whatever stands between them, and padding where it should not be."""
    text = base64.b64encode(before + pattern) + base64.b64encode(behind)
    lines = [text[at : at + width] + junk[at // width % len(junk)] for at in range(0, len(text), width)]
    message = b"Content-Transfer-Encoding: base64\r\n\r\n" + b"".join(lines)
    (part, *_) = read_parts(message)
    decoded = b"".join(decoding.decoded_pieces(message, part.start, part.end, "base64"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(testpatterns, "_WINDOW", window)
        expected = [name for name, p in (("GTUBE", GTUBE), ("EICAR", EICAR)) if p in decoded]
        assert await names(message) == expected


@pytest.mark.parametrize("offset", range(3))
@pytest.mark.parametrize("pattern", [GTUBE, EICAR])
def test_only_what_may_hold_a_pattern_is_worth_decoding(offset, pattern):
    def worth(body):
        (part,) = read_parts(b"Content-Transfer-Encoding: base64\r\n\r\n" + body)
        steps = testpatterns._worth_decoding(part)
        try:
            while True:
                next(steps)
        except StopIteration as over:
            return over.value

    content = bytes(600 + offset) + pattern + bytes(600)
    assert worth(base64.encodebytes(content))
    assert worth(base64.b64encode(content[: 600 + offset + len(pattern)]))
    assert not worth(base64.encodebytes(content.replace(b"-", b"_")))
    assert not worth(base64.encodebytes(bytes(699)) + b"= \r\n=")
    assert worth(base64.encodebytes(bytes(700)) + base64.encodebytes(bytes(700)))


@given(st.binary(max_size=300), st.integers(0, 300), st.sampled_from([GTUBE, EICAR, GTUBE[1:] + EICAR[1:], b"*"]))
def test_a_star_leads_to_the_patterns(content, at, pattern):
    text = content[:at] + pattern + content[at:]
    for start, end in ((0, len(text)), (at, len(text) + 9), (at + 1, len(text)), (0, at + len(pattern) - 1)):
        expected = [p for p in (GTUBE, EICAR) if p in text[start:end]]
        assert list(testpatterns._patterns_in(text, start, end)) == expected


async def test_more_parts_than_are_read_is_unscanned():
    parts = itertools.repeat(b"--b\r\n\r\nx\r\n", 1_001)
    message = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + b"".join(parts) + GTUBE
    with pytest.raises(Unscanned) as unscanned:
        await names(message)
    assert [finding.name for finding in unscanned.value.findings] == ["GTUBE"]


async def test_it_keeps_the_contract():
    await assert_contract(lambda: TestPatterns(TestPatterns.Options(), pretend_tools()))


async def test_a_small_message_costs_little():
    message = letter("A line of text.\r\n" * 220)
    begun = time.perf_counter()
    for _ in range(200):
        await names(message)
    assert (time.perf_counter() - begun) / 200 < 0.002  # 0.00004 when the machine is idle


async def test_a_large_message_leaves_turns_to_others():
    message = letter(attachments=[("big.bin", bytes(8_000_000) + EICAR)])
    loop_turns = 0

    async def others():
        nonlocal loop_turns
        while True:
            loop_turns += 1
            await testpatterns.asyncio.sleep(0)

    ticking = testpatterns.asyncio.create_task(others())
    assert await names(message) == ["EICAR"]
    ticking.cancel()
    assert loop_turns > 30


ENCODED = base64.b64encode(EICAR) + b"\r\n"
UU = b"begin 644 a.com\r\n" + b"".join(
    binascii.b2a_uu(EICAR[at : at + 45]).replace(b"\n", b"\r\n") for at in range(0, len(EICAR), 45)
) + b"`\r\nend\r\n"  # fmt: skip
CTE = b"Content-Transfer-Encoding:"
MULTIPART = b"Content-Type: multipart/mixed; boundary=b\r\n"


def in_a_part(part):
    return MULTIPART + b"\r\n--b\r\n" + part + b"\r\n--b--\r\n"


@pytest.mark.parametrize("name", ["x-uuencode", "uuencode", "X-UUE", "uue"])
async def test_in_uuencode(name):
    message = CTE + name.encode() + b"\r\n\r\n" + UU
    assert EICAR in email.message_from_bytes(message).get_payload(decode=True)
    assert await names(message) == ["EICAR"]
    assert await names(in_a_part(message)) == ["EICAR"]


@pytest.mark.parametrize("value", [b"base64 (x)", b" base64;", b"(x (y)) BASE64", b'"base64"', b"\r\n base64 x"])
async def test_an_encoding_with_something_around_it(value):
    assert await names(CTE + value + b"\r\n\r\n" + ENCODED) == ["EICAR"]


@pytest.mark.parametrize("wrap", [bytes, in_a_part])
@pytest.mark.parametrize("line", [b"", b"no field\r\n", b"no\xffname: x\r\n", b"no name : x\r\n", b"a\r\n : x\r\n"])
async def test_a_body_right_behind_the_fields(wrap, line):
    message = wrap(CTE + b" base64\r\n" + (line or ENCODED) + b"\r\n" + ENCODED)
    assert await names(message) == ["EICAR"]


async def test_a_base64_line_that_looks_like_an_odd_field():
    message = CTE + b" base64\r\n" + ENCODED.rstrip() + b" :\r\n\r\nx"
    assert EICAR in email.message_from_bytes(message).get_payload(decode=True)
    assert await names(message) == ["EICAR"]


async def test_what_is_said_twice_alike_can_be_read_in_one_way():
    message = CTE + b"base64\r\n" + CTE + b" base64\r\nContent-Type: a/b; x=y; x=y\r\n\r\n" + ENCODED
    assert await names(message) == ["EICAR"]


@pytest.mark.parametrize("value", [b"text/plain; x=" + b"y" * 5_000, b"text/plain" + b"(" * 9_000])
async def test_a_longer_value_than_is_read_is_unscanned(value):
    with pytest.raises(Unscanned, match="longer fields"):
        await names(in_a_part(b"Content-Type: " + value + b"\r\n\r\nx"))


def many_parts(part, number):
    return MULTIPART + b"\r\n" + (b"--b\r\n" + part + b"\r\n") * number + b"--b--\r\n"


@pytest.mark.parametrize(
    "message",
    [
        many_parts(b"a:\r\n" * 65_000, 20),
        many_parts(b"a:\r\n" * 4_900 + b"\r\n", 100),
        many_parts(b"a:\r\n" + b" \n" * 32_000 + b"\n", 100),
        b"a:\r\n" * 260_000,
        b"a:\r\n" + b" \n" * 500_000 + b"\r\n",
        many_parts(b"Content-Type: " + b"(" * 4_000 + b"\r\nContent-Disposition: " + b"(" * 8_000 + b"\r\n\r\n", 200),
        many_parts(b"Content-Type: a/b" + b";a=b" * 1_000 + b"\r\n\r\n", 200),
        many_parts(b'Content-Disposition: a; filename="' + b"=?x?q?a?=" * 440 + b'"\r\n\r\n', 200),
        many_parts(b"Content-TypeX:\r\n" * 17_000 + b"\r\n", 20),
        many_parts(b"\r\n" + b"--bx\r\n" * 19_000, 1),
        CTE + b"base64\r\n\r\n" + b"!" * 8_000_000,
        CTE + b"uue\r\n\r\n" + b"\n" * 1_000_000,
    ],
    ids=range(12),
)
async def test_no_message_holds_the_others_up(message):
    longest = min([await longest_gap(message) for _ in range(2)])
    assert longest < 0.03  # 0.003 when the machine is idle


async def longest_gap(message):
    task = asyncio.create_task(names(message))
    longest, last = 0.0, time.perf_counter()
    while not task.done():
        await asyncio.sleep(0)
        now = time.perf_counter()
        longest, last = max(longest, now - last), now
    assert task.exception() is None or isinstance(task.exception(), Unscanned)
    return longest

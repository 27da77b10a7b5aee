import base64
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

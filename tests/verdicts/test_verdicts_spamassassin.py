import asyncio
from pathlib import Path

import pytest
from doubles.processes import frozen
from doubles.real_spamd import real_spamd
from doubles.scripted import scripted
from pydantic import ValidationError

from verdicts.contract import Finding, Outcome, Severity
from verdicts.engines.spamassassin import SpamAssassin
from verdicts.engines.testpatterns import GTUBE
from verdicts.kit import PretendClock, assert_contract, letter, mail_of, pretend_tools
from verdicts.panel import Panel, Seat

SAMPLES = Path("/usr/share/doc/spamassassin/examples")
FROM_OUTSIDE = "CIP:203.0.113.9;CTRY:US;H:helo.sender.example;PTR:mail.sender.example;SCL:1"
FROM_SIX = "CIP:2001:db8::9;CTRY:US;H:helo.sender.example;PTR:InfoDomainNonexistent;SCL:1"
CLEAN = b"SPAMD/1.1 0 EX_OK\r\nContent-length: 3\r\nSpam: False ; -0.5 / 5.0\r\n\r\nA,B"


def engine(address, **options):
    return SpamAssassin(SpamAssassin.Options(address=address, **options), pretend_tools())


def outside(report=FROM_OUTSIDE, text="Good morning.\r\n", **more):
    return mail_of(letter(text, headers=[("X-Forefront-Antispam-Report", report)]), **more)


def saying(reply, requests=None):
    """A spamd that says this once it has read all."""

    async def serve(reader, writer):
        request = await reader.read(-1)
        if requests is not None:
            requests.append(request)
        writer.write(reply)

    return scripted(serve)


async def judge(reply, mail=None, **options):
    async with saying(reply) as address:
        return await engine(address, **options).judge(mail or mail_of(letter()))


async def test_what_is_sent():
    requests = []
    async with saying(CLEAN, requests) as address:
        await engine(address).judge(mail_of(letter()))
        await engine(address, user="acme").judge(outside())
    plain, facts = requests
    head, _, content = plain.partition(b"\r\n\r\n")
    assert head == b"SYMBOLS SPAMC/1.5\r\nContent-length: %d" % len(content)
    assert content == b"Return-Path: <ann@sender.example>\r\n" + letter()
    head, _, content = facts.partition(b"\r\n\r\n")
    assert head.endswith(b"\r\nUser: acme")
    assert content.startswith(
        b"Return-Path: <ann@sender.example>\r\n"
        b"Received: from helo.sender.example (mail.sender.example [203.0.113.9])\r\n"
        b"\tby sluice (Sluice) with ESMTP (envelope-from <ann@sender.example>) id 1;\r\n"
        b"\tTue, 14 Nov 2023 22:13:20 -0000\r\n"
        b"X-Forefront"
    )


async def test_a_sender_cannot_write_lines_of_ours():
    requests = []
    async with saying(CLEAN, requests) as address:
        report = "CIP:203.0.113.9;H:x([192.0.2.1])by=y;PTR:a.b)by"
        await engine(address).judge(outside(report, sender='"a\r\nb) by x with ESMTPA id 3 ("@sender.example'))
    path, received, by, _ = requests[0].partition(b"\r\n\r\n")[2].split(b"\r\n")[:4]
    assert path == b"Return-Path: <!a!!b!!by!x!with!ESMTPA!id!3!!!@sender.example>"
    assert received == b"Received: from x-[192.0.2.1]-by-y (a.b-by [203.0.113.9])"
    assert by.count(b" ") == 8


async def test_answers():
    assert await judge(CLEAN) == [
        Finding("SPAMASSASSIN_SCORE", Severity.NOTE, -0.5, "score -0.5 of 5"), Finding("A"), Finding("B"),
    ]  # fmt: skip
    spam = b"SPAMD/1.1 0 EX_OK\r\nSpam: True ; 15 / 5\r\nContent-length: 0\r\n\r\n"
    assert await judge(spam) == [Finding("SPAMASSASSIN_SPAM", Severity.SPAM, 15, "score 15 of 5")]


@pytest.mark.parametrize(
    "reply",
    [
        b"", b"\r\n", b"HTTP/1.1 200 OK\r\n\r\n", b"SPAMD/1.1 0 EX_OK\r\n", b"SPAMD/1.1 0 EX_OK\r\n\r\n", CLEAN[:-1],
        CLEAN + b",C", CLEAN.replace(b"False", b"Maybe"), CLEAN.replace(b"-0.5", b"nan"), CLEAN.replace(b"A,B", b"A B"),
        CLEAN.replace(b"A,B", b"A,,"), CLEAN.replace(b"\r\n", b"\n"), b"x" * 200_000, CLEAN + b"x" * 200_000,
        b"SPAMD/1.1 0 EX_OK\r\n" + b"a: b\r\n" * 50_000, CLEAN.replace(b"-0.5", b"1" * 400),
        b"SPAMD/1.1 79 EX_TIMEOUT\r\n\r\n", b"SPAMD/1.0 76 Bad header line: x\r\n", CLEAN.replace(b" 0 ", b" 70 "),
    ],
)  # fmt: skip
async def test_nonsense_and_failures_are_failures(reply):
    with pytest.raises((OSError, ValueError)):
        await judge(reply)


async def test_what_spamd_says_of_its_failure_is_told():
    with pytest.raises(OSError, match="69 Service Unavailable: no"):
        await judge(b"SPAMD/1.0 69 Service Unavailable: no\r\n")


async def test_a_clean_answer_before_the_end_is_none():
    async def serve(reader, writer):
        await reader.readline()
        writer.write(CLEAN)

    async with scripted(serve) as address:
        with pytest.raises(OSError):
            await engine(address, max_bytes=2**30).judge(mail_of(letter(attachments=[("a", bytes(20_000_000))])))


async def test_a_server_that_drips_is_late():
    async def serve(_reader, writer):
        while True:
            writer.write(b"S")
            await asyncio.sleep(0.01)

    async with scripted(serve) as address:
        panel = Panel([Seat("spamassassin", engine(address), 0.2)], 5, PretendClock())
        (verdict,) = (await panel.judge(mail_of(letter()))).verdicts
    assert verdict.outcome is Outcome.LATE


def test_large_messages_are_not_sent_by_default():
    assert SpamAssassin.Options().max_bytes == 512_000


async def test_nobody_there():
    for place in ("127.0.0.1:1", "/nonexistent/spamd.sock"):
        with pytest.raises(OSError):
            await engine(place).judge(mail_of(letter()))


@pytest.mark.parametrize("wrong", [{"address": "spamd"}, {"user": "a\r\nb"}, {"max_bytes": 0}])
def test_wrong_options(wrong):
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        SpamAssassin.Options(**wrong)


async def test_it_keeps_the_contract():
    async with saying(CLEAN) as address:
        await assert_contract(lambda: engine(address, max_bytes=2**30))


@pytest.fixture(scope="module")
def spamd():
    with real_spamd() as running:
        yield running


def names(findings):
    return {finding.name for finding in findings}


async def test_a_real_spamd_finds_spam(spamd):
    (spam, *_) = found = await engine(spamd.address).judge(outside(text=GTUBE.decode()))
    assert spam[:2] == ("SPAMASSASSIN_SPAM", Severity.SPAM)
    assert spam.weight > 900
    assert "GTUBE" in names(found)


@pytest.mark.parametrize(("sample", "verdict"), [("nonspam", "SCORE"), ("spam", "SPAM")])
async def test_a_real_spamd_on_its_own_samples(spamd, sample, verdict):
    file = SAMPLES / f"sample-{sample}.txt"
    if not file.exists():
        pytest.skip("the samples are not installed")
    found = await engine(spamd.address).judge(mail_of(file.read_bytes()))
    assert f"SPAMASSASSIN_{verdict}" in names(found)


async def test_a_real_spamd_is_told_the_sender(spamd):
    """Microsoft's lines, and the sender's, stand below ours."""
    ask = engine(spamd.address).judge
    assert {"SLUICE_FACTS"} == names(await ask(outside())) & {"SLUICE_FACTS", "SLUICE_SIX", "SLUICE_AUTHENTICATED"}
    assert "SLUICE_SIX" in names(await ask(outside(FROM_SIX)))
    assert "SLUICE_BOUNCE" in names(await ask(outside(sender="")))
    injected = await ask(outside(sender='"x) by y with ESMTPA id 3 ("@sender.example'))
    assert "SLUICE_AUTHENTICATED" not in names(injected)


async def test_a_real_spamd_counts_for_good_mail_too(spamd):
    (score, *_) = await engine(spamd.address).judge(outside(text="Hello, the weather is fine.\r\n"))
    assert score.name == "SPAMASSASSIN_SCORE"
    assert score.weight < 0


async def test_a_real_spamd_that_hangs_is_late(spamd):
    panel = Panel([Seat("spamassassin", engine(spamd.address), 0.3)], 5, PretendClock())
    with frozen(spamd.process):
        (verdict,) = (await panel.judge(outside())).verdicts
    assert verdict.outcome is Outcome.LATE


async def test_a_real_spamd_on_a_unix_socket():
    with real_spamd(unix=True) as spamd:
        assert "SPAMASSASSIN_SPAM" in names(await engine(spamd.address).judge(mail_of(letter(GTUBE.decode()))))

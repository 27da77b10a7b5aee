import asyncio
import contextlib
import io
import zipfile

import pytest
from doubles.processes import frozen
from doubles.real_clamd import EICAR, SIGNED_TEXT

from verdicts.contract import Finding, Outcome, Severity, Unscanned
from verdicts.engines.clamav import Clamav
from verdicts.kit import PretendClock, assert_contract, letter, mail_of, pretend_tools
from verdicts.panel import Panel, Seat


def engine(address, **options):
    return Clamav(Clamav.Options(address=address, **options), pretend_tools())


@contextlib.asynccontextmanager
async def pretend_clamd(reply, *, read_first=True, requests=None):
    """Answers every stream with `reply`, after the whole stream or before any of it, and hangs up."""

    handlers = set()

    async def serve(reader, writer):
        handlers.add(asyncio.current_task())
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            command = await reader.readuntil(b"\0")
            received = b""
            while read_first and (length := int.from_bytes(await reader.readexactly(4), "big")):
                received += await reader.readexactly(length)
            if requests is not None:
                requests.append((command, received))
            writer.write(reply)
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        host, port = server.sockets[0].getsockname()
        yield f"{host}:{port}"
        await asyncio.gather(*handlers)


async def judge(reply, message=None, **options):
    async with pretend_clamd(reply) as address:
        return await engine(address, **options).judge(mail_of(message or letter()))


async def test_what_is_sent_is_the_message():
    requests = []
    message = letter(attachments=[("a", bytes(300_000))])
    async with pretend_clamd(b"stream: OK\0", requests=requests) as address:
        assert await engine(address).judge(mail_of(message)) == []
        assert await engine(address).judge(mail_of(b"")) == []
    assert requests == [(b"zINSTREAM\0", message), (b"zINSTREAM\0", b"")]


@pytest.mark.parametrize(
    ("reply", "finding"),
    [
        (b"stream: Win.Test.EICAR_HDB-1 FOUND\0", Finding("Win.Test.EICAR_HDB-1", Severity.MALICIOUS)),
        (b"stream: a FOUND b FOUND\0", Finding("a FOUND b", Severity.MALICIOUS)),
        (
            b"stream: Heuristics.OLE2.ContainsMacros.VBA FOUND\0",
            Finding("Heuristics.OLE2.ContainsMacros.VBA", Severity.SUSPICIOUS),
        ),
    ],
)
async def test_found(reply, finding):
    assert await judge(reply) == [finding]


@pytest.mark.parametrize(
    ("reply", "seen"),
    [
        (b"INSTREAM size limit exceeded. ERROR\0", ()),
        (b"stream: Heuristics.Limits.Exceeded.MaxFiles FOUND\0", (Finding("Heuristics.Limits.Exceeded.MaxFiles"),)),
        (b"stream: Heuristics.Encrypted.PDF FOUND\0", (Finding("Heuristics.Encrypted.PDF"),)),
    ],
)
async def test_unscanned(reply, seen):
    with pytest.raises(Unscanned) as unscanned:
        await judge(reply)
    assert unscanned.value.findings == seen


@pytest.mark.parametrize(
    "reply",
    [
        b"", b"stream: OK", b"\0", b"OK\0", b"stream:  FOUND\0", b"stream: x ERROR\0", b"x FOUND\0", b"\xff\0",
        b"UNKNOWN COMMAND\0", b"x" * 100_000,
    ],
)  # fmt: skip
async def test_nonsense_is_a_failure(reply):
    with pytest.raises((OSError, ValueError)):
        await judge(reply)


async def test_a_reply_before_the_end_is_heard():
    message = letter(attachments=[("a", bytes(20_000_000))])
    async with pretend_clamd(b"INSTREAM size limit exceeded. ERROR\0", read_first=False) as address:
        with pytest.raises(Unscanned):
            await engine(address).judge(mail_of(message))


async def test_nobody_there():
    async with pretend_clamd(b"") as address:
        pass
    for place in (address, "/nonexistent/clamd.sock", "no-such-host.invalid:3310"):
        with pytest.raises(OSError):
            await engine(place).judge(mail_of(letter()))


async def test_a_message_that_cannot_be_read_is_a_failure():
    class Broken:
        size = 10

        def pieces(self):
            yield b"x"
            raise ValueError("mapping closed")

    mail = mail_of(letter())
    object.__setattr__(mail, "content", Broken())
    async with pretend_clamd(b"stream: OK\0") as address:
        with pytest.raises(ValueError, match="mapping closed"):
            await engine(address).judge(mail)


async def test_it_keeps_the_contract():
    async with pretend_clamd(b"stream: OK\0") as address:
        await assert_contract(lambda: engine(address))


@pytest.fixture(params=["tcp", "unix"])
def real(clamd, request):
    return engine(clamd.address if request.param == "tcp" else clamd.socket)


def encrypted_archive():
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("a.exe", b"hello" * 100)
    content = bytearray(archive.getvalue())
    content[6] |= 1  # the bit that says "encrypted", in the file's header and in the directory
    content[content.find(b"PK\1\2") + 8] |= 1
    return bytes(content)


def zipped(content):
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("a.com", content)
    return archive.getvalue()


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"harmless", []),
        (EICAR, ["Sluice.Test.EICAR.UNOFFICIAL"]),
        (zipped(EICAR), ["Sluice.Test.EICAR.UNOFFICIAL"]),
        (SIGNED_TEXT, ["Sluice.Test.Text.UNOFFICIAL"]),
    ],
)
async def test_a_real_clamd(real, content, expected):
    found = await real.judge(mail_of(letter(attachments=[("a.bin", content)])))
    assert [finding.name for finding in found] == expected
    assert all(finding.severity is Severity.MALICIOUS for finding in found)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (encrypted_archive(), "Heuristics.Encrypted.Zip"),
        (b"ab12" * 300_000, "Heuristics.Limits.Exceeded.MaxFileSize"),
        (bytes(3_000_000), "larger than clamd takes"),
        (bytes(20_000_000), "larger than clamd takes"),
    ],
)
async def test_what_a_real_clamd_cannot_look_into_is_unscanned(real, content, reason):
    with pytest.raises(Unscanned, match=reason):
        await real.judge(mail_of(letter(attachments=[("a.zip", content)])))


async def test_a_real_clamd_that_hangs_is_late(clamd, real):
    panel = Panel([Seat("clamav", real, 0.2)], 5, PretendClock())
    mail = mail_of(letter(attachments=[("a", bytes(1_000_000))]))
    with frozen(clamd.process):
        (verdict,) = (await panel.judge(mail)).verdicts
    assert verdict.outcome is Outcome.LATE
    assert (await panel.judge(mail_of(letter()))).verdicts[0].outcome is Outcome.ANSWERED

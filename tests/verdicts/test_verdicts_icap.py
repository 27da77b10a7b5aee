import asyncio
import contextlib
from dataclasses import dataclass, field

import pytest
from doubles.processes import frozen
from doubles.real_cicap import real_cicap
from doubles.real_clamd import EICAR, SIGNED_TEXT
from doubles.scripted import scripted
from pydantic import ValidationError

from verdicts.contract import Finding, Outcome, Severity, Unscanned
from verdicts.engines.icap import Icap
from verdicts.kit import PretendClock, assert_contract, letter, mail_of, pretend_tools
from verdicts.panel import Panel, Seat

CLEAN = b"ICAP/1.0 204 No Content\r\nISTag: x\r\n\r\n"
FOUND = b"ICAP/1.0 200 OK\r\nISTag: x\r\nX-Infection-Found: Type=0; Resolution=2; Threat=Eicar;\r\n\r\n"
MORE = b"ICAP/1.0 100 Continue\r\n\r\n"
EICAR_FOUND = Finding("Eicar", Severity.MALICIOUS, detail="in message.eml")
FROM_OUTSIDE = "CIP:203.0.113.9;CTRY:US;H:helo.sender.example;PTR:mail.sender.example;SCL:1"


@dataclass
class Gateway:
    """Answers the requests in turn; the last answer stands for all that follow."""

    answers: list = field(default_factory=lambda: [CLEAN])
    options: bytes = b"ICAP/1.0 200 OK\r\nMethods: RESPMOD, REQMOD\r\nISTag: x\r\nAllow: 204\r\n%b\r\n"
    more: bytes = b""
    requests: list = field(default_factory=list)
    asked: int = 0
    echo: bool = False

    async def serve(self, reader, writer):
        head = await reader.readuntil(b"\r\n\r\n")
        if head.startswith(b"OPTIONS "):
            self.asked += 1
            writer.write(self.options % self.more if b"%b" in self.options else self.options)
            return
        sections = await reader.readuntil(b"\r\n\r\n") + await reader.readuntil(b"\r\n\r\n")
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        body, last = await chunks(reader)
        self.requests.append((head, sections, [body]))
        if answer == MORE:
            writer.write(answer)
            more, last = await chunks(reader)
            self.requests[-1][2].append(more)
            body, answer = body + more, self.answers[0]
        self.requests[-1][2].append(last)
        writer.write(answer)
        if self.echo:
            writer.write(b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body) if body else b"0\r\n\r\n")


async def chunks(reader):
    """A chunked body, and the line that was its end."""
    body = b""
    while (line := await reader.readuntil(b"\r\n"))[:1] != b"0":
        body += await reader.readexactly(int(line, 16))
        await reader.readexactly(2)
    await reader.readexactly(2)
    return body, line


@contextlib.asynccontextmanager
async def asking(gateway, tools=None, **options):
    async with scripted(gateway.serve) as address:
        yield Icap(Icap.Options(url=f"icap://{address}/scan", **options), tools or pretend_tools())


async def judge(gateway, message=None, **options):
    async with asking(gateway, **options) as engine:
        return await engine.judge(message or mail_of(letter()))


async def test_what_is_sent():
    gateway = Gateway()
    message = letter(headers=[("X-Forefront-Antispam-Report", FROM_OUTSIDE)], attachments=[("a", bytes(300_000))])
    assert await judge(gateway, mail_of(message)) == []
    ((head, sections, bodies),) = gateway.requests
    request, address, *fields = head.decode().splitlines()
    assert request == f"RESPMOD icap://{address.removeprefix('Host: ')}/scan ICAP/1.0"
    assert fields == [
        "Allow: 204", "Connection: close", "X-Client-IP: 203.0.113.9",
        f"Encapsulated: req-hdr=0, res-hdr={sections.index(b'HTTP/1.1 200')}, res-body={len(sections)}", "",
    ]  # fmt: skip
    assert sections.startswith(b"GET http://mail.invalid/message.eml HTTP/1.1\r\n")
    assert b"Content-Type: message/rfc822\r\n" in sections
    assert bodies == [message, b"0\r\n"]


async def test_parts_are_sent_decoded_with_their_names():
    gateway = Gateway(answers=[CLEAN, FOUND, CLEAN])
    attachments = [("a/b ö\u202e.com", EICAR), ("c.bin", bytes(10))]
    found = await judge(gateway, mail_of(letter(attachments=attachments)), what="parts")
    assert found == [Finding("Eicar", Severity.MALICIOUS, detail="in a/b ö.com")]
    assert [bodies[0] for _, _, bodies in gateway.requests] == [b"Good morning.\r\n", EICAR, bytes(10)]
    assert [sections.split(b" ")[1] for _, sections, _ in gateway.requests] == [
        b"http://mail.invalid/part", b"http://mail.invalid/a%2Fb%20%C3%B6.com", b"http://mail.invalid/c.bin",
    ]  # fmt: skip
    assert b"Content-Type: text/plain\r\n" in gateway.requests[0][1]


async def test_a_preview_may_be_enough():
    gateway = Gateway(more=b"Preview: 100\r\n")
    assert await judge(gateway) == []
    ((head, _, bodies),) = gateway.requests
    assert b"\r\nPreview: 100\r\n" in head
    assert bodies == [letter()[:100], b"0\r\n"]
    assert await judge(Gateway([FOUND], more=b"Preview: 0\r\n")) == [EICAR_FOUND]


async def test_more_than_a_preview_is_sent_when_it_is_asked_for():
    message = letter(attachments=[("a", bytes(300_000))])
    for size in (0, 100, 999_999_999):
        gateway = Gateway([MORE, FOUND], more=b"Preview: %d\r\n" % size)
        assert await judge(gateway, mail_of(message)) == [EICAR_FOUND]
        preview = min(size, 65_536)
        assert gateway.requests[0][2] == [message[:preview], message[preview:], b"0\r\n"]


@pytest.mark.parametrize("size", [0, 5, 4096])
async def test_a_preview_that_is_all_says_so(size):
    gateway = Gateway(more=b"Preview: %d\r\n" % size)
    assert await judge(gateway, mail_of(b"12345"[:size])) == []
    assert gateway.requests[0][2] == [b"12345"[:size], b"0; ieof\r\n"]


@pytest.mark.parametrize("preview", [b"", b"Preview: 1024\r\n"])
async def test_asking_for_more_than_there_is_is_a_failure(preview):
    with pytest.raises(ValueError, match="more than there is"):
        await judge(Gateway([MORE.replace(b"Continue", b"More")], more=preview))


async def test_the_same_content_is_clean_and_other_content_is_not():
    head = b"ICAP/1.0 200 OK\r\nX-Virus-ID: no threats\r\nEncapsulated: res-hdr=0, res-body=4\r\n\r\nhttp"
    assert await judge(Gateway([head], echo=True)) == []
    assert await judge(Gateway([head], echo=True), mail_of(b"")) == []
    for body in (b"4\r\nevil\r\n0\r\n\r\n", b"0\r\n\r\n", b"%x\r\n%b!\r\n0\r\n\r\n" % (len(letter()) + 1, letter())):
        (changed,) = await judge(Gateway([head + body]))
        assert changed[:2] == ("ICAP_CHANGED", Severity.MALICIOUS)
    (changed,) = await judge(Gateway([b"ICAP/1.0 200 OK\r\n\r\n"]))
    assert changed.name == "ICAP_CHANGED"


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (b"ICAP/1.0 404 ICAP Service not found\r\n\r\n", "does not know the service"),
        (b"ICAP/1.0 503 Service overloaded\r\n\r\n", "503"), (b"ICAP/1.0 408 Timeout\r\n\r\n", "408"),
        (b"ICAP/1.0 206 Partial\r\n\r\n", "206"), (b"ICAP/1.0 301 Moved\r\n\r\n", "301"),
        (b"", "hung up"), (b"HTTP/1.1 200 OK\r\n\r\n", "answered"), (b"x" * 100_000, "without end"),
        (b"ICAP/1.0 200 OK\r\n" + b"a: b\r\n" * 100_000, "more header fields"),
        (b"ICAP/1.0 200 OK\r\nEncapsulated: res-body=0\r\n\r\nnonsense\r\n", "chunk"),
        (b"ICAP/1.0 200 OK\r\nEncapsulated: res-hdr=0, res-body=99999999\r\n\r\n", "bytes of HTTP headers"),
        (b"ICAP/1.0 200 OK\r\nEncapsulated: res-body=0\r\n\r\n%x\r\n" % len(letter()) + letter(), "hung up"),
    ],
)  # fmt: skip
async def test_nonsense_and_failures_are_failures(answer, told):
    with pytest.raises((OSError, ValueError), match=told):
        await judge(Gateway([answer]))


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (b"ICAP/1.0 404 ICAP Service not found\r\n\r\n", "does not know the service"), (b"", "hung up"),
        (b"ICAP/1.0 200 OK\r\n\r\n", "no RESPMOD, but nothing"),
        (b"ICAP/1.0 200 OK\r\nMethods: REQMOD\r\n\r\n", "no RESPMOD, but REQMOD"),
        (b"ICAP/1.0 200 OK\r\nMethods: RESPMOD\r\nPreview: -1\r\n\r\n", "preview: '-1'"),
        (b"ICAP/1.0 200 OK\r\nMethods: RESPMOD\r\nOptions-TTL: soon\r\n\r\n", "options-ttl: 'soon'"),
    ],
)  # fmt: skip
async def test_wrong_options_of_a_gateway_are_failures(options, told):
    with pytest.raises((OSError, ValueError), match=told):
        await judge(Gateway(options=options))


async def test_options_are_asked_for_again_when_they_expire_or_change():
    gateway = Gateway(more=b"Options-TTL: 60\r\n")
    tools = pretend_tools()
    async with asking(gateway, tools) as engine:
        for passed, asked in ((0, 1), (59, 1), (1, 2), (1, 2)):
            tools.clock.now += passed
            await asyncio.gather(*(engine.judge(mail_of(letter())) for _ in range(3)))
            assert gateway.asked == asked
        gateway.answers = [CLEAN.replace(b"ISTag: x", b"ISTag: y")]
        for asked in (2, 3):
            await engine.judge(mail_of(letter()))
            assert gateway.asked == asked
        gateway.answers = [b"ICAP/1.0 204 Fine\r\n\r\n"]
        for _ in range(2):
            await engine.judge(mail_of(letter()))
            assert gateway.asked == 4


async def test_no_more_connections_than_the_gateway_takes():
    open_now, most = 0, 0
    gateway = Gateway(more=b"Max-Connections: 2\r\n")
    everybody = asyncio.Event()

    async def serve(reader, writer):
        nonlocal open_now, most
        open_now += 1
        most = max(most, open_now)
        before = gateway.asked
        if open_now == 2:
            everybody.set()
        await gateway.serve(reader, writer)
        if gateway.asked == before:
            await everybody.wait()
        open_now -= 1

    async with scripted(serve) as address:
        engine = Icap(Icap.Options(url=f"icap://{address}/scan"), pretend_tools())
        assert await asyncio.gather(*(engine.judge(mail_of(letter())) for _ in range(8))) == [[]] * 8
    assert most == 2


async def test_only_at_once_and_the_gateway_bound_its_connections():
    everybody = asyncio.Barrier(13)
    gateway = Gateway()

    async def serve(reader, writer):
        if gateway.asked:  # the first connection asks for the options
            await everybody.wait()
        await gateway.serve(reader, writer)

    assert Icap.Options().at_once == 10
    async with scripted(serve) as address, asyncio.timeout(10):
        engine = Icap(Icap.Options(url=f"icap://{address}/scan", at_once=None), pretend_tools())
        assert await asyncio.gather(*(engine.judge(mail_of(letter())) for _ in range(13))) == [[]] * 13


async def test_a_clean_answer_before_the_end_is_none_but_a_found_virus_is():
    message = mail_of(letter(attachments=[("a", bytes(20_000_000))]))

    def early(answer):
        async def serve(reader, writer):
            head = await reader.readuntil(b"\r\n\r\n")
            writer.write(Gateway.options % b"" if head.startswith(b"OPTIONS") else answer)

        return scripted(serve)

    async with early(CLEAN) as address:
        with pytest.raises(OSError):
            await Icap(Icap.Options(url=f"icap://{address}/x"), pretend_tools()).judge(message)
    async with early(FOUND) as address:
        assert await Icap(Icap.Options(url=f"icap://{address}/x"), pretend_tools()).judge(message) == [EICAR_FOUND]


async def test_what_is_not_sent_is_unscanned():
    gateway = Gateway([FOUND])
    with pytest.raises(Unscanned, match="larger than 10 bytes"):
        await judge(gateway, max_item_bytes=10)
    assert gateway.requests == []
    attachments = [("a", bytes(10_000)), ("b", b"x"), ("c", b"y")]
    with pytest.raises(Unscanned, match="more parts than are sent, larger than 1000 bytes") as unscanned:
        await judge(gateway, mail_of(letter(attachments=attachments)), what="parts", max_item_bytes=1000, max_parts=3)
    assert [finding.detail for finding in unscanned.value.findings] == ["in part", "in b"]


async def test_what_the_gateway_could_not_look_into_is_unscanned():
    gateway = Gateway([FOUND.replace(b"Eicar", b"Heuristics.Encrypted.Zip"), FOUND])
    with pytest.raises(Unscanned, match=r"could not look inside: Heuristics\.Encrypted\.Zip") as unscanned:
        await judge(gateway, mail_of(letter(attachments=[("a", b"x")])), what="parts")
    assert [finding[:2] for finding in unscanned.value.findings] == [
        ("Heuristics.Encrypted.Zip", Severity.NOTE), ("Eicar", Severity.MALICIOUS),
    ]  # fmt: skip
    with pytest.raises(Unscanned):
        await judge(Gateway([FOUND]), unscanned=["Eic"])


async def test_a_failure_after_a_find_keeps_the_find():
    gateway = Gateway([FOUND, b"ICAP/1.0 500 Oops\r\n\r\n"])
    with pytest.raises(Unscanned, match="failed with status 500") as unscanned:
        await judge(gateway, mail_of(letter(attachments=[("a", b"x")])), what="parts")
    assert [finding.name for finding in unscanned.value.findings] == ["Eicar"]


async def test_a_server_that_drips_is_late():
    async def serve(_reader, writer):
        while True:
            writer.write(b"I")
            await asyncio.sleep(0.01)

    async with scripted(serve) as address:
        engine = Icap(Icap.Options(url=f"icap://{address}/scan"), pretend_tools())
        panel = Panel([Seat("icap", engine, 0.2)], 5, PretendClock())
        (verdict,) = (await panel.judge(mail_of(letter()))).verdicts
    assert verdict.outcome is Outcome.LATE


@pytest.mark.parametrize(
    "url",
    ["", "http://a/b", "icap:///x", "icap://a:0/x", "icap://a:99999/x", "icap://a/b c", "icap://a/\n", "icap://u@a/x", "icap://a/#x"],
)  # fmt: skip
def test_wrong_urls(url):
    with pytest.raises(ValidationError):
        Icap.Options(url=url)


@pytest.mark.parametrize(
    ("what", "preview"), [("message", b""), ("message", b"Preview: 1024\r\n"), ("parts", b"Preview: 0\r\n")]
)
async def test_it_keeps_the_contract(what, preview):
    async with scripted(Gateway(more=preview).serve) as address:
        options = Icap.Options(url=f"icap://{address}/scan", what=what, max_parts=20)
        await assert_contract(lambda: Icap(options, pretend_tools()))


@pytest.fixture(scope="module")
def cicap(clamd, tmp_path_factory):
    with real_cicap(tmp_path_factory.mktemp("cicap"), clamd) as running:
        yield running


def real(cicap, service, **options):
    return Icap(Icap.Options(url=f"{cicap.url}/{service}", **options), pretend_tools())


@pytest.mark.parametrize("what", ["message", "parts"])
@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"harmless", []), (bytes(200_000), []), (EICAR, ["Sluice.Test.EICAR.UNOFFICIAL"]),
        (bytes(100_000) + SIGNED_TEXT, ["Sluice.Test.Text.UNOFFICIAL"]),
    ],
)  # fmt: skip
async def test_a_real_cicap_with_clamd(cicap, what, content, expected):
    found = await real(cicap, "avscan", what=what).judge(mail_of(letter(attachments=[("a.com", content)])))
    assert [finding.name for finding in found] == expected


@pytest.mark.parametrize("what", ["message", "parts"])
@pytest.mark.parametrize("size", [0, 500, 1_024, 3_000_000])
async def test_a_real_cicap_that_echoes(cicap, what, size):
    assert await real(cicap, "echo", what=what).judge(mail_of(letter(attachments=[("a", bytes(size))]))) == []
    assert await real(cicap, "echo", what=what).judge(mail_of(b"x" * size)) == []


async def test_what_a_real_cicap_is_given_that_clamd_does_not_take(cicap):
    with pytest.raises(Unscanned, match=r"Heuristics\.Limits\.Exceeded\.MaxFileSize"):
        await real(cicap, "avscan").judge(mail_of(letter(attachments=[("a", b"ab12" * 300_000)])))


async def test_a_service_that_a_real_cicap_does_not_know(cicap):
    with pytest.raises(OSError, match="does not know the service"):
        await real(cicap, "nonesuch").judge(mail_of(letter()))


async def test_a_real_cicap_that_hangs_is_late(cicap):
    panel = Panel([Seat("icap", real(cicap, "avscan"), 0.2)], 5, PretendClock())
    with frozen(cicap.process):
        (verdict,) = (await panel.judge(mail_of(letter()))).verdicts
    assert verdict.outcome is Outcome.LATE

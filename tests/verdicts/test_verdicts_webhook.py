import asyncio
import base64
import hashlib
import hmac
import json
import time
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from doubles.processes import free_port
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from relay.tools import Toolbox
from verdicts import engines, outside
from verdicts.contract import Finding, HttpReply, Outcome, Severity, Unscanned
from verdicts.engines.webhook import Webhook
from verdicts.kit import PretendClock, PretendDns, PretendHttp, assert_contract, letter, mail_of, pretend_tools
from verdicts.panel import Panel, Seat

SECRET = "hunter2 hunter2 hunter2"
CLEAN = b'{"findings": []}'
SPAM = b'{"findings": [{"name": "X", "severity": "spam", "weight": 2}]}'
DOCUMENT = (Path(engines.__file__).parent / "answers.md").read_text()
BIG = letter(attachments=[("a.bin", bytes(range(256)) * 10_001)])


@asynccontextmanager
async def service(handle):
    """An engine that asks a real service, with the relay's real HTTP client: `make(**options)`."""
    application = web.Application(client_max_size=100_000_000)
    application.router.add_post("/scan", handle)
    box = Toolbox(PretendDns())
    async with TestServer(application) as server:
        url = str(server.make_url("/scan"))
        yield lambda **options: Webhook(Webhook.Options(url=url, secret=SECRET, **options), box.tools)
        await box.close()


@asynccontextmanager
async def rude_service(*replies):
    """Says the same on every connection in turn, whatever it is asked, and hangs up; then it answers CLEAN."""
    said, handlers = list(replies), set()

    async def serve(reader, writer):
        handlers.add(asyncio.current_task())
        await reader.readuntil(b'"message": "')
        good = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s" % (len(CLEAN), CLEAN)
        if not said:
            await reader.readuntil(b'"}')
        writer.write(said.pop(0) if said else good)
        writer.close()

    box = Toolbox(PretendDns())
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        host, port = server.sockets[0].getsockname()
        options = Webhook.Options(url=f"http://{host}:{port}/", secret=SECRET, attempts=3)
        yield Webhook(options, box.tools)
        await asyncio.gather(*handlers)
    await box.close()


def answering(*replies):
    """A handler that gives the replies in turn, the last one for ever; and what it was asked."""
    requests = []

    async def handle(request):
        requests.append((request.headers, await request.read()))
        status, body = replies[min(len(requests), len(replies)) - 1]
        return web.Response(status=status, body=body)

    return handle, requests


@pytest.fixture
def quick(monkeypatch):
    """No pause between attempts."""
    monkeypatch.setattr("verdicts.engines.webhook._FIRST_PAUSE", 0)


def documented_check():
    """The function that the document gives to check a signature with."""
    names = {"hmac": hmac, "time": time}
    exec(DOCUMENT.split("```python\n")[1].partition("```")[0], names)
    return names["is_ours"]


@pytest.mark.parametrize("content", [letter(), BIG, b"", b"\0\xff", b"\0\xff\r"])
async def test_the_message_goes_inline_and_signed(content):
    handle, requests = answering((200, SPAM))
    async with service(handle) as make:
        assert await make().judge(mail_of(content)) == [Finding("X", Severity.SPAM, 2.0)]
    ((headers, body),) = requests
    assert base64.b64decode(json.loads(body)["message"], validate=True) == content
    signed = headers["Sluice-Timestamp"].encode() + b"." + body
    assert headers["Sluice-Signature"] == "v1=" + hmac.digest(SECRET.encode(), signed, "sha256").hex()
    assert documented_check()(SECRET.encode(), headers["Sluice-Timestamp"], headers["Sluice-Signature"], body)
    assert not documented_check()(
        SECRET.encode(), headers["Sluice-Timestamp"], headers["Sluice-Signature"], body + b" "
    )
    assert headers["Content-Type"] == "application/json"


async def test_the_facts():
    handle, requests = answering((200, CLEAN))
    report = "X-Forefront-Antispam-Report", "CIP:192.0.2.7;H:mail.sender.example;PTR:host.sender.example"
    recipients = ['"b\r\n\0@acme.example', *(f"{number}@acme.example" for number in range(1_500))]
    mail = mail_of(letter(headers=[report]), sender="\udcff\u202ea@x.example", recipients=recipients)
    async with service(handle) as make:
        await make().judge(mail)
    told = json.loads(requests[0][1])
    assert told.pop("message")
    told_recipients = told.pop("recipients")
    assert (len(told_recipients), told_recipients[:2]) == (1_000, ['"b@acme.example', "0@acme.example"])
    assert told == {
        "id": "1",
        "tenant": "acme",
        "sender": "a@x.example",
        "recipient_count": 1_501,
        "size": mail.content.size,
        "origin_address": "192.0.2.7",
        "origin_name": "host.sender.example",
        "helo": "mail.sender.example",
    }


async def test_by_reference_no_byte_of_the_message_goes():
    handle, requests = answering((200, CLEAN))
    message = letter(subject="Hello", attachments=[("a.bin", b"\0payload\xff" * 50_000)])
    async with service(handle) as make:
        assert await make(content="reference").judge(mail_of(message)) == []
    told = json.loads(requests[0][1])
    assert "message" not in told
    assert all(f"`{key}`" in DOCUMENT for key in (*told, *told["parts"][0]))
    assert told["sha256"] == hashlib.sha256(message).hexdigest()
    assert (told["subject"], told["from"]) == ("Hello", "Ann <ann@sender.example>")
    assert told["message_id"] == "<1@sender.example>"
    payload = b"\0payload\xff" * 50_000
    assert told["parts"][1] == {
        "content_type": "application/octet-stream",
        "filename": "a.bin",
        "size": len(payload),
        "sha256": hashlib.sha256(payload).hexdigest(),
    }
    assert (told["parts"][0]["content_type"], told["parts"][0]["filename"]) == ("text/plain", None)


def many_parts(number):
    return b"Content-Type: multipart/mixed; boundary=x\r\n\r\n" + b"--x\r\n\r\na\r\n" * number + b"--x--\r\n"


@pytest.mark.parametrize("message", [many_parts(101), many_parts(11_000)])
async def test_by_reference_what_was_not_told_is_unscanned(message):
    handle, requests = answering((200, SPAM))
    async with service(handle) as make:
        with pytest.raises(Unscanned) as unscanned:
            await make(content="reference").judge(mail_of(message))
        assert [finding.name for finding in unscanned.value.findings] == ["X"]
        assert await make(content="reference").judge(mail_of(many_parts(100)))
    assert len(json.loads(requests[0][1])["parts"]) <= 100


@pytest.mark.parametrize("status", [502, 503, 504])
async def test_it_asks_again_while_the_service_is_out_of_reach(quick, status):
    handle, requests = answering((status, b"later"), (status, b""), (200, SPAM))
    async with service(handle) as make:
        assert await make().judge(mail_of(BIG))
        assert len(requests) == 3
        assert requests[0][1] == requests[2][1]


async def test_it_asks_again_when_the_service_hangs_up(quick):
    async with rude_service(b"", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx") as engine:
        assert await engine.judge(mail_of(letter())) == []


async def test_it_does_not_ask_for_ever(quick):
    handle, requests = answering((503, b""))
    async with service(handle) as make:
        with pytest.raises(OSError, match="HTTP status 503"):
            await make(attempts=2).judge(mail_of(letter()))
        assert len(requests) == 2
        with pytest.raises(OSError, match="HTTP status 503"):
            await make(attempts=1).judge(mail_of(letter()))
        assert len(requests) == 3


async def test_nobody_there(quick):
    box = Toolbox(PretendDns())
    engine = Webhook(Webhook.Options(url=f"http://127.0.0.1:{free_port()}/", secret=SECRET), box.tools)
    with pytest.raises(OSError):
        await engine.judge(mail_of(letter()))
    await box.close()


@pytest.mark.parametrize("status", [201, 204, 301, 400, 401, 404, 429, 500])
async def test_another_status_is_a_failure_at_once(status):
    handle, requests = answering((status, SPAM))
    async with service(handle) as make:
        with pytest.raises(OSError, match=f"HTTP status {status}"):
            await make().judge(mail_of(letter()))
    assert len(requests) == 1


async def test_too_large_for_the_service_is_unscanned():
    handle, _ = answering((413, b""))
    async with service(handle) as make:
        with pytest.raises(Unscanned, match="larger than the service takes"):
            await make().judge(mail_of(BIG))


@pytest.mark.parametrize(
    "answer",
    [
        b"", b"{}", b"[]", b"null", b"\xff", b"<html>", b"[" * 100_000, CLEAN + CLEAN,
        b'{"findings": [], "verdict": "x"}', b'{"findings": null}', b'{"findings": [{"name": "X", "severity": 3}]}',
        b'{"findings": [{"name": "X", "severity": "spam", "weight": NaN}]}',
        b'{"findings": [' + b",".join([b'{"name": "X", "severity": "spam"}'] * 501) + b"]}",
    ],
)  # fmt: skip
async def test_nonsense_is_a_failure(answer):
    handle, requests = answering((200, answer))
    async with service(handle) as make:
        with pytest.raises(ValueError, match=r"^the answer makes no sense: "):
            await make().judge(mail_of(letter()))
    assert len(requests) == 1


async def test_an_answer_without_end_is_a_failure(quick):
    handle, _ = answering((200, b" " * 300_000 + CLEAN))
    async with service(handle) as make:
        with pytest.raises(OSError, match="larger than 256000 bytes"):
            await make().judge(mail_of(letter()))


async def test_a_service_that_hangs_is_late():
    asked, hang = asyncio.Event(), asyncio.Event()

    async def handle(request):
        asked.set()
        await hang.wait()
        return web.Response(body=CLEAN)

    async with service(handle) as make:
        panel = Panel([Seat("webhook", make(), 0.3)], 5, PretendClock())
        (verdict,) = (await panel.judge(mail_of(letter()))).verdicts
        assert asked.is_set()
        hang.set()
    assert verdict.outcome is Outcome.LATE


@given(st.binary())
def test_an_answer_is_findings_or_a_value_error(answer):
    with pytest.raises(ValueError):
        outside.findings_of(answer)


@given(
    st.text("!~", min_size=1, max_size=100),
    st.sampled_from(["note", "suspicious", "spam", "malicious"]),
    st.floats(-1000, 1000),
    st.text(st.characters(codec="utf-8"), max_size=500),
)
def test_what_is_told_is_found(name, severity, weight, detail):
    told = {"name": name, "severity": severity, "weight": weight, "detail": detail}
    (finding,) = outside.findings_of(json.dumps({"findings": [told]}).encode())
    assert finding[:3] == (name, Severity[severity.upper()], weight)
    assert finding.detail.isprintable()


def test_the_schema_of_the_answer_is_documented():
    blocks = [json.loads(block.partition("```")[0]) for block in DOCUMENT.split("```json\n")[1:]]
    assert outside.answer_schema() in blocks
    examples = [block for block in blocks if "findings" in block]
    assert examples
    for example in examples:
        assert outside.findings_of(json.dumps(example).encode())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"url": "scanner.example", "secret": SECRET}, "must begin with http:// or https://"),
        ({"url": "http:///scan", "secret": SECRET}, "and a host"),
        ({"url": "http://x/", "secret": "hunter2"}, "at least 16"),
        ({"url": "http://x/"}, "secret"),
        ({"url": "http://x/", "secret": SECRET, "content": "both"}, "inline"),
        ({"url": "http://x/", "secret": SECRET, "attempts": 0}, "greater than or equal to 1"),
    ],
)
def test_mistakes_in_the_options(options, message):
    with pytest.raises(ValidationError, match=message) as error:
        Webhook.Options(**options)
    assert "hunter2" not in str([mistake["msg"] for mistake in error.value.errors()])


def test_the_secret_is_not_shown():
    assert "hunter2" not in repr(Webhook.Options(url="http://x/", secret=SECRET))


@pytest.mark.parametrize("content", ["inline", "reference"])
async def test_it_keeps_the_contract(content):
    http = PretendHttp(HttpReply(200, CLEAN))
    options = Webhook.Options(url="http://x/", secret=SECRET, content=content)
    await assert_contract(lambda: Webhook(options, pretend_tools(http)))

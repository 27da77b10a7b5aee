"""The ways to a tenant: real SMTP and real HTTP, and what goes wrong with them."""

import asyncio
import email
import email.policy
import hmac
import json
import time
from email.headerregistry import Address

import pytest
from doubles.nexthop import FEATURES, HANG_UP, NextHop, Stall
from doubles.scripted import scripted
from doubles.webhook import Webhook

from relay.delivery.delivery import Delivery
from relay.delivery.options import Options
from relay.dns import Resolver
from relay.onboarding.notices import sending
from relay.onboarding.notices.kinds import Notice, Reason
from relay.onboarding.notices.sending import Attempt, MailWay, Sent, WebhookWay
from relay.onboarding.notices.texts import Templates
from relay.tenants.hops import NextHop as Hop
from relay.tenants.model import Tenant
from relay.tools import SystemClock

OPTIONS = Options("mx1.relay.example", "off", False, 4, 540, 100, 30, 15, 2, 2, 2, 2)
NODE = "mx1.relay.example"
SENDER = Address("Sluice", addr_spec="sluice@relay.example")
LOOP = "k7Jq2mV9xT4bR8nL5wZ3cY6h"
SECRET = b"at least 16 characters"


def tenant(port=1, contacts=("ann@acme.example",), **more):
    document = {
        "name": "acme",
        "loop_values": ["a newer loop value", LOOP],
        "contacts": contacts,
        "domain": [{"name": "acme.example", "next_hop": f"127.0.0.1:{port}"}],
    }
    return Tenant.model_validate(document | more)


def attempt(of, own=("acme.example",)):
    notice = Notice(Reason("acme", "loop"), 1_795_000_000.0, 3)
    return Attempt(notice, Templates().words(notice, NODE), of, own)


@pytest.fixture
async def way():
    """Makes a way of mail, with or without a server."""
    made = []

    def make(server=None):
        made.append(MailWay(SENDER, NODE, Delivery(OPTIONS, Resolver(["127.0.0.1:9"], 1.0), lambda: None), server))
        return made[-1]

    yield make
    for one in made:
        await one.close()


async def test_mail_goes_through_the_contacts_own_next_hop_past_the_rule(way):
    async with NextHop() as hop:
        one = attempt(tenant(hop.port))
        assert await way().send(one) == Sent("sent", "ann@acme.example: 250 2.6.0 Queued")
    (message,) = hop.messages
    assert message.mail.startswith("<> SIZE=")
    assert message.rcpts == ["<ann@acme.example>"]
    assert one.begun
    assert message.content.startswith(f"X-PERCEPTION-POINT-CUSTOM: {LOOP}\r\nDate: ".encode())
    letter = email.message_from_bytes(message.content, policy=email.policy.default)
    assert letter["Subject"] == "Mail of acme runs in a loop"
    assert letter["Auto-Submitted"] == "auto-generated"


async def test_an_operators_server_takes_all_and_never_sees_the_value(way):
    contacts = ("ann@acme.example", "eve@elsewhere.example")
    async with NextHop() as server:
        sent = await way(Hop("127.0.0.1", server.port)).send(attempt(tenant(contacts=contacts), own=()))
    assert sent.result == "sent"
    assert sorted(message.rcpts for message in server.messages) == [[f"<{contact}>"] for contact in contacts]
    for message in server.messages:
        assert b"To: " in message.content
        assert b"PERCEPTION" not in message.content.partition(b"\r\n\r\n")[0]
        assert LOOP.encode() not in message.content


@pytest.mark.parametrize(
    ("contact", "own"),
    [
        ("ann@elsewhere.example", ("acme.example",)),
        ("ann@sub.acme.example", ("acme.example",)),
        ("ann@acme.example", ()),
        ("ann@acme.example", ("elsewhere.example",)),
    ],
)
async def test_without_a_server_nobody_else_is_written_to(way, contact, own):
    async with NextHop() as hop:
        sent = await way().send(attempt(tenant(hop.port, [contact]), own))
        assert (sent.result, hop.connections) == ("dropped", 0)
    assert "not in a domain that is proved to be the tenant's" in sent.detail


@pytest.mark.parametrize(
    ("replies", "result"),
    [
        ({"RCPT": "450 4.2.0 later"}, "postponed"),
        ({"RCPT": "550 5.1.1 nobody"}, "dropped"),
        ({"MAIL": "421 4.3.2 closing"}, "postponed"),
        ({"BODY": "451 4.3.0 later"}, "postponed"),
        ({"BODY": "554 5.7.1 spam"}, "dropped"),
        ({"RCPT": HANG_UP}, "postponed"),
        ({"BODY": HANG_UP}, "dropped"),
        ({"GREETING": "554 no"}, "postponed"),
        ({"EHLO": Stall()}, "postponed"),
        ({"BODY": Stall()}, "dropped"),
    ],
)
async def test_what_becomes_of_it_when_the_server_fails(way, replies, result):
    """What somebody may have is not sent again."""
    async with NextHop(replies=replies) as hop:
        assert (await way().send(attempt(tenant(hop.port)))).result == result


@pytest.mark.parametrize(("replies", "result"), [({"RCPT": Stall()}, "postponed"), ({"BODY": Stall()}, "dropped")])
async def test_a_server_that_never_ends_does_not_hold_up_others(way, monkeypatch, replies, result):
    """Below every timeout of delivery."""
    monkeypatch.setattr(sending, "MAIL_SECONDS", 0.2)
    async with NextHop(replies=replies) as hop:
        sent = await way().send(attempt(tenant(hop.port)))
    assert (sent.result, sent.detail) == (result, "ann@acme.example: not done within 0.2 seconds")


async def test_a_server_that_is_not_there_postpones(way):
    assert (await way().send(attempt(tenant(1)))).result == "postponed"


async def test_one_contact_that_is_reached_is_enough(way):
    async with NextHop(replies={"RCPT": lambda line: "550 5.1.1 nobody" if "bob" in line else None}) as hop:
        contacts = ["bob@acme.example", "ann@acme.example", "eve@elsewhere.example"]
        sent = await way().send(attempt(tenant(hop.port, contacts)))
    assert sent.result == "sent"
    assert "bob@acme.example: 550 5.1.1 nobody; ann@acme.example: 250" in sent.detail
    assert [message.rcpts for message in hop.messages] == [["<ann@acme.example>"]]


async def test_an_address_that_is_not_ascii_needs_a_server_that_takes_it(way):
    of = {"contacts": ["änn@acme.example"]}
    async with NextHop() as hop, NextHop(["8BITMIME"]) as plain:
        assert (await way().send(attempt(tenant(hop.port, **of)))).result == "sent"
        assert (await way().send(attempt(tenant(plain.port, **of)))).result == "dropped"
    assert hop.messages[0].mail.endswith("BODY=8BITMIME SMTPUTF8")
    assert "\r\nTo: änn@acme.example\r\n" in hop.messages[0].content.decode()


@pytest.mark.parametrize("contact", ["=?utf-8?q?=0D=0ABcc:_x?=@acme.example", "a<b>c@acme.example", '"@acme.example'])
async def test_odd_contacts_do_no_harm(way, contact):
    async with NextHop() as hop:
        await way().send(attempt(tenant(hop.port, [contact])))
    for message in hop.messages:
        assert b"\r\nBcc" not in message.content
        assert len(message.rcpts) == 1
        assert message.rcpts[0].endswith("@acme.example>")


@pytest.mark.parametrize(
    ("settings", "mail", "hook"),
    [({}, True, True), ({"notices": False}, False, False), ({"contacts": []}, False, True)],
)
async def test_whom_a_way_serves(way, settings, mail, hook):
    of = tenant(**settings)
    assert way().serves(of) is mail
    assert WebhookWay("http://127.0.0.1:1/", SECRET, NODE, SystemClock()).serves(of) is hook


@pytest.fixture
async def hook():
    with Webhook() as server:
        way = WebhookWay(server.url, SECRET, NODE, SystemClock())
        yield server, way
        await way.close()


async def test_the_webhook_is_signed_as_the_engines_requests_are(hook):
    """The check that verdicts/engines/answers.md tells."""
    server, way = hook
    one = attempt(tenant())
    assert await way.send(one) == Sent("sent", "HTTP status 204")
    (request,) = server.requests
    timestamp, signature = request.headers["Sluice-Timestamp"], request.headers["Sluice-Signature"]
    wanted = hmac.new(SECRET, timestamp.encode() + b"." + request.body, "sha256").hexdigest()
    assert hmac.compare_digest(signature, f"v1={wanted}")
    assert abs(time.time() - int(timestamp)) < 300
    assert request.headers["Content-Type"] == "application/json"
    assert LOOP.encode() not in request.body
    told = json.loads(request.body)
    assert (told["kind"], told["tenant"], told["count"], told["id"]) == ("loop", "acme", 3, one.notice.id)
    assert not one.begun


@pytest.mark.parametrize(
    ("status", "result"),
    [(200, "sent"), (299, "sent"), (302, "postponed"), (400, "postponed"), (404, "postponed"), (500, "postponed")],
)
async def test_only_2xx_is_taken_and_no_redirect_is_followed(hook, status, result):
    server, way = hook
    server.status, server.headers = status, {"Location": server.url}
    assert (await way.send(attempt(tenant()))).result == result
    assert len(server.requests) == 1


async def test_a_webhook_that_does_not_answer_postpones(hook, monkeypatch):
    monkeypatch.setattr(sending, "WEBHOOK_SECONDS", 0.1)
    server, way = hook
    server.go.clear()
    sent = await way.send(attempt(tenant()))
    assert (sent.result, sent.detail) == ("postponed", "TimeoutError: ")


async def test_what_the_log_hears_of_a_failing_webhook_is_not_its_url():
    async def nonsense(reader, writer):
        await reader.readline()
        writer.write(b"nonsense\r\n\r\n")

    async with scripted(nonsense) as address:
        for host in (address, f"user:word@{address}", address.replace(".", "%2E"), "127.0.0.1:1", "%zz.invalid:99999"):
            way = WebhookWay(f"http://{host}/hook?key=terribly-secret", SECRET, NODE, SystemClock())
            sent = await way.send(attempt(tenant()))
            await way.close()
            assert sent.result == "postponed"
            assert "terribly-secret" not in sent.detail
            assert sent.detail


async def test_a_server_that_offers_nothing_gets_it_all_the_same(way):
    async with NextHop([]) as hop:
        assert (await way().send(attempt(tenant(hop.port)))).result == "sent"
    assert "PIPELINING" in FEATURES
    assert hop.messages[0].by == "DATA"


async def test_contacts_do_not_wait_for_each_other(way):
    stall = Stall()
    async with NextHop(replies={"RCPT": lambda line: stall if "bob" in line else None}) as hop:
        task = asyncio.create_task(way().send(attempt(tenant(hop.port, ["bob@acme.example", "ann@acme.example"]))))
        await hop.until(lambda: len(hop.messages) == 1)
        assert hop.messages[0].rcpts == ["<ann@acme.example>"]
        stall.go.set()
        assert (await task).result == "sent"

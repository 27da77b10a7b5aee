"""The narrator between real rooms, driven as the intake drives it; the next hop is scripted."""

import asyncio
from collections import deque
from types import SimpleNamespace

import pytest
from doubles.nexthop import HANG_UP, NextHop

from relay.delivery.delivery import Delivery
from relay.delivery.options import Options
from relay.dns import Resolver
from relay.dressing import Dresser
from relay.errors import NextHopFailed, Refused
from relay.gate import LARGE, ROOM, Gate
from relay.journey import Journey
from relay.quarantine.folder import Folder
from relay.rooms import Rooms
from relay.tenants.directory import Directory
from relay.tenants.loops import Tracer
from relay.tenants.model import TenantFile
from relay.tools import SystemClock, Toolbox
from verdicts.contract import Engine, EngineOptions, Finding, Severity
from verdicts.kit import BytesContent
from verdicts.mail import Envelope, Recipient, Session
from verdicts.panel import Panel, Seat

OPTIONS = Options("mx1.relay.example", "off", False, 5, 540, 100, 30, 15, 5, 5, 5, 5)
SESSION = Session("s1", "40.92.0.1", "out.example", network="exchange-online")
LETTER = b"X-PERCEPTION-POINT-CUSTOM: k7Jq2mV9xT4bR8nL\r\nSubject: hi\r\n\r\ntext\r\n"
BOB = Recipient("bob@acme.example")


class Saying(Engine):
    """An engine that waits until it may speak, and says what it was given."""

    def __init__(self, *findings):
        self.options, self.tools = EngineOptions(), None
        self.findings, self.asked, self.free = findings, asyncio.Event(), asyncio.Event()
        self.free.set()

    async def judge(self, mail):
        self.mail = mail
        self.asked.set()
        await self.free.wait()
        return self.findings


class Letter(BytesContent):
    """A draft as the intake leaves it."""

    fault, bare, dotted, seconds = None, False, True, 0.01


@pytest.fixture
async def house(tmp_path):
    """A function that makes (journey, rooms, records) for an engine and a next hop; `known`: are there tenants?"""
    closing = []

    def make(engine, hop, *, known=True, proof="require"):
        resolver, clock, tracer = Resolver(["127.0.0.1:9"], 1.0), SystemClock(), Tracer(b"k" * 32, "mx1.relay.example")
        tenant = {
            "name": "acme",
            "loop_values": ["k7Jq2mV9xT4bR8nL"],
            "proof": proof,
            "domain": [{"name": "acme.example", "next_hop": f"127.0.0.1:{hop.port}", "verified": True}],
        }
        records = deque()
        delivery, toolbox = Delivery(OPTIONS, resolver, lambda: None), Toolbox(resolver)
        rooms = Rooms(
            node="mx1.relay.example",
            directory=Directory(TenantFile.model_validate({"tenant": [tenant] if known else []}).tenant),
            delivery=delivery,
            panel=Panel([Seat("saying", engine, 5.0)], 5.0, clock),
            tracer=tracer,
            dresser=Dresser("mx1.relay.example", tracer, clock),
            quarantine=Folder(tmp_path / "quarantine"),
            record=records.append,
            clock=clock,
            toolbox=toolbox,
            gate=Gate(100, 5.0),
            max_header_bytes=4096,
            validation_addresses=frozenset({"check@acme.example"}),
        )
        closing.append(rooms)
        return Journey(lambda: rooms), rooms, records

    yield make
    for rooms in closing:
        await rooms.delivery.close()
        rooms.quarantine.close()


async def begin(journey, *recipients):
    assert (await journey.mail(SESSION, Envelope("ann@sender.example"))).code == 250
    return [await journey.rcpt(recipient) for recipient in recipients or (BOB,)]


async def test_a_clean_message_is_delivered_and_recorded(house):
    async with NextHop() as hop:
        engine = Saying()
        journey, _, records = house(engine, hop)
        await begin(journey)
        assert str(await journey.message(Letter(LETTER))) == "250 2.6.0 Queued"
        assert engine.mail.proven
        (record,) = records
        assert (record.outcome, record.tenant, record.proof) == ("delivered", "acme", "ok")
        assert hop.messages[0].content.endswith(LETTER)


async def test_engines_know_what_did_not_come_through_the_tenants_rule(house):
    async with NextHop() as hop:
        engine = Saying()
        journey, _, records = house(engine, hop, proof="log")
        await begin(journey)
        assert (await journey.message(Letter(LETTER.replace(b"k7Jq", b"xxxx")))).code == 250
        assert (records[0].proof, engine.mail.proven) == ("wrong loop value", False)


async def test_who_hung_up_while_engines_worked_gets_it_later(house):
    async with NextHop() as hop:
        engine = Saying()
        engine.free.clear()
        journey, _, records = house(engine, hop)
        await begin(journey)
        reply = asyncio.create_task(journey.message(Letter(LETTER)))
        await engine.asked.wait()
        assert not journey.hand_over_begun()
        journey.lost()
        engine.free.set()
        assert (await reply).code == 451
        assert records[0].outcome == "abandoned"
        assert not hop.messages


async def test_a_large_message_waits_for_its_turn_and_is_not_judged_when_its_client_hung_up(house):
    async with NextHop() as hop:
        engine = Saying()
        journey, rooms, records = house(engine, hop)
        line = rooms.gate.line
        await begin(journey)
        await line.turn(ROOM)
        large = asyncio.create_task(journey.message(Letter(LETTER + b"x" * LARGE)))
        await asyncio.sleep(0)
        later = line.turn(ROOM)
        journey.lost()
        line.leave(ROOM)
        assert (await large).code == 451
        assert records[0].outcome == "abandoned"
        assert not engine.asked.is_set()
        assert later.done()


async def test_a_large_message_is_judged_when_its_turn_comes_even_if_the_gate_is_full(house):
    async with NextHop() as hop:
        journey, rooms, _ = house(Saying(), hop)
        gate = rooms.gate
        await begin(journey)
        await gate.line.turn(ROOM)
        while not gate.full:
            gate.enter()
        content = LETTER + b"x" * LARGE + b"\r\n"
        large = asyncio.create_task(journey.message(Letter(content)))
        await asyncio.sleep(0)
        inside = gate.inside
        gate.line.leave(ROOM)
        assert (await large).code == 250
        assert hop.messages[0].content.endswith(content)
        assert gate.inside == inside
        assert gate.line.turn(ROOM).done()


async def test_a_malicious_message_is_on_disk_before_the_250(house):
    async with NextHop() as hop:
        journey, rooms, records = house(Saying(Finding("bad", Severity.MALICIOUS)), hop)
        await begin(journey)
        assert (await journey.message(Letter(LETTER))).code == 250
        assert b"".join(rooms.quarantine.pieces(records[0].quarantine_id)) == LETTER
        assert not hop.messages


async def test_a_quarantine_that_fails_is_a_451_and_no_entry_is_claimed(house, tmp_path):
    async with NextHop() as hop:
        (tmp_path / "quarantine").write_text("in the way")
        journey, _, records = house(Saying(Finding("bad", Severity.MALICIOUS)), hop)
        await begin(journey)
        assert (await journey.message(Letter(LETTER))).code == 451
        assert (records[0].outcome, records[0].quarantine_id) == ("deferred", None)
        assert not hop.messages


async def test_a_record_that_fails_does_not_change_the_reply(house):
    async with NextHop() as hop:
        journey, rooms, _ = house(Saying(), hop)

        def broken(record):
            raise OSError("the log's disk is full")

        rooms.record = broken
        await begin(journey)
        assert str(await journey.message(Letter(LETTER))) == "250 2.6.0 Queued"


async def test_a_fault_of_ours_is_a_4xx(house):
    async with NextHop() as hop:
        journey, rooms, records = house(Saying(), hop)
        rooms.dresser = SimpleNamespace()  # no such method: a mistake in our code
        await begin(journey)
        assert (await journey.message(Letter(LETTER))).code == 451
        assert records[0].outcome == "deferred"
        assert not hop.messages


async def test_without_any_tenant_nobody_pays_with_a_bounce(house):
    async with NextHop() as hop:
        journey, _, _ = house(Saying(), hop, known=False)
        with pytest.raises(Refused) as refused:
            await begin(journey)
        assert refused.value.reply.code == 451


async def test_a_header_too_big_is_refused(house):
    async with NextHop() as hop:
        journey, _, records = house(Saying(), hop)
        await begin(journey)
        assert (await journey.message(Letter(b"X: " + b"a" * 5000 + b"\r\n" + LETTER))).code == 552
        assert records[0].outcome == "refused"


async def test_a_header_of_too_many_fields_is_refused(house):
    async with NextHop() as hop:
        journey, rooms, records = house(Saying(), hop)
        rooms.max_header_bytes = 1_000_000
        await begin(journey)
        assert (await journey.message(Letter(b"a:\r\n" * 6000 + LETTER))).code == 552
        assert records[0].outcome == "refused"


async def test_connector_validation_is_thrown_away_and_mixes_with_nothing(house):
    async with NextHop() as hop:
        journey, _, records = house(Saying(), hop)
        (reply,) = await begin(journey, Recipient("Check@acme.example"))
        assert reply.code == 250
        with pytest.raises(Refused) as refused:
            await journey.rcpt(BOB)
        assert str(refused.value.reply).startswith("452 4.5.3")
        assert (await journey.message(Letter(LETTER))).code == 250
        assert records[0].outcome == "sunk"
        assert not hop.messages


async def test_a_refused_recipient_does_not_bind_the_route(house):
    async with NextHop(replies={"RCPT": "550 5.1.1 Nobody"}) as hop:
        journey, _, _ = house(Saying(), hop)
        replies = await begin(journey, BOB, Recipient("check@acme.example"))
        assert [reply.code for reply in replies] == [550, 250]


async def test_a_next_hop_that_cannot_be_asked_is_told_once_for_a_message(house):
    async with NextHop(replies={"RCPT": HANG_UP}) as hop:
        journey, rooms, records = house(Saying(), hop)
        heard = []
        rooms.hop_failed = lambda *what: heard.append(what)
        for _ in range(2):
            await journey.mail(SESSION, Envelope("ann@sender.example"))
            for recipient in (BOB, Recipient("eve@acme.example")):
                with pytest.raises(NextHopFailed):
                    await journey.rcpt(recipient)
        assert heard == [("acme", f"127.0.0.1:{hop.port}", "hung_up")] * 2
        assert not records


async def test_a_field_behind_a_bare_line_end_never_gets_through(house):
    async with NextHop() as hop:
        journey, _, records = house(Saying(), hop)
        await begin(journey)
        letter = Letter(b"A: b\rX-PERCEPTION-POINT-SPAM: FAIL\r\n" + LETTER)
        letter.bare = True
        assert (await journey.message(letter)).code == 554
        assert records[0].outcome == "refused"
        assert not hop.messages

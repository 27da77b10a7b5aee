"""Next hops that break off or stall anywhere: each ends in time, is counted once, and holds nothing afterwards."""

import asyncio
import itertools
import ssl
import weakref

import pytest
from doubles.nexthop import FEATURES, HANG_UP, NextHop, Stall

from relay.delivery import client, connection
from relay.delivery.failure import HopError
from relay.errors import NextHopFailed
from relay.observe import metrics
from relay.replies import Reply
from verdicts.mail import Envelope, Recipient

ANN = Recipient("ann@acme.example")
BODY = b"Subject: hi\r\n\r\n.dot\r\n"
NO_CHUNKING = [feature for feature in FEATURES if feature != "CHUNKING"]
WAYS = {"bdat": list(FEATURES), "data": NO_CHUNKING, "data in turn": []}
STEPS = ["GREETING", "EHLO", "MAIL", "RCPT", "DATA", "BODY"]
SHORT = {"connect_timeout": 0.1, "command_timeout": 0.1, "final_timeout": 0.1}
EMPTY = "0 of 20 open: 0 idle, 0 busy (0 resting), 0 opening, 0 waiting"


class Drip:
    """Says `unit` over and over, a byte in each turn of the loop, until the connection is gone."""

    def __init__(self, hop, unit):
        self.hop, self.unit = hop, unit

    async def run(self):
        while True:
            for at in range(len(self.unit)):
                self.hop.say(self.unit[at : at + 1])
                await asyncio.sleep(0)


class Deaf(asyncio.Transport):
    """A transport whose other side never takes anything."""

    def __init__(self):
        super().__init__()
        self.aborted = asyncio.Event()

    def is_closing(self):
        return False

    def write(self, _data):
        pass

    def close(self):
        pass

    def abort(self):
        self.aborted.set()


def failures():
    return {kind: metrics.NEXT_HOP_FAILED.labels(kind)._value.get() for kind in metrics.NEXT_HOP_FAILURES}


async def send(delivery, hop):
    passage = delivery.passage("127.0.0.1", hop.port, Envelope("sender@example.net"))
    assert (await passage.ask(ANN)).code == 250
    return await passage.hand_over(lambda: [BODY], len(BODY), bare=False)


async def fails(delivery, hop):
    """The reason of the failure; that it is a 4xx, counted once, and that nothing is held afterwards."""
    before = failures()
    with pytest.raises(NextHopFailed) as failed:
        await send(delivery, hop)
    assert failed.value.reply.transient
    counted = {kind: count - before[kind] for kind, count in failures().items() if count != before[kind]}
    assert counted == {failed.value.reason: 1}
    assert delivery.status() == [f"127.0.0.1:{hop.port}: {EMPTY}"]
    return failed.value.reason


@pytest.mark.parametrize("features", WAYS.values(), ids=WAYS)
async def test_a_reset_after_any_byte_of_the_conversation(deliver, features):
    async with NextHop(features) as hop:
        delivery = deliver(max_messages=1)
        await send(delivery, hop)
        await hop.until(lambda: hop.open == 0)
        whole = hop.bytes - len(b"QUIT\r\n221 2.0.0 bye\r\n")
        for hop.cut in range(1, whole):
            hop.messages.clear()
            assert await fails(delivery, hop) in {"connect", "hung_up"}
            assert [message.content for message in hop.messages] in ([], [BODY])
        assert hop.messages
        hop.cut = None
        assert (await send(delivery, hop)).code == 250


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("begun", [b"", b"2", b"250", b"250-one\r\n", b"250-one\r\n250 tw", b"250 one\r"])
async def test_a_hang_up_in_the_midst_of_a_reply(deliver, step, begun):
    async with NextHop(NO_CHUNKING, {step: (begun, HANG_UP)}) as hop:
        assert await fails(deliver(), hop) == ("connect" if step in STEPS[:2] else "hung_up")


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("begun", [b"", b"2", b"250-one\r\n", b"250 one\r"])
async def test_a_reply_that_never_ends(deliver, step, begun):
    async with NextHop(NO_CHUNKING, {step: (begun, Stall())}) as hop:
        assert await fails(deliver(**SHORT), hop) == ("connect" if step in STEPS[:2] else "timeout")


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("unit", [b"250-more\r\n", b"2"])
async def test_a_drip_that_never_ends_is_too_long_or_too_late(deliver, step, unit):
    stall = Stall()
    async with NextHop(NO_CHUNKING, {step: stall}) as hop:
        task = asyncio.create_task(fails(deliver(**SHORT), hop))
        await stall.reached.wait()
        drip = asyncio.create_task(Drip(hop, unit).run())
        reason = await task
        drip.cancel()
        assert reason in {"protocol", "connect" if step in STEPS[:2] else "timeout"}


async def test_a_yes_to_data(deliver):
    async with NextHop(NO_CHUNKING, {"DATA": "250 what"}) as hop:
        assert await fails(deliver(), hop) == "protocol"


@pytest.mark.parametrize("features", WAYS.values(), ids=WAYS)
async def test_replies_one_byte_at_a_time_are_replies(deliver, features):
    async with NextHop(features, {"BODY": "250 2.6.0 a\nb"}) as hop:
        hop.drips = True
        assert await send(deliver(), hop) == Reply(250, ("2.6.0 a", "b"))
        assert hop.messages[0].content == BODY


@pytest.mark.parametrize("mode", ["verify", "opportunistic"])
async def test_a_tls_handshake_that_stalls(deliver, mode):
    async with NextHop(
        replies={"STARTTLS": ("220 go on", Stall())}, tls=ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ) as hop:
        context = ssl.create_default_context()
        delivery = deliver(tls=mode, context=context, connect_timeout=0.2)
        assert await fails(delivery, hop) == "connect"
        assert "MAIL" not in hop.verbs()


async def test_one_that_takes_drops_of_a_body_for_ever_is_too_late(deliver, monkeypatch):
    monkeypatch.setattr(connection, "SLOWEST", 1e9)

    class Drops(Deaf):
        def write(self, _data):
            wire.pause_writing()
            asyncio.get_running_loop().call_soon(wire.resume_writing)

    wire = connection.Connection(deliver(**SHORT)._options, lambda _: None)
    wire.connection_made(Drops())
    with pytest.raises(HopError, match="timeout"):
        await wire.send(itertools.repeat(bytes(100_000)), 1_000_000)
    wire.connection_lost(None)


async def test_one_that_does_not_take_the_quit_is_cut_off(deliver, monkeypatch):
    monkeypatch.setattr(client, "CLOSE_WITHIN", 0.01)
    transport = Deaf()
    wire = connection.Connection(deliver()._options, lambda _: None)
    wire.connection_made(transport)
    wire.quit()
    assert not transport.aborted.is_set()
    await transport.aborted.wait()
    wire.connection_lost(None)
    await wire.closed()


async def test_one_that_takes_all_at_once_leaves_the_others_their_turn(deliver):
    turns = []

    class Eager(Deaf):
        written = 0

        def write(self, data):
            self.written += len(data)
            if self.written == 8 * connection.TURN:
                asyncio.get_running_loop().call_soon(wire.data_received, b"250 2.0.0 Ok\r\n")

    async def take_turns():
        while True:
            turns.append(transport.written)
            await asyncio.sleep(0)

    wire, transport = connection.Connection(deliver()._options, lambda _: None), Eager()
    wire.connection_made(transport)
    others = asyncio.ensure_future(take_turns())
    assert (await wire.send(itertools.repeat(bytes(connection.TURN), 8), 8 * connection.TURN)).code == 250
    others.cancel()
    assert max(after - before for before, after in itertools.pairwise(turns)) <= connection.TURN
    wire.connection_lost(None)


async def test_a_lost_connection_is_no_garbage_to_be_looked_for(deliver):
    wire = connection.Connection(deliver()._options, lambda _: None)
    wire.connection_made(Deaf())
    wire.connection_lost(None)
    gone = weakref.ref(wire)
    del wire
    assert gone() is None

import asyncio

import pytest
from doubles.nexthop import HANG_UP, NextHop, Stall

from relay.delivery.opening import connect
from relay.dns import DnsError
from relay.errors import NextHopFailed
from relay.observe import metrics
from verdicts.mail import Envelope, Recipient

ANN = Recipient("ann@acme.example")


class Addresses:
    """A resolver that knows one answer."""

    def __init__(self, *addresses, error=None):
        self.known, self.error, self.asked = addresses, error, []

    async def addresses(self, name, ipv6=True):
        self.asked.append((name, ipv6))
        if self.error:
            raise self.error
        return self.known


async def send(delivery, hop, host="127.0.0.1"):
    passage = delivery.passage(host, hop.port, Envelope("a@b.example"))
    reply = await passage.ask(ANN)
    assert reply.code == 250
    return await passage.hand_over(lambda: iter([b"hi\r\n"]), 4, False)


async def test_never_more_connections_than_allowed_and_nobody_is_forgotten(deliver):
    most = 0

    def watch(_line):
        nonlocal most
        most = max(most, hop.open)

    async with NextHop(replies={"MAIL": watch}) as hop:
        delivery = deliver(connections=3)
        await asyncio.gather(*(send(delivery, hop) for _ in range(40)))
        assert (most, len(hop.messages)) == (3, 40)
        assert "0 waiting" in delivery.status()[0]


async def test_who_waits_too_long_is_told(deliver):
    async with NextHop(replies={"RCPT": Stall()}) as hop:
        delivery = deliver(connections=1, wait_timeout=0.1)
        task = asyncio.create_task(send(delivery, hop))
        await hop.until(lambda: "RCPT" in hop.verbs())
        with pytest.raises(NextHopFailed) as failed:
            await send(delivery, hop)
        assert (failed.value.reason, str(failed.value.reply)[:9]) == ("no_connection", "451 4.4.5")
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_a_next_hop_that_grants_few_connections_is_shared(deliver):
    def greet(_line):
        return "421 4.3.2 too many" if hop.open > 2 else None

    async with NextHop(replies={"GREETING": greet}) as hop:
        delivery = deliver(connections=10)
        await send(delivery, hop)
        await asyncio.gather(*(send(delivery, hop) for _ in range(20)))
        assert len(hop.messages) == 21


async def test_idle_connections_are_closed_with_quit(deliver):
    async with NextHop() as hop:
        await send(deliver(max_idle=0.05), hop)
        await hop.until(lambda: hop.open == 0)
        assert hop.verbs()[-1] == "QUIT"


async def test_old_connections_are_not_used_again(deliver):
    async with NextHop() as hop:
        delivery = deliver(max_age=0.05)
        await send(delivery, hop)
        await hop.until(lambda: hop.open == 0)
        await send(delivery, hop)
        assert hop.connections == 2


async def test_used_up_connections_are_not_used_again(deliver):
    async with NextHop() as hop:
        delivery = deliver(max_messages=2)
        for _ in range(5):
            await send(delivery, hop)
        assert hop.connections == 3


async def test_addresses_are_tried_in_order_and_the_failed_one_last_afterwards(deliver):
    async with NextHop() as hop:
        addresses = Addresses("127.0.0.2", "127.0.0.1")
        delivery = deliver(resolver=addresses, max_messages=1)
        await send(delivery, hop, "mx.acme.example")
        pool = delivery._hops["mx.acme.example", hop.port]
        assert await pool._opener.addresses() == ["127.0.0.1", "127.0.0.2"]
        await send(delivery, hop, "mx.acme.example")
        assert addresses.asked == [("mx.acme.example", False)] * 3
        assert len(hop.messages) == 2


@pytest.mark.parametrize("resolver", [Addresses(), Addresses(error=DnsError("no answer in time"))])
async def test_a_host_without_address_is_a_temporary_failure(deliver, resolver):
    delivery = deliver(resolver=resolver)
    with pytest.raises(NextHopFailed) as failed:
        await delivery.passage("mx.acme.example", 25, Envelope()).ask(ANN)
    assert (failed.value.reason, str(failed.value.reply)[:9]) == ("dns", "451 4.4.3")
    assert "acme" not in str(failed.value.reply)


async def test_a_resolver_that_breaks_is_a_temporary_failure(deliver):
    delivery = deliver(resolver=Addresses(error=RuntimeError("bug")))
    with pytest.raises(NextHopFailed) as failed:
        await delivery.passage("mx.acme.example", 25, Envelope()).ask(ANN)
    assert failed.value.reason == "connect"


async def test_gauges_follow_the_pool_and_return(deliver):
    def gauges():
        return [gauge._value.get() for gauge in (metrics.POOL_OPEN, metrics.POOL_BUSY, metrics.POOL_WAITING)]

    before, opened = gauges(), metrics.POOL_OPENED._value.get()
    async with NextHop() as hop:
        delivery = deliver()
        passage = delivery.passage("127.0.0.1", hop.port, Envelope())
        await passage.ask(ANN)
        assert [now - was for now, was in zip(gauges(), before, strict=True)] == [1, 1, 0]
        await passage.reset()
        assert [now - was for now, was in zip(gauges(), before, strict=True)] == [1, 0, 0]
        await passage.ask(ANN)
        assert [now - was for now, was in zip(gauges(), before, strict=True)] == [1, 1, 0]
        await delivery.close()
        assert gauges() == before
        assert metrics.POOL_OPENED._value.get() == opened + 1


async def test_close_ends_everything(deliver):
    async with NextHop(replies={"GREETING": [None, Stall()]}) as hop:
        delivery = deliver(connections=2)
        passage = delivery.passage("127.0.0.1", hop.port, Envelope())
        await passage.ask(ANN)
        task = asyncio.create_task(delivery.passage("127.0.0.1", hop.port, Envelope()).ask(ANN))
        await hop.until(lambda: hop.connections == 2)
        await delivery.close()
        with pytest.raises(NextHopFailed):
            await task
        await hop.until(lambda: hop.open == 1)  # the stalled one does not look
        assert "0 of 2 open" in delivery.status()[0]


async def test_a_connection_given_to_who_was_just_cancelled_goes_to_the_next(deliver):
    async with NextHop() as hop:
        delivery = deliver(connections=1)
        passage = delivery.passage("127.0.0.1", hop.port, Envelope())
        stall = hop.replies["RCPT"] = Stall(then="550 5.1.1 no")
        holder = asyncio.create_task(passage.ask(ANN))
        await stall.reached.wait()
        cancelled, next_ = (asyncio.create_task(send(delivery, hop)) for _ in range(2))
        await asyncio.sleep(0)
        assert "2 waiting" in delivery.status()[0]
        hop.replies.clear()
        stall.go.set()
        assert (await holder).code == 550
        cancelled.cancel()
        await passage.reset()
        assert (await next_).code == 250
        assert cancelled.cancelled()
        assert hop.connections == 1


async def test_a_waiter_that_goes_away_leaves_its_connection_to_others(deliver):
    stall = Stall(then="220 hi")
    async with NextHop(replies={"GREETING": stall}) as hop:
        delivery = deliver()
        task = asyncio.create_task(send(delivery, hop))
        await stall.reached.wait()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        stall.go.set()
        await send(delivery, hop)
        assert (hop.connections, len(hop.messages)) == (1, 1)


async def test_a_hang_up_while_reset_is_under_way_is_replaced(deliver):
    async with NextHop(replies={"RSET": HANG_UP}) as hop:
        delivery = deliver()
        passage = delivery.passage("127.0.0.1", hop.port, Envelope())
        await passage.ask(ANN)
        await passage.reset()
        await send(delivery, hop)
        assert hop.connections == 2


async def test_small_writes_are_not_delayed(deliver):
    import socket

    async with NextHop() as hop:
        options = deliver()._options
        connection = await connect(
            "127.0.0.1", "127.0.0.1", hop.port, None, options=options, on_lost=lambda _connection: None
        )
        sock = connection.transport.get_extra_info("socket")
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        connection.quit()
        await connection.closed()

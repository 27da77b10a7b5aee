"""More than can be served: the excess hears 421 or 451 while the others are still being served, and afterwards
everything is as before."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from doubles.answering_rspamd import AnsweringRspamd
from doubles.background import running
from doubles.books import senders
from doubles.client import Client, Reply, deliver
from doubles.nexthop import NextHop, Stall
from doubles.relay import Relay, letter, wait_until
from doubles.traces import Held, held, memory

CROWD = 40


@pytest.fixture
def rspamd() -> Iterator[AnsweringRspamd]:
    answering = AnsweringRspamd()
    yield answering
    answering.close()


def settled(relay: Relay) -> Held:
    """What the relay holds when nothing goes on."""
    assert deliver(relay.smtp_port, letter(), ["bob@acme.example"]).code == 250
    wait_until(lambda: held(relay)[:4] == (0, 0, 0, 0))
    return wait_until(lambda: (now := held(relay)) == held(relay) and now)


def send(relay: Relay, message: bytes) -> tuple[Client, Reply]:
    """A client that has sent a message, and whatever it was told before that was more than an intermediate yes."""
    client = Client(relay.smtp_port)
    greeting = client.hello()
    replies = [greeting] if greeting.code != 250 else client.envelope("ann@sender.example", ["bob@acme.example"])
    if replies[-1].code == 250:
        replies.append(client.ask("DATA"))
        client.send(message + b".\r\n")
    return client, replies[-1]


def test_more_sessions_than_are_allowed(rspamd: AnsweringRspamd, tmp_path: Path) -> None:
    """While slow engines hold all sessions, every further one hears 421 at once."""
    config = f'smtp.max_sessions = 5\ndelivery.max_idle = 0.3\nengines.rspamd.url = "{rspamd.url}"'
    with running() as hop, Relay(tmp_path, hop=hop.address, config=config) as relay:
        before = settled(relay)
        asked = len(rspamd.requests)
        slow = [send(relay, letter(f"slow{number}", extra="X-Answer: sleep 60\r\n")) for number in range(5)]
        assert {reply.code for _, reply in slow} == {354}
        wait_until(lambda: len(rspamd.requests) == asked + 5)
        for _ in range(CROWD):
            client, reply = send(relay, letter())
            assert reply.code == 421
            assert client.closed()
            client.close()
        assert relay.metric("sluice_refusals_total", reason="too_many_sessions") == CROWD
        assert all(client.quiet(0.01) for client, _ in slow), "the crowd was told before the first of them was served"
        rspamd.wake()
        for client, _ in slow:
            assert client.reply().code == 250
            client.close()
        kept = before._replace(sockets=before.sockets + 4)  # connections to rspamd, to be used again
        wait_until(lambda: held(relay) == kept, what=str(kept))
        assert deliver(relay.smtp_port, letter(), ["bob@acme.example"]).code == 250


def test_more_bytes_than_are_allowed(tmp_path: Path) -> None:
    """Who says how much comes hears 452 at MAIL; who does not, at DATA."""
    config = "smtp.max_bytes_in_flight = 1000000\nsmtp.memory_bytes = 300000\ndelivery.max_idle = 0.3"
    stall = Stall(then="250 2.6.0 At last")
    with running() as hop, Relay(tmp_path, hop=hop.address, config=config) as relay:
        before = settled(relay)
        hop.hop.replies["BODY"] = stall
        large, reply = send(relay, letter("large", b"Hello.\r\n" * 100_000))
        assert reply.code == 354
        wait_until(stall.reached.is_set)
        for _ in range(CROWD):
            with Client(relay.smtp_port) as client:
                client.hello()
                assert client.ask("MAIL FROM:<ann@sender.example> SIZE=300000").code == 452
        assert relay.metric("sluice_refusals_total", reason="bytes_in_flight") == CROWD
        assert large.quiet(0.01)
        hop.go(stall)
        assert large.reply().code == 250
        large.close()
        wait_until(lambda: held(relay) == before, what=str(before))


def test_more_transactions_than_connections(tmp_path: Path) -> None:
    """The next hop takes one at a time and needs long: the others hear 451 after wait_timeout, and not later."""
    config = "delivery.connections = 1\ndelivery.wait_timeout = 0.5\ndelivery.max_idle = 0.3"
    stall = Stall(then="250 2.6.0 At last")
    with running(NextHop()) as hop, Relay(tmp_path, hop=hop.address, config=config) as relay:
        before = settled(relay)
        memory_before = memory(relay.pid)
        hop.hop.replies["BODY"] = stall
        slow, reply = send(relay, letter("slow"))
        assert reply.code == 354
        wait_until(stall.reached.is_set)
        crowd = [Client(relay.smtp_port) for _ in range(CROWD)]
        for client in crowd:
            client.hello()
            assert client.ask("MAIL FROM:<ann@sender.example>").code == 250
            client.send(b"RCPT TO:<bob@acme.example>\r\n")
        assert {client.reply().code for client in crowd} == {451}
        assert relay.metric("sluice_next_hop_failures_total", kind="no_connection") == CROWD
        assert relay.metric("sluice_pool_waiting") == 0
        assert slow.quiet(0.01)
        hop.go(stall)
        assert slow.reply().code == 250
        for client in (slow, *crowd):
            client.close()
        wait_until(lambda: held(relay) == before, what=str(before))
        assert memory(relay.pid) < memory_before * 1.2


def test_engines_that_are_too_slow_for_what_comes(tmp_path: Path) -> None:
    """They manage forty messages a second within a second, and a hundred senders come: mail goes on to be
    judged in time, and the others hear at once that there is too much."""
    rspamd = AnsweringRspamd(hands=4, seconds=0.1)
    config = f'judging.deadline = 1.0\ndelivery.max_idle = 0.3\nengines.rspamd.url = "{rspamd.url}"'
    try:
        with running() as hop, Relay(tmp_path, hop=hop.address, config=config) as relay:
            with senders(lambda: relay.smtp_port, 100, pause=0.2) as books:
                wait_until(lambda: len(books.accepted) > 160, 30)
            assert set(books.codes) == {250, 451}
            assert not books.broken
            assert relay.metric("sluice_refusals_total", reason="overloaded") > 0
            wait_until(lambda: held(relay)[:4] == (0, 0, 0, 0))
    finally:
        rspamd.close()

"""Restarts under load: workers drained, killed and started again, reloads at the worst moment. The senders' books agree
with what arrived, and nobody is refused for good."""

import os
import re
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from doubles.background import Background, running
from doubles.books import Books, senders
from doubles.client import Client
from doubles.nexthop import NextHop, Stall
from doubles.relay import Relay, letter, wait_until
from doubles.traces import held

_SUBJECT = re.compile(rb"^Subject: (\S+)\r$", re.MULTILINE)


@pytest.fixture
def hop() -> Iterator[Background]:
    with running() as background:
        yield background


def restarts(relay: Relay) -> float:
    return relay.metric("sluice_worker_restarts_total")


def reloads(relay: Relay) -> float:
    return relay.metric("sluice_reloads_total", result="ok")


def end_a_worker(relay: Relay, number: int) -> int:
    """End the worker that has served longest, and wait until another serves in its place; its process id."""
    before, ended = set(relay.workers), restarts(relay)
    worker = min(before)
    os.kill(worker, number)
    wait_until(lambda: restarts(relay) > ended, what="the restart is counted")
    wait_until(lambda: set(relay.workers) != before and len(relay.workers) == 2 and relay.ready())
    return worker


def check(books: Books, hop: Background) -> None:
    """Each message that was accepted is there, and none was refused for good."""
    arrived = {found[1].decode(): body for body in hop.bodies if (found := _SUBJECT.search(body))}
    assert books.accepted
    assert all(arrived[subject].endswith(message) for subject, message in books.accepted.items())
    assert {code // 100 for code in books.codes} <= {2, 4}, books.codes


def test_workers_come_and_go_under_load(hop: Background, tmp_path: Path) -> None:
    """Drained, killed, reloaded: with another worker at the same sockets no sender notices more than a 4xx."""
    with Relay(tmp_path, hop=hop.address, config="smtp.workers = 2") as relay:
        with senders(lambda: relay.smtp_port, 4) as books:
            end_a_worker(relay, signal.SIGTERM)
            relay.signal(signal.SIGHUP)
            wait_until(lambda: reloads(relay) == 2)
            end_a_worker(relay, signal.SIGKILL)
            taken = len(books.accepted)
            wait_until(lambda: len(books.accepted) > taken + 20, what="the mail goes on")
        check(books, hop)
        assert restarts(relay) == 2
        assert [event["status"] for event in relay.events("worker ended")] == [0, -signal.SIGKILL]
        after = wait_until(lambda: (now := held(relay)).sessions == 0 and now)
        assert (after.message_bytes, after.waiting, after.files) == (0, 0, 0)
        relay.signal(signal.SIGTERM)
        assert relay.wait() == 0


def test_a_reload_while_a_worker_starts_kills_nobody(hop: Background, tmp_path: Path) -> None:
    with Relay(tmp_path, hop=hop.address, config="smtp.workers = 2\nsmtp.max_recipients = 5") as relay:
        before = set(relay.workers)
        os.kill(min(before), signal.SIGKILL)
        wait_until(lambda: set(relay.workers) - before, what="another is being started")
        relay.configure("smtp.workers = 2\nsmtp.max_recipients = 1")
        relay.signal(signal.SIGHUP)
        wait_until(lambda: reloads(relay) == 2 and relay.ready())
        assert restarts(relay) == 1
        for _ in range(8):  # whichever worker takes it
            with Client(relay.smtp_port) as client:
                client.hello()
                replies = client.envelope("ann@sender.example", ["bob@acme.example", "eve@acme.example"])
                assert [reply.code for reply in replies] == [250, 250, 452]


class ReloadedEarly(Relay):
    """The signal comes while the program reads its configuration for the first time."""

    def start(self) -> None:
        text = self.config_file.read_text()
        self.config_file.unlink()
        os.mkfifo(self.config_file)
        starting = threading.Thread(target=super().start)
        starting.start()
        with self.config_file.open("w") as writer:  # it is open when the program reads
            self.signal(signal.SIGHUP)
            self.config_file.unlink()
            self.config_file.write_text(text)
            writer.write(text)
        starting.join()


@pytest.mark.parametrize("workers", [1, 2])
def test_a_reload_at_the_very_beginning_waits(workers: int, tmp_path: Path) -> None:
    with ReloadedEarly(tmp_path, config=f"smtp.workers = {workers}") as relay:
        wait_until(lambda: reloads(relay) == workers)
        assert restarts(relay) == 0


def test_a_stop_while_a_worker_starts(tmp_path: Path) -> None:
    """All of it ends, and the folder of metrics goes with it."""
    with Relay(tmp_path, config="smtp.workers = 2") as relay:
        before = set(relay.workers)
        environment = Path(f"/proc/{min(before)}/environ").read_bytes().split(b"\0")
        [folder] = [Path(os.fsdecode(each.partition(b"=")[2])) for each in environment if b"MULTIPROC" in each]
        assert list(folder.iterdir())
        os.kill(min(before), signal.SIGKILL)
        [new] = wait_until(lambda: set(relay.workers) - before, what="another is being started")
        relay.signal(signal.SIGTERM)
        assert relay.wait() == 0
        assert not Path(f"/proc/{new}").exists()
        assert not folder.exists()


def test_rooms_that_a_reload_replaced_are_closed_when_nobody_is_in_them(tmp_path: Path) -> None:
    stall = Stall(then="250 2.6.0 At last")
    with running(NextHop(replies={"BODY": stall})) as hop, Relay(tmp_path, hop=hop.address) as relay:
        with Client(relay.smtp_port) as client:
            client.hello()
            client.envelope("ann@sender.example", ["bob@acme.example"])
            assert client.ask("DATA").code == 354
            client.send(letter() + b".\r\n")
            wait_until(stall.reached.is_set)
            relay.signal(signal.SIGHUP)
            wait_until(lambda: reloads(relay) == 1)
            assert hop.hop.open == 1
            hop.go(stall)
            assert client.reply().code == 250
            wait_until(lambda: hop.hop.open == 0, what="the old connection is closed long before it is idle for 30 s")
            assert client.ask("NOOP").code == 250
        assert relay.metric("sluice_pool_connections_open") == 0
        hop.hop.replies.clear()
        with Client(relay.smtp_port) as client:
            client.hello()
            client.envelope("ann@sender.example", ["bob@acme.example"])
            assert client.data(letter()).code == 250


def test_a_drain_takes_no_word_of_a_body_for_a_command(hop: Background, tmp_path: Path) -> None:
    message = letter("drain", b"one\r\nQUIT\r\ntwo\r\n")
    begin, end = message.split(b"QUIT\r\n")
    with Relay(tmp_path, hop=hop.address) as relay, Client(relay.smtp_port) as data, Client(relay.smtp_port) as bdat:
        for client in (data, bdat):
            client.hello()
            client.envelope("ann@sender.example", ["bob@acme.example"])
        assert data.ask("DATA").code == 354
        data.send(begin)
        bdat.send(b"BDAT %d LAST\r\n" % len(message) + begin)
        relay.signal(signal.SIGTERM)
        wait_until(lambda: relay.events("draining"))
        for client, rest in ((data, end + b".\r\n"), (bdat, end)):
            client.send(b"QUIT\r\n" + rest)
            assert [client.reply().code, client.reply().code] == [250, 421]
        assert relay.wait() == 0
    assert [body.endswith(message) for body in hop.bodies] == [True, True]

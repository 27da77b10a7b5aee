"""kill -9 under load, again and again, with the sender's books: every message that got 250 is at the next hop or lies
in quarantine, whole; nothing malicious is at the next hop. Whatever else is broken at the time."""

import os
import random
import re
import resource
import signal
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from doubles.background import running
from doubles.client import Client, Reply, deliver
from doubles.need import need
from doubles.nexthop import HANG_UP, NextHop, Stall
from doubles.processes import frozen
from doubles.real_clamd import EICAR
from doubles.real_rspamd import RealRspamd, real_rspamd
from doubles.relay import TENANTS, Relay, letter

ROUNDS, SENDERS = 3, 8
FILLING = (b"0123456789" * 7 + b"\r\n") * 2_000
_SUBJECT = re.compile(rb"^Subject: (\S+)\r$", re.MULTILINE)


@dataclass
class Books:
    """What the senders remember."""

    accepted: dict[str, bytes] = field(default_factory=dict)
    codes: Counter[int] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)
    stop: threading.Event = field(default_factory=threading.Event)


def by_data(port: int, message: bytes) -> Reply:
    return deliver(port, message, ["bob@acme.example"])


def by_bdat(port: int, message: bytes) -> Reply:
    """MAIL, RCPT and chunks of the message."""
    with Client(port) as client:
        client.hello()
        for answer in client.envelope("ann@sender.example", ["bob@acme.example"]):
            if answer.code >= 300:
                return answer
        return client.bdat([message[at : at + 50_000] for at in range(0, len(message), 50_000)])


@dataclass(frozen=True)
class Fault:
    """What is broken while the mail comes in. `trouble` begins in the middle of a round; `end` ends the round."""

    config: str = ""
    rounds: int = 1
    seconds: tuple[float, float] = (0.8, 1.2)
    filling: bytes = FILLING
    send: Callable[[int, bytes], Reply] = by_data
    hop: Mapping[str, Any] = field(default_factory=dict)
    preexec: Callable[[], None] | None = None
    trouble: Callable[[Relay], AbstractContextManager[object]] = nullcontext
    end: Callable[[Relay], None] = Relay.kill9
    defers: bool = False
    """Whether some of the mail must have been put off."""


def kill_a_worker(relay: Relay) -> None:
    """One of them; the others serve on, and it is started again."""
    first, *_ = before = relay.workers
    os.kill(first, signal.SIGKILL)
    time.sleep(1.0)  # under load
    assert relay.running
    assert before != relay.workers


@contextmanager
def file_in_the_way(relay: Relay) -> Iterator[None]:
    """Where the quarantine was there is a file."""
    folder, away = relay.state / "quarantine", relay.state / "away"
    folder.rename(away)
    folder.write_bytes(b"")
    yield
    folder.unlink()
    away.rename(folder)


@contextmanager
def locked_database(relay: Relay) -> Iterator[None]:
    """Somebody else holds the database."""
    with closing(sqlite3.connect(relay.state / "sluice.db", isolation_level=None)) as database:
        database.execute("BEGIN EXCLUSIVE")
        yield


@contextmanager
def deleted_database(relay: Relay) -> Iterator[None]:
    """The database is deleted; for the next start the operator applies the tenants again."""
    for file in relay.state.glob("sluice.db*"):
        file.unlink()
    yield
    relay.apply(TENANTS)


def limit_files() -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_500_000, 1_500_000))


def now_and_then(usual: bytes | None = None) -> Callable[[object], object]:
    """Once in a while the next hop falls silent or hangs up at a step; `usual`: what it does else."""
    chance = random.Random(2)
    return lambda _: chance.choice([Stall(), HANG_UP]) if chance.random() < 0.04 else usual


STEPS = {"GREETING": None, "EHLO": None, "MAIL": None, "RCPT": None, "BDAT": b"", "MIDBODY": b"", "BODY": None}
QUICK = """
    [delivery]
    connections = 8
    connect_timeout = 0.3
    command_timeout = 0.3
    final_timeout = 0.3
    wait_timeout = 1.0
"""

FAULTS = {
    "none": Fault(rounds=ROUNDS, seconds=(0.5, 1.5)),
    "bdat": Fault(send=by_bdat),
    "a worker is killed": Fault("smtp.workers = 2", end=kill_a_worker),
    "the supervisor is killed": Fault("smtp.workers = 2", end=Relay.kill9_main),
    "two workers are killed": Fault("smtp.workers = 2", send=by_bdat),
    "the quarantine is full": Fault(
        "smtp.memory_bytes = 40000000", filling=FILLING * 12, preexec=limit_files, defers=True
    ),
    "the quarantine is no folder": Fault(trouble=file_in_the_way, defers=True),
    "the database is locked": Fault(trouble=locked_database),
    "the database is deleted": Fault(trouble=deleted_database, seconds=(2.4, 2.4)),
    "the next hop stalls": Fault(
        QUICK, hop={step: now_and_then(usual) for step, usual in STEPS.items()}, defers=True, seconds=(2.0, 2.0)
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_nothing_is_lost(fault: Fault, tmp_path: Path) -> None:
    books = play(fault, tmp_path)
    assert not fault.defers or books.codes[451]


@pytest.mark.slow
@pytest.mark.parametrize("dead", [False, True], ids=["frozen", "dead"])
def test_nothing_is_lost_without_rspamd(dead: bool, tmp_path: Path) -> None:
    """What rspamd has not seen is put off, and what is malicious without it is withheld."""
    need("rspamd")
    folder = tmp_path / "rspamd"
    folder.mkdir()

    @contextmanager
    def killed(rspamd: RealRspamd) -> Iterator[None]:
        os.killpg(rspamd.process.pid, signal.SIGKILL)
        yield

    with real_rspamd(folder) as rspamd:
        config = f'engines.testpatterns = {{}}\nengines.rspamd = {{url = "{rspamd.url}", deadline = 0.4}}'
        trouble = (lambda _: killed(rspamd)) if dead else (lambda _: frozen(rspamd.process))
        books = play(Fault(config, trouble=trouble, seconds=(1.6, 1.6)), tmp_path / "relay")
    assert books.codes[451]


def send_until_told(relay: Relay, fault: Fault, books: Books, name: str) -> None:
    """Send clean, large and malicious messages one after the other; a new subject for each."""
    chance = random.Random(name)
    large = fault.filling
    for number in range(100_000):
        if books.stop.is_set():
            return
        subject = f"{name}-{number}"
        body = chance.choice([b"Hello.\r\n", large, b"Pay.\r\n" + EICAR + b"\r\n", large + EICAR + b"\r\n"])
        message = letter(subject, body)
        try:
            answer = fault.send(relay.smtp_port, message)
        except (OSError, EOFError, ValueError) as error:
            books.failed[type(error).__name__] += 1
            time.sleep(0.02)
        else:
            books.codes[answer.code] += 1
            if answer.code == 250:
                books.accepted[subject] = message


def play(fault: Fault, folder: Path) -> Books:
    """All rounds, and then the books against what is there."""
    books = Books()
    config = fault.config if "memory_bytes" in fault.config else "smtp.memory_bytes = 65536\n" + fault.config
    with (
        running(NextHop(replies=fault.hop)) as hop,
        Relay(folder, hop=hop.address, config=config, preexec=fault.preexec) as relay,
    ):
        for number in range(fault.rounds):
            play_round(relay, fault, books, number)
            if not relay.running:
                relay.start()
        quarantined = {entry["subject"]: entry for entry in relay.quarantine()}
        check(relay, books, {subject_of(body): body for body in hop.bodies}, quarantined)
    assert not [code for code in books.codes if code // 100 not in {2, 4}], books.codes
    return books


def play_round(relay: Relay, fault: Fault, books: Books, number: int) -> None:
    """Send from many sides; in the middle the trouble begins."""
    books.stop.clear()
    before = len(books.accepted)
    senders = [
        threading.Thread(target=send_until_told, args=(relay, fault, books, f"{number}-{sender}"))
        for sender in range(SENDERS)
    ]
    for sender in senders:
        sender.start()
    half = random.Random(number).uniform(*fault.seconds) / 2  # how long the relay lives, not how long the test waits
    try:
        time.sleep(half)
        with fault.trouble(relay):
            time.sleep(half)
            fault.end(relay)
    finally:
        books.stop.set()
        for sender in senders:
            sender.join()
    assert len(books.accepted) > before, "it worked before it was killed"


def subject_of(body: bytes) -> str:
    found = _SUBJECT.search(body)
    assert found
    return found[1].decode()


def check(relay: Relay, books: Books, at_next_hop: dict[str, bytes], quarantined: dict[str, dict[str, object]]) -> None:
    """The books against what is there."""
    assert not [body for body in at_next_hop.values() if EICAR in body]
    for subject, message in books.accepted.items():
        if EICAR in message:
            assert quarantined[subject]["size"] == len(message)
        else:
            assert at_next_hop[subject].endswith(message)
    kept = {file.read_bytes() for file in (relay.state / "quarantine").rglob("message.eml")}
    assert {message for message in books.accepted.values() if EICAR in message} <= kept

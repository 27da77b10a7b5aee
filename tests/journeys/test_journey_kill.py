"""kill -9 under load, again and again, with the sender's books: every message that got 250 is at the next hop or lies
in quarantine, whole; nothing malicious is at the next hop."""

import random
import re
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from doubles.background import running
from doubles.client import deliver
from doubles.real_clamd import EICAR
from doubles.relay import Relay, letter

ROUNDS, SENDERS = 5, 8
FILLING = (b"0123456789" * 7 + b"\r\n") * 2_000
_SUBJECT = re.compile(rb"^Subject: (\S+)\r$", re.MULTILINE)


@dataclass
class Books:
    """What the senders remember."""

    accepted: dict[str, bytes] = field(default_factory=dict)
    failed: Counter[str] = field(default_factory=Counter)
    stop: threading.Event = field(default_factory=threading.Event)


def send_until_told(relay: Relay, books: Books, name: str) -> None:
    """Send clean, large and malicious messages one after the other; a new subject for each."""
    chance = random.Random(name)
    for number in range(100_000):
        if books.stop.is_set():
            return
        subject = f"{name}-{number}"
        body = chance.choice([b"Hello.\r\n", FILLING, b"Pay.\r\n" + EICAR + b"\r\n", FILLING + EICAR + b"\r\n"])
        message = letter(subject, body)
        try:
            answer = deliver(relay.smtp_port, message, ["bob@acme.example"])
        except (OSError, EOFError, ValueError) as error:
            books.failed[type(error).__name__] += 1
            time.sleep(0.02)
        else:
            assert answer.code // 100 in {2, 4}, answer
            if answer.code == 250:
                books.accepted[subject] = message


@pytest.mark.slow
def test_nothing_is_lost(tmp_path: Path) -> None:
    books = Books()
    chance = random.Random(1)
    with running() as hop, Relay(tmp_path, hop=hop.address, config="smtp.memory_bytes = 65536") as relay:
        for round_ in range(ROUNDS):
            books.stop.clear()
            before = len(books.accepted)
            senders = [
                threading.Thread(target=send_until_told, args=(relay, books, f"{round_}-{number}"))
                for number in range(SENDERS)
            ]
            for sender in senders:
                sender.start()
            time.sleep(chance.uniform(0.5, 1.5))  # how long the relay lives, not how long the test waits
            relay.kill9()
            books.stop.set()
            for sender in senders:
                sender.join()
            assert len(books.accepted) > before, "it worked before it was killed"
            relay.start()
        quarantined = {entry["subject"]: entry for entry in relay.quarantine()}
        at_next_hop = {subject_of(body): body for body in hop.bodies}
        check(relay, books, at_next_hop, quarantined)


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

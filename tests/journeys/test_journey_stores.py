"""The database locked or gone, the disk full: mail flows, or is brought again; nothing is lost or half kept."""

import os
import resource
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from doubles.background import Background, running
from doubles.client import Client, deliver
from doubles.need import need
from doubles.real_clamd import EICAR
from doubles.relay import Relay, letter, wait_until

LARGE = (b"x" * 74 + b"\r\n") * 40_000


@pytest.fixture
def hop() -> Iterator[Background]:
    with running() as background:
        yield background


def code(relay: Relay, message: bytes) -> int:
    return deliver(relay.smtp_port, message, ["bob@acme.example"]).code


def test_database_locked(hop: Background, tmp_path: Path) -> None:
    with Relay(tmp_path, hop=hop.address) as relay:
        with closing(sqlite3.connect(relay.state / "sluice.db", isolation_level=None)) as database:
            database.execute("BEGIN EXCLUSIVE")
            for number in range(20):
                assert code(relay, letter(f"locked-{number}")) == 250
            assert code(relay, letter("bad", EICAR)) == 250
            database.execute("ROLLBACK")
        wait_until(lambda: len(relay.scans()) == 21, what="the records come when the lock is gone")
        assert len(hop.bodies) == 20
        assert len(relay.quarantine()) == 1


@pytest.mark.slow
def test_database_gone(hop: Background, tmp_path: Path) -> None:
    """Mail flows; readiness says what is wrong; at the end at the latest the record is in the log, whole."""
    with Relay(tmp_path, hop=hop.address) as relay:
        assert code(relay, letter("before")) == 250
        wait_until(lambda: len(relay.scans()) == 1)
        for file in relay.state.glob("sluice.db*"):
            file.unlink()
        assert code(relay, letter("after")) == 250
        assert code(relay, letter("bad", EICAR)) == 250
        status, told = wait_until(lambda: (found := relay.http("/readyz"))[0] == 503 and found)
        assert status == 503
        assert "records" in told
        assert len(hop.bodies) == 2
        relay.stop()
        assert {record["subject"] for record in relay.events("record")} == {"after", "bad"}


def test_database_that_is_none(hop: Background, tmp_path: Path) -> None:
    """A file that is no database any more: mail flows all the same."""
    with Relay(tmp_path, hop=hop.address) as relay:
        # Not sluice.db-shm: a memory map that is cut off kills whoever reads it (SIGBUS), in every program with SQLite.
        for name in ("sluice.db", "sluice.db-wal"):
            (relay.state / name).write_bytes(b"no database" * 1000)
        assert code(relay, letter("after")) == 250
        assert code(relay, letter("bad", EICAR)) == 250
        assert len(hop.bodies) == 1


@contextmanager
def small_disk(folder: Path, size: int) -> Iterator[None]:
    """A file system of so many bytes at `folder`; the test is skipped where mounting is not allowed."""
    folder.mkdir(parents=True)
    mounted = subprocess.run([need("mount"), "-t", "tmpfs", "-o", f"size={size}", "none", folder], capture_output=True)
    if mounted.returncode:
        pytest.skip("mounting is not allowed here")
    try:
        yield
    finally:
        subprocess.run([need("umount"), "-l", folder], check=True)


def assert_nothing_is_kept(relay: Relay, hop: Background) -> None:
    assert relay.quarantine() == []
    assert hop.bodies == []
    kept = [file for file in (relay.state / "quarantine").rglob("message*") if file.is_file()]
    assert kept == []


def test_disk_full_for_the_quarantine(hop: Background, tmp_path: Path) -> None:
    with (
        small_disk(tmp_path / "small", 300_000),
        Relay(tmp_path / "relay", hop=hop.address, config=f'quarantine.folder = "{tmp_path}/small/q"') as relay,
    ):
        assert code(relay, letter("large", EICAR + b"\r\n" + LARGE)) == 451
        assert_nothing_is_kept(relay, hop)
        assert code(relay, letter("small", EICAR)) == 250
        assert len(relay.quarantine()) == 1
        assert code(relay, letter("clean", LARGE)) == 250


def test_file_limit_for_the_quarantine(hop: Background, tmp_path: Path) -> None:
    """The same without a mount: the process may not write files of that size."""
    config = "smtp.memory_bytes = 40000000"
    with Relay(tmp_path, hop=hop.address, config=config, preexec=limit_files) as relay:
        assert code(relay, letter("large", EICAR + b"\r\n" + LARGE)) == 451
        assert_nothing_is_kept(relay, hop)
        assert code(relay, letter("small", EICAR)) == 250


def limit_files() -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_500_000, 1_500_000))


def test_quarantine_that_cannot_be_written(hop: Background, tmp_path: Path) -> None:
    """Its folder is a file: what is malicious is brought again, what is clean goes."""
    with Relay(tmp_path, hop=hop.address) as relay:
        folder = relay.state / "quarantine"
        if folder.exists():
            os.rename(folder, tmp_path / "away")
        folder.write_bytes(b"")
        assert code(relay, letter("bad", EICAR)) == 451
        assert code(relay, letter("clean")) == 250
        assert len(hop.bodies) == 1


def refused_for_lack_of_room(relay: Relay) -> None:
    """A large message is refused with 4xx, by DATA and by BDAT, and the session goes on."""
    with Client(relay.smtp_port) as client:
        client.hello()
        for send in (client.data, lambda body: client.bdat([body[:1_000_000], body[1_000_000:]])):
            client.envelope("ann@sender.example", ["bob@acme.example"])
            answer = send(letter("large", LARGE))
            assert (answer.code, answer.text[:5]) == (452, "4.3.1")
            assert client.ask("RSET").code == 250
        client.envelope("ann@sender.example", ["bob@acme.example"])
        assert client.data(letter("small")).code == 250


def test_disk_full_for_the_drafts(hop: Background, tmp_path: Path) -> None:
    with small_disk(tmp_path / "small", 2_000_000):
        config = f'smtp.memory_bytes = 4096\nnode.state = "{tmp_path}/small"'
        with Relay(tmp_path / "relay", hop=hop.address, config=config) as relay:
            refused_for_lack_of_room(relay)
            assert len(hop.bodies) == 1


def test_file_limit_for_the_drafts(hop: Background, tmp_path: Path) -> None:
    config = "smtp.memory_bytes = 4096"
    with Relay(tmp_path, hop=hop.address, config=config, preexec=limit_files) as relay:
        refused_for_lack_of_room(relay)
        assert len(hop.bodies) == 1


def test_bytes_in_flight(hop: Background, tmp_path: Path) -> None:
    """Over the budget 452 4.3.1 at MAIL; room is taken when the data begins and comes back when the session ends it."""
    with (
        Relay(tmp_path, hop=hop.address, config="smtp.max_bytes_in_flight = 100000") as relay,
        Client(relay.smtp_port) as first,
        Client(relay.smtp_port) as second,
    ):
        first.hello()
        second.hello()
        assert first.ask("MAIL FROM:<> SIZE=80000").code == 250
        assert first.ask("RCPT TO:<bob@acme.example>").code == 250
        assert first.ask("DATA").code == 354
        answer = second.ask("MAIL FROM:<> SIZE=80000")
        assert (answer.code, answer.text[:5]) == (452, "4.3.1")
        first.send(letter() + b".\r\n")
        assert first.reply().code == 250
        assert second.ask("MAIL FROM:<> SIZE=80000").code == 250

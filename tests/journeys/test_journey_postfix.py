"""Postfix's smtp-source as Microsoft and its smtp-sink as the tenant, through one relay and through two workers."""

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest
from doubles.need import need
from doubles.processes import free_port, listens, server
from doubles.relay import Relay, letter, wait_until

MESSAGES, SESSIONS = 400, 50


@contextmanager
def sink(folder: Path) -> Iterator[tuple[str, Path]]:
    """smtp-sink on a free port; its address, and the file that the messages are appended to."""
    port, kept = free_port(), folder / "kept"
    command = [need("smtp-sink"), "-u", "root", "-D", str(kept), f"127.0.0.1:{port}", "100"]
    if os.getuid():
        del command[1:3]
    with server(command, folder / "sink.log", lambda: listens(port)):
        yield f"127.0.0.1:{port}", kept


def source(folder: Path, port: int, *, reuse: bool = False) -> None:
    """Send MESSAGES messages by SESSIONS sessions. Raises CalledProcessError at the first reply that is no success."""
    message = folder / "letter"
    message.write_bytes(letter(body=b"Hello.\r\n.\r\n" * 200).replace(b"\r\n", b"\n"))
    command = [need("smtp-source"), "-s", str(SESSIONS), "-m", str(MESSAGES), "-F", str(message)]
    command += ["-f", "ann@sender.example", "-t", "bob@acme.example", *(["-d"] if reuse else []), f"127.0.0.1:{port}"]
    subprocess.run(command, check=True, timeout=100, capture_output=True)


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_many_sessions(workers: int, tmp_path: Path) -> None:
    with sink(tmp_path) as (address, kept):
        with Relay(tmp_path / "relay", hop=address, config=f"smtp.workers = {workers}") as relay:
            source(tmp_path, relay.smtp_port)
            source(tmp_path, relay.smtp_port, reuse=True)
            delivered = partial(relay.metric, "sluice_messages_total", outcome="delivered")
            wait_until(lambda: delivered() == 2 * MESSAGES, what="all are counted")  # workers share every second
            assert relay.metric("sluice_sessions_total") >= SESSIONS
            wait_until(lambda: len(relay.scans()) == 2 * MESSAGES, what="all are recorded")
            wait_until(lambda: relay.metric("sluice_sessions_open") == 0, what="no session is left")
        wait_until(lambda: kept.read_bytes().count(b"X-Sluice-Trace:") == 2 * MESSAGES, what="all are at the sink")


@pytest.mark.slow
def test_a_worker_that_dies_is_started_again(tmp_path: Path) -> None:
    with sink(tmp_path) as (address, _), Relay(tmp_path / "relay", hop=address, config="smtp.workers = 2") as relay:
        children = Path(f"/proc/{relay.pid}/task/{relay.pid}/children").read_text().split()
        assert len(children) == 2
        os.kill(int(children[0]), signal.SIGKILL)
        wait_until(lambda: relay.metric("sluice_worker_restarts_total") == 1, what="the supervisor has seen it")
        wait_until(relay.ready)
        source(tmp_path, relay.smtp_port)
        delivered = partial(relay.metric, "sluice_messages_total", outcome="delivered")
        wait_until(lambda: delivered() == MESSAGES, what="all are counted")


def test_two_workers_drain(tmp_path: Path) -> None:
    with Relay(tmp_path / "relay", config="smtp.workers = 2") as relay:
        children = Path(f"/proc/{relay.pid}/task/{relay.pid}/children").read_text().split()
        relay.signal(signal.SIGTERM)
        assert relay.wait() == 0
        assert not any(Path(f"/proc/{child}").exists() for child in children)


def test_workers_end_with_their_supervisor(tmp_path: Path) -> None:
    with Relay(tmp_path / "relay", config="smtp.workers = 2") as relay:
        children = Path(f"/proc/{relay.pid}/task/{relay.pid}/children").read_text().split()
        relay.signal(signal.SIGKILL)
        wait_until(lambda: not any(alive(int(child)) for child in children), what="no worker is left")


def alive(pid: int) -> bool:
    """Whether the process runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False

"""The place of one worker: started again with a growing pause, counted, told signals only when it can hear them."""

import asyncio
import signal
import sys

import pytest
from structlog.testing import capture_logs

from relay import supervisor
from relay.observe import metrics
from relay.supervisor import Seat

HEARS = 'import signal, sys; signal.signal(signal.SIGHUP, lambda *_: print(\'{"heard": "it"}\', flush=True)); '
READY = "print('{}', flush=True); sys.stdin.read()"


@pytest.fixture(autouse=True)
def no_folder(monkeypatch):
    """The metrics of this process lie in no folder, so that no worker can leave any there."""
    monkeypatch.setattr(metrics, "worker_ended", lambda _: None)


@pytest.fixture
def pauses(monkeypatch):
    """Pauses of a thousandth; what was logged."""
    for name in ("FIRST_PAUSE", "LONGEST_PAUSE", "STEADY"):
        monkeypatch.setattr(supervisor, name, getattr(supervisor, name) / 1000)
    with capture_logs() as logged:
        yield logged


async def until(condition):
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.005)


async def test_a_dead_worker_is_started_again_with_a_growing_pause(pauses, monkeypatch):
    monkeypatch.setattr(supervisor, "STEADY", 3600.0)
    before = metrics.WORKER_RESTARTS._value.get()
    seat = Seat(3, ["/bin/sh", "-c", "exit 7"], [])
    running = asyncio.create_task(seat.run())
    await until(lambda: len(pauses) >= 9)
    seat.send(signal.SIGTERM)
    await running
    assert metrics.WORKER_RESTARTS._value.get() - before == len(pauses)
    told = [line["pause"] * 1000 for line in pauses]
    assert told[:9] == pytest.approx([0.25, 0.5, 1, 2, 4, 8, 16, 30, 30])
    assert {(line["worker"], line["status"]) for line in pauses} == {(3, 7)}
    assert seat.problems == {"worker": "ended with status 7, starts again"}


async def test_after_a_steady_run_the_pause_is_short_again(pauses, monkeypatch):
    monkeypatch.setattr(supervisor, "STEADY", 0.0)
    seat = Seat(1, ["/bin/sh", "-c", "exit 7"], [])
    running = asyncio.create_task(seat.run())
    await until(lambda: len(pauses) >= 4)
    seat.send(signal.SIGTERM)
    await running
    assert {line["pause"] for line in pauses} == {supervisor.FIRST_PAUSE}


async def test_a_stop_in_the_pause_ends_it(monkeypatch):
    monkeypatch.setattr(supervisor, "FIRST_PAUSE", 3600.0)
    seat = Seat(1, ["/bin/sh", "-c", "exit 7"], [])
    running = asyncio.create_task(seat.run())
    await until(lambda: "status 7" in seat.problems["worker"])
    seat.send(signal.SIGTERM)
    async with asyncio.timeout(10):
        await running


async def test_a_reload_waits_for_a_worker_that_starts(tmp_path):
    """The signal would kill a worker that has no ear for it yet."""
    gate = tmp_path / "gate"
    wait = f"import os, time\nwhile not os.path.exists({str(gate)!r}): time.sleep(0.005)\n"
    seat = Seat(1, [sys.executable, "-c", wait + HEARS + READY], [])
    running = asyncio.create_task(seat.run())
    await until(lambda: seat._process is not None)
    seat.send(signal.SIGHUP)
    gate.touch()
    await until(lambda: seat.problems == {"heard": "it"})
    seat.send(signal.SIGTERM)
    async with asyncio.timeout(10):
        await running


async def test_a_stop_does_not_wait_for_a_worker_that_starts():
    seat = Seat(1, [sys.executable, "-c", "import sys; sys.stdin.read()"], [])
    running = asyncio.create_task(seat.run())
    await until(lambda: seat._process is not None)
    seat.send(signal.SIGTERM)
    async with asyncio.timeout(10):
        await running
    assert seat._process.returncode == -signal.SIGTERM

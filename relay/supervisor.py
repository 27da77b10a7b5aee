"""Several workers behind one set of listening sockets: starts them, starts them again, passes signals, serves the sum.

The sockets are opened once, here, and inherited, so that a connection that waits while a worker dies is taken by
another. A worker tells its problems as JSON lines on its standard output and leaves when its standard input ends, so
that none outlives the supervisor, however that ends.
"""

import asyncio
import hashlib
import json
import os
import shutil
import signal
import socket
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import structlog

from config.settings import Settings

log = structlog.get_logger("supervisor")

FIRST_PAUSE, LONGEST_PAUSE, STEADY = 0.25, 30.0, 60.0
"""Seconds before a dead worker is started again, doubled each time up to the longest; forgotten after a steady run."""


class Seat:
    """The place of one worker: runs it, and runs it again."""

    def __init__(self, number: int, command: Sequence[str], sockets: Sequence[socket.socket]) -> None:
        self.number = number
        self.problems: dict[str, str] = {"worker": "starting"}
        self._command, self._sockets = command, sockets
        self._process: asyncio.subprocess.Process | None = None
        self._stopping = asyncio.Event()
        self._hears = False  # before its first line, a signal other than SIGTERM would only kill it
        self._later: signal.Signals | None = None

    async def run(self) -> None:
        """Until stopped: a worker that ends is started again, after a pause that grows."""
        clock, pause = asyncio.get_running_loop().time, FIRST_PAUSE
        while not self._stopping.is_set():
            started = clock()
            status = await self._one_life()
            if self._stopping.is_set():
                return
            pause = FIRST_PAUSE if clock() - started > STEADY else pause
            self.problems = {"worker": f"ended with status {status}, starts again"}
            log.error("worker ended", worker=self.number, status=status, pause=pause)
            _count_restart()
            with suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._stopping.wait()
            pause = min(pause * 2, LONGEST_PAUSE)

    async def _one_life(self) -> int:
        numbers = [sock.fileno() for sock in self._sockets]
        self._process = process = await asyncio.create_subprocess_exec(
            *self._command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            pass_fds=numbers,
            env=os.environ | {"SLUICE_WORKER": str(self.number), "SLUICE_SOCKETS": ",".join(map(str, numbers))},
        )
        if self._stopping.is_set():  # while it was being started
            process.send_signal(signal.SIGTERM)
        assert process.stdout is not None
        async for line in process.stdout:
            with suppress(ValueError):
                self.problems = json.loads(line)
            self._now_hears()
        status = await process.wait()
        self._hears = False
        _forget(process.pid)
        return status

    def _now_hears(self) -> None:
        self._hears, later, self._later = True, self._later, None
        if later is not None:
            self.send(later)

    def send(self, number: signal.Signals) -> None:
        """Pass a signal on; SIGHUP waits for a worker that is being started, since that may have read the old file."""
        if number is signal.SIGTERM:
            self._stopping.set()
        elif not self._hears:
            self._later = number
            return
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(number)


class Supervisor:
    """All seats of one node."""

    def __init__(self, config: Path, settings: Settings, sockets: Sequence[socket.socket], http: socket.socket) -> None:
        command = [sys.executable, "-m", "relay.cli", "serve", "--config", str(config)]
        self._seats = [Seat(number, command, sockets) for number in range(1, settings.smtp.workers + 1)]
        self._http = http

    async def run(self) -> int:
        """Until SIGTERM or SIGINT, and until all workers have drained."""
        from relay.admin.server import start  # noqa: PLC0415 - after the environment is set, see prepare_metrics
        from relay.observe import metrics  # noqa: PLC0415

        metrics.READY.set(1)  # the least of all workers counts
        server = await start(self._http, metrics.exposition_of_all, self._readiness)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._send, signal.SIGTERM)
        loop.add_signal_handler(signal.SIGHUP, self._send, signal.SIGHUP)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})  # one that came since `serve` began is heard now
        await asyncio.gather(*(seat.run() for seat in self._seats))
        await server.close()
        return 0

    def _send(self, number: signal.Signals) -> None:
        log.info("signal", signal=number.name)
        for seat in self._seats:
            seat.send(number)

    async def _readiness(self) -> dict[str, str]:
        return {
            f"worker {seat.number}: {name}": problem for seat in self._seats for name, problem in seat.problems.items()
        }


def prepare_metrics(state: Path) -> None:
    """Name the folder in which workers share their metrics, emptied. Must run before the metrics are imported.

    In memory where the system has such a place: the files are memory maps, and writing to one on a full disk kills.
    """
    memory = Path("/dev/shm")  # noqa: S108 - the name below is this node's own, and the folder is closed to others
    name = f"sluice-{hashlib.sha256(bytes(state.resolve())).hexdigest()[:16]}"
    folder = memory / name if os.access(memory, os.W_OK) else state / "metrics"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700)
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(folder)


def forget_metrics() -> None:
    """Remove the folder of `prepare_metrics`."""
    shutil.rmtree(os.environ["PROMETHEUS_MULTIPROC_DIR"], ignore_errors=True)


def _count_restart() -> None:
    from relay.observe import metrics  # noqa: PLC0415

    metrics.WORKER_RESTARTS.inc()


def _forget(pid: int) -> None:
    from relay.observe import metrics  # noqa: PLC0415

    metrics.worker_ended(pid)

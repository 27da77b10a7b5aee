"""One process that serves mail: starts, watches, reloads, drains, stops."""

import asyncio
import gc
import json
import os
import signal
import socket
import sys
from collections.abc import Callable, Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any

import structlog

from config.settings import Settings
from relay import assembly
from relay.admin.server import start as start_http
from relay.assembly.notices import Herald
from relay.checks import required
from relay.intake.listener import Listener
from relay.journey import Journey
from relay.observe import logs, metrics
from relay.observe.health import Health
from relay.observe.lag import watch as watch_lag
from relay.onboarding import rotation
from relay.onboarding.domains.verifying import announce
from relay.onboarding.ranges.keeper import Keeper
from relay.onboarding.ranges.notebook import Notebook
from relay.quarantine.folder import Folder
from relay.records import queries, tenants
from relay.records.history import History
from relay.records.model import Record
from relay.records.store import Store
from relay.records.writer import Writer
from relay.rooms import Rooms
from relay.tools import SystemClock

log = structlog.get_logger("worker")

TENANTS_EVERY, HEALTH_EVERY, METRICS_EVERY, TIDY_EVERY, ROTATIONS_EVERY = 2.0, 1.0, 1.0, 60.0, 600.0
"""Seconds between looks at the tenants' revision, at the worker's health, at what has expired, at old loop values."""
PROOFS_EVERY = 30.0
"""Seconds between looks at which domains' records are to be looked for."""
RANGES_EVERY = 2.0
"""Seconds between looks at Microsoft's ranges: whether they have changed, whether it is time to ask."""


class Worker:
    """Everything that one process needs to serve mail. `number` is 0 when it is the only one."""

    def __init__(self, config: Path, settings: Settings, number: int) -> None:
        self.health = Health()
        self.health.set("starting", "not open for mail yet")
        self._config, self._settings, self._number = config, settings, number
        self._stop = asyncio.Event()
        self._told_to = _private_stdout() if number else -1
        self._tasks: list[asyncio.Task[None]] = []
        self._retired: list[Rooms] = []
        self._reloading = asyncio.Lock()  # else the one that began first could end last
        self._lines_lost = 0

    async def run(self, sockets: list[socket.socket], http: socket.socket | None) -> int:
        """Serve until SIGTERM or SIGINT, then drain. Raises ConfigurationError and StoreFailed when it cannot start."""
        self._signals()
        await self._open()
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, lambda: self._spawn(self.reload()))
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})  # one that came since `serve` began is heard now
        await self._listener.start(sockets)
        server = http and await start_http(http, metrics.exposition, self._readiness)
        self._watch()
        _tame_garbage_collector()
        self.health.set("starting", None)
        self._tell_health()
        await self._stop.wait()
        await self._drain()
        if server:
            await server.close()
        return 0

    async def _open(self) -> None:
        settings = self._settings
        self._certificates = assembly.certificates(settings)
        self._store = Store(settings.records_url)
        await asyncio.to_thread(self._store.migrate)
        self._writer = Writer(self._store, settings.records.backlog)
        self._history = History(self._store, SystemClock())
        self._herald = Herald(self._store)
        self._folder = Folder(settings.quarantine_folder)
        self._revision, self._rooms = await self._build(settings)
        self._notebook = Notebook(settings.node.state)
        self._keeper = Keeper(self._notebook, SystemClock())
        self._memory = self._notebook.read()
        await self._herald.follow(self._herald.prepared(settings))
        self._listener = Listener(
            assembly.intake_options(settings),
            assembly.admission(settings, self._memory),
            lambda: Journey(lambda: self._rooms),
            lambda: self._certificates.context() if self._certificates else None,
        )

    async def _build(self, settings: Settings) -> tuple[int, Rooms]:
        revision, directory = await asyncio.to_thread(assembly.directory, self._store)
        rooms = assembly.rooms(settings, directory, self._folder, self._record, self._history)
        rooms.hop_failed = self._herald.sightings.hop_failed
        return revision, rooms

    def _record(self, record: Record) -> None:
        self._writer.put(record)
        self._herald.sightings.saw(record)

    def _signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        if self._number:  # the supervisor holds the other end: when it is gone, so are we
            loop.add_reader(sys.stdin.fileno(), self._orphaned)

    def _orphaned(self) -> None:
        asyncio.get_running_loop().remove_reader(sys.stdin.fileno())  # an end stays readable
        self._stop.set()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        self._tasks = [task for task in self._tasks if not task.done()]
        self._tasks.append(asyncio.create_task(work))

    def _watch(self) -> None:
        self._spawn(watch_lag())
        self._spawn(self._every(METRICS_EVERY, self._share_metrics))
        self._spawn(self._every(HEALTH_EVERY, self._look))
        self._spawn(self._every(TENANTS_EVERY, self._refresh_tenants))
        self._spawn(self._every(RANGES_EVERY, self._refresh_ranges))
        self._spawn(self._every(self._settings.notices.look_seconds, self._herald.remember))
        if self._number <= 1:
            self._spawn(self._every(self._settings.notices.look_seconds, self._herald.look))
            self._spawn(self._every(TIDY_EVERY, self._tidy))
            self._spawn(self._every(ROTATIONS_EVERY, self._end_rotations))
            self._spawn(self._every(PROOFS_EVERY, self._prove_domains))
            self._spawn(self._every(RANGES_EVERY, self._ask_for_ranges))

    async def _every(self, seconds: float, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        while True:
            try:
                await work()
            except Exception as error:  # noqa: BLE001 - whatever it was, the next turn tries again
                log.error("housekeeping failed", work=work.__name__, error=str(error))  # noqa: TRY400
            await asyncio.sleep(seconds)

    async def _share_metrics(self) -> None:
        metrics.share()

    async def _look(self) -> None:
        before = self.health.problems
        self.health.set("records", self._writer.failing)
        self.health.set("log", self._log_problem())
        self.health.set("certificate", self._certificate_problem())
        if self.health.problems != before:
            self._tell_health()
        await self._close_retired()

    async def _close_retired(self) -> None:
        """Close the rooms that a reload replaced and that no message is in any more."""
        left, self._retired = (
            [rooms for rooms in self._retired if not rooms.users],
            [rooms for rooms in self._retired if rooms.users],
        )
        for rooms in left:
            await assembly.close(rooms)

    def _log_problem(self) -> str | None:
        more = logs.lost() - self._lines_lost
        self._lines_lost += more
        metrics.LOG_LINES_LOST.inc(more)
        return "lines cannot be written" if more else None

    def _certificate_problem(self) -> str | None:
        ended = self._certificates is not None and self._certificates.expiry() < self._rooms.clock.time()
        return "the certificate has expired" if ended else None

    def _tell_health(self) -> None:
        problems = self.health.problems
        if problems:
            log.warning("not ready", **problems)
        if self._number:
            with suppress(OSError):  # the supervisor is gone; the drain goes on without it
                os.write(self._told_to, json.dumps(problems).encode() + b"\n")

    async def _readiness(self) -> dict[str, str]:
        return self.health.problems

    async def _refresh_tenants(self) -> None:
        if await asyncio.to_thread(tenants.revision, self._store) != self._revision:
            self._revision, self._rooms.directory = await asyncio.to_thread(assembly.directory, self._store)
            log.info("tenants loaded", revision=self._revision)

    async def _refresh_ranges(self) -> None:
        """New sessions follow what was fetched, or accepted by an operator, since the last look."""
        async with self._reloading:
            memory = await asyncio.to_thread(self._notebook.read)
            if memory is self._memory:
                return
            admission = assembly.admission(self._settings, memory)
            before, self._memory = self._memory, memory
            if memory.fetched() != before.fetched():
                self._listener.reconfigure(assembly.intake_options(self._settings), admission)
                log.info("Microsoft's ranges loaded")

    async def _ask_for_ranges(self) -> None:
        told = self._settings.admission
        if told.microsoft and told.refresh:
            lists = assembly.shipped_lists(self._settings)
            await self._keeper.look(lists, told.endpoints_url, told.refresh_jitter)

    async def _tidy(self) -> None:
        now, day = self._rooms.clock.time(), 86_400
        kept, records = self._settings.quarantine.keep_days, self._settings.records.keep_days
        await asyncio.to_thread(self._folder.expire, now - kept * day)
        await asyncio.to_thread(queries.expire, self._store, now - records * day)
        metrics.QUARANTINED.set(await asyncio.to_thread(self._folder.count))

    async def _end_rotations(self) -> None:
        days = self._settings.onboarding.old_value_days
        await asyncio.to_thread(rotation.end_unused, self._store, days, self._rooms.clock.time())

    async def _prove_domains(self) -> None:
        await assembly.verifier(self._settings, self._store, self._rooms.clock.time, [announce]).recheck()

    async def reload(self) -> None:
        """SIGHUP: configuration, tenants and certificates; what is broken keeps the old ones and says so."""
        async with self._reloading:
            await self._reload()

    async def _reload(self) -> None:
        try:
            settings = assembly.reloaded(self._settings, await asyncio.to_thread(required, self._config))
            certificates = await asyncio.to_thread(assembly.certificates, settings)
            memory = await asyncio.to_thread(self._notebook.read)
            admission, intake = assembly.admission(settings, memory), assembly.intake_options(settings)
            revision, rooms = await self._build(settings)
            teller = self._herald.prepared(settings)
        except Exception as error:  # noqa: BLE001 - a reload must never end the service
            metrics.RELOADS.labels("failed").inc()
            self.health.set("reload", "the last reload failed, the old configuration stays")
            log.error("reload failed, the old configuration stays", problems=getattr(error, "problems", str(error)))  # noqa: TRY400
            return
        rooms.gate = self._rooms.gate.follow(rooms.gate)  # those who are being judged stay counted
        self._retired.append(self._rooms)
        self._revision, self._rooms, self._settings, self._certificates = revision, rooms, settings, certificates
        self._memory = memory
        self._spawn(self._herald.follow(teller))
        self._listener.reconfigure(intake, admission)
        metrics.RELOADS.labels("ok").inc()
        self.health.set("reload", None)
        log.info("reloaded")

    async def _drain(self) -> None:
        log.info("draining", seconds=self._settings.node.drain)
        self._listener.stop_accepting()
        self.health.set("draining", "no new sessions")
        self._tell_health()
        await self._listener.drain(self._settings.node.drain, self._settings.delivery.final_timeout)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._herald.close()
        for rooms in (self._rooms, *self._retired):
            await assembly.close(rooms)
        metrics.share()
        await asyncio.to_thread(self._writer.close, 5.0)
        self._folder.close()
        self._history.close()
        self._store.close()
        log.info("stopped")


def _tame_garbage_collector() -> None:
    """Nearly all that a message leaves behind is freed by its reference count; cycles are few, and may wait.

    What is here after the start stays: looking through it, every 2000 messages or so, stops the loop for 0.1 s. Then
    Python's 700 objects more than at the last look are what ten open sessions come and go with, so that it looks all
    the time, for a seventh of the CPU. 50,000 are some megabytes, and looked through in milliseconds.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


def _private_stdout() -> int:
    """The pipe to the supervisor, as a descriptor of its own; what anything prints goes to standard error."""
    pipe = os.dup(sys.stdout.fileno())
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return pipe

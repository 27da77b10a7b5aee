"""Writer: takes records without ever waiting, and commits them in groups from a thread of its own.

A record is never dropped: what the database has not taken within `patience` seconds, and what comes while `backlog`
records wait, goes to the log whole (event "record"). Then mail flows on, and `failing` says why we are not ready.
"""

import math
import threading
import time
from collections import deque
from contextlib import suppress

import structlog

from relay.errors import StoreFailed
from relay.observe import metrics
from relay.records.model import Record, to_row, to_values
from relay.records.schema import revision, scans
from relay.records.store import Store

GROUP = 500
"""Records of one commit."""
GROUP_SECONDS = 0.2
"""How long a record waits for company."""
PATIENCE = 30.0
"""Seconds that a record waits for a failing database."""
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 5.0
"""Seconds between two tries of a failing database; doubled each time."""
STUCK = 10.0
"""Seconds after which a try that has not come back counts as failing."""

log = structlog.get_logger("records")


class Writer:
    """Writes the records of one process to `store`. Made after any fork."""

    def __init__(self, store: Store, backlog: int, *, patience: float = PATIENCE) -> None:
        self._store, self._backlog, self._patience = store, backlog, patience
        self._waiting: deque[tuple[float, Record]] = deque()
        self._in_hand: list[tuple[float, Record]] = []
        self._wake, self._stop = threading.Event(), threading.Event()
        self._problem: str | None = None
        self._try_began: float | None = None
        self._thread = threading.Thread(target=self._run, name="records", daemon=True)
        self._thread.start()

    @property
    def failing(self) -> str | None:
        """What is wrong with the database, for operators; None when the last try went well."""
        began = self._try_began
        if began is not None and time.monotonic() - began > STUCK:
            return "the database does not answer"
        return self._problem

    def put(self, record: Record) -> None:
        """Take a record. Never waits, never raises."""
        if len(self._waiting) >= self._backlog or self._stop.is_set():
            _to_log(record)
            return
        self._waiting.append((time.monotonic(), record))
        if not self._wake.is_set():
            self._wake.set()

    def close(self, timeout: float) -> None:
        """Write what waits, with one try; what is not written within `timeout` seconds goes to the log. Blocks."""
        self._stop.set()
        self._wake.set()
        self._thread.join(timeout)
        # What is left when the thread hangs in the database; should that come back, a record is told twice.
        for _, record in [*self._in_hand, *self._take(len(self._waiting))]:
            _to_log(record)

    def _run(self) -> None:
        while self._waiting or not self._stop.is_set():
            if not self._wake.wait(LONGEST_PAUSE if self._problem else None):
                self._write([])  # is the database back? Nobody sends mail to a node that is not ready.
                continue
            if len(self._waiting) < GROUP:
                self._stop.wait(GROUP_SECONDS)
            self._wake.clear()
            self._settle(self._take(GROUP))
            if self._waiting:
                self._wake.set()

    def _take(self, most: int) -> list[tuple[float, Record]]:
        taken: list[tuple[float, Record]] = []
        with suppress(IndexError):
            while len(taken) < most:
                taken.append(self._waiting.popleft())
        return taken

    def _settle(self, batch: list[tuple[float, Record]]) -> None:
        """Until each record of `batch` is in the database or in the log."""
        pause = FIRST_PAUSE
        self._in_hand = batch
        while self._in_hand:
            metrics.RECORDS_BACKLOG.set(len(self._waiting) + len(self._in_hand))
            if self._write([record for _, record in self._in_hand]):
                self._in_hand = []
            else:
                self._in_hand = self._give_up_old(self._in_hand)
                self._stop.wait(pause if self._in_hand else 0)
                pause = min(pause * 2, LONGEST_PAUSE)
        metrics.RECORDS_BACKLOG.set(len(self._waiting))

    def _write(self, records: list[Record]) -> bool:
        """One try. Without records it only proves that the database takes a write."""
        self._try_began = time.monotonic()
        try:
            with self._store.writing() as connection:
                if records:
                    self._store.insert_once(connection, scans, [to_values(record) for record in records])
                else:
                    connection.execute(revision.update().values(n=revision.c.n))
        except StoreFailed as error:
            self._tell(error.detail)
        except Exception as error:  # noqa: BLE001 - the thread must outlive whatever a record or a driver does
            self._tell(repr(error))
        else:
            self._tell(None)
        self._try_began = None
        return self._problem is None

    def _tell(self, problem: str | None) -> None:
        if problem != self._problem:
            log.warning("database fails" if problem else "database works again", problem=problem)
        self._problem = problem

    def _give_up_old(self, batch: list[tuple[float, Record]]) -> list[tuple[float, Record]]:
        """Send what has waited too long to the log, of `batch` and of all that waits; returns the rest of `batch`."""
        latest = math.inf if self._stop.is_set() else time.monotonic() - self._patience
        while self._waiting and self._waiting[0][0] <= latest:
            batch += self._take(1)
        for at, record in batch:
            if at <= latest:
                _to_log(record)
        return [(at, record) for at, record in batch if at > latest]


def _to_log(record: Record) -> None:
    metrics.RECORDS_LOST.inc()
    with suppress(Exception):  # a log that cannot be written must not stop mail either
        log.error("record", **to_row(record))

"""The pool of one next hop: pure decisions, no I/O, no awaiting.

Tell it what happened (want, opened, rests, released, lost, ...), then ask `assign` what to do. Where there are more
connections than transactions it has nothing to do, which `take`, `rests` and `released` say at once. All times are
seconds of one monotonic clock. Connections and waiters are opaque here; they only must be hashable.

The rules, in the order in which they are applied:
1. An idle connection that is too old, used up or idle for long is closed.
2. A transaction that has rested for `hold` is given back. So are those that have rested longest (for RECALL_AFTER at
   least) when somebody waits who can neither get an idle connection nor a new one.
3. Who waits gets an idle connection, the most recently used first, in the order of asking.
4. When an opening failed and no connection is open, who waits longest hears why.
5. Who still waits gets a connection opened, up to the limit; but not soon after an opening failed while others serve.
"""

from collections import deque
from dataclasses import dataclass, field
from typing import Any, Final

from relay.delivery.actions import Action, Close, Fail, Give, Open, Recall

RECALL_AFTER: Final = 0.1
"""Seconds that a transaction may rest in peace although others wait: most end sooner, and asking again costs a trip."""
REOPEN_AFTER: Final = 1.0
"""Seconds without a new attempt when an opening failed while other connections serve: the next hop grants no more."""


@dataclass(frozen=True, slots=True)
class Limits:
    """See the settings of [delivery]."""

    connections: int
    max_age: float
    max_messages: int
    max_idle: float
    hold: float


@dataclass(slots=True)
class _Entry:
    opened: float
    since: float
    """Since when it rests."""
    until: float
    """When it must no longer be idle; long ago when it is used up."""
    holder: Any = None
    resting: bool = False
    messages: int = 0


@dataclass
class Pool:
    """The connections of one next hop, and who waits for one."""

    limits: Limits
    waiting: deque[Any] = field(default_factory=deque)
    opening: int = 0
    _entries: dict[Any, _Entry] = field(default_factory=dict)
    _idle: list[Any] = field(default_factory=list)
    """The most recently used one last."""
    _errors: list[Exception] = field(default_factory=list)
    _reopen: float = 0.0

    @property
    def open(self) -> int:
        """How many connections are open."""
        return len(self._entries)

    @property
    def busy(self) -> int:
        """How many connections are held."""
        return len(self._entries) - len(self._idle)

    @property
    def connections(self) -> list[Any]:
        """All open connections."""
        return list(self._entries)

    def __repr__(self) -> str:
        resting = sum(entry.resting for entry in self._entries.values())
        return (
            f"{self.open} of {self.limits.connections} open: {len(self._idle)} idle, {self.busy} busy "
            f"({resting} resting), {self.opening} opening, {len(self.waiting)} waiting"
        )

    # What happened.

    def take(self, holder: Any, now: float) -> Any | None:
        """An idle connection that the holder holds from now on; None when it must `want` one and wait."""
        if self.waiting or not self._idle:
            return None
        connection = self._idle[-1]
        entry = self._entries[connection]
        if entry.until <= now:
            return None
        self._idle.pop()
        entry.holder = holder
        return connection

    def want(self, waiter: Any) -> None:
        """Somebody waits for a connection."""
        self.waiting.append(waiter)

    def forget(self, waiter: Any) -> None:
        """It no longer waits. Does nothing when it does not wait."""
        if waiter in self.waiting:
            self.waiting.remove(waiter)

    def opened(self, connection: Any, now: float) -> None:
        """An opening succeeded."""
        self.opening -= 1
        self._entries[connection] = _Entry(opened=now, since=now, until=self._until(now, now))
        self._idle.append(connection)

    def open_failed(self, error: Exception, now: float) -> None:
        """An opening failed: the first waiter hears why, unless there are connections to wait for."""
        self.opening -= 1
        if self._entries:
            self._reopen = now + REOPEN_AFTER
        else:
            self._errors.append(error)

    def rests(self, connection: Any, now: float) -> float:
        """The holder needs the connection later and may be deprived of it until then.

        Returns when `assign` has something to do because of it: now, or later.
        """
        entry = self._entries.get(connection)
        if entry is None:
            return now
        entry.resting, entry.since = True, now
        return now if self.waiting else now + self.limits.hold

    def works(self, connection: Any) -> None:
        """The holder uses the connection again."""
        entry = self._entries.get(connection)
        if entry is not None:
            entry.resting = False

    def released(self, connection: Any, now: float) -> float:
        """The holder has done with the connection, which can be used again. Does nothing when it is gone.

        Returns when `assign` has something to do because of it: now, or later.
        """
        entry = self._entries.get(connection)
        if entry is None or entry.holder is None:
            return now
        entry.holder, entry.resting = None, False
        entry.messages += 1
        used_up = entry.messages >= self.limits.max_messages
        entry.until = 0.0 if used_up else self._until(entry.opened, now)
        self._idle.append(connection)
        return now if self.waiting else entry.until

    def lost(self, connection: Any) -> None:
        """The connection is gone, whoever held it. Does nothing when that is known."""
        entry = self._entries.pop(connection, None)
        if entry is not None and entry.holder is None:
            self._idle.remove(connection)

    # What to do.

    def assign(self, now: float) -> list[Action]:
        """What to do now, in this order; the pool takes it as done."""
        actions: list[Action] = self._close_stale(now)
        if recalled := self._to_recall(now):
            actions += [self._recall(connection, now) for connection in recalled]
            actions += self._close_stale(now)  # what was recalled may be used up
        actions += self._serve()
        actions += self._fail()
        while len(self.waiting) > self.opening and self._room(now):
            self.opening += 1
            actions.append(Open())
        return actions

    def due(self, now: float) -> float | None:
        """When after `now` `assign` has something to do although nothing happens; None for never."""
        limits = self.limits
        times = [self._reopen]
        for entry in self._entries.values():
            if entry.resting:
                times += [entry.since + limits.hold, entry.since + RECALL_AFTER if self.waiting else 0.0]
            elif entry.holder is None:
                times.append(entry.until)
        return min((time for time in times if time > now), default=None)

    def _until(self, opened: float, now: float) -> float:
        """When a connection that is idle from now on is too old, or idle for too long."""
        return min(opened + self.limits.max_age, now + self.limits.max_idle)

    def _close_stale(self, now: float) -> list[Action]:
        stale = [connection for connection in self._idle if self._entries[connection].until <= now]
        for connection in stale:
            self.lost(connection)
        return [Close(connection) for connection in stale]

    def _to_recall(self, now: float) -> list[Any]:
        """What has rested for too long, and what has rested longest for those who cannot be served else."""
        resting = [(entry.since, connection) for connection, entry in self._entries.items() if entry.resting]
        if not resting:
            return []
        resting.sort(key=lambda one: one[0])
        short = len(self.waiting) - len(self._idle) - self.opening - self._room(now)
        return [
            connection
            for place, (since, connection) in enumerate(resting)
            if since + self.limits.hold <= now or (place < short and since + RECALL_AFTER <= now)
        ]

    def _recall(self, connection: Any, now: float) -> Recall:
        holder = self._entries[connection].holder
        self.released(connection, now)
        return Recall(connection, holder)

    def _serve(self) -> list[Action]:
        given: list[Action] = []
        while self.waiting and self._idle:
            connection, waiter = self._idle.pop(), self.waiting.popleft()
            self._entries[connection].holder = waiter
            given.append(Give(connection, waiter))
        return given

    def _fail(self) -> list[Action]:
        errors, self._errors = self._errors, []
        return [Fail(self.waiting.popleft(), error) for error in errors if self.waiting and not self._entries]

    def _room(self, now: float) -> int:
        """How many connections may be opened now."""
        if self._entries and now < self._reopen:
            return 0
        return self.limits.connections - len(self._entries) - self.opening

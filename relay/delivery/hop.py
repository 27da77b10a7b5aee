"""One next hop: the shell around its pool. It does what the pool decides, and tells the pool what happened."""

import asyncio
from collections.abc import Callable
from ssl import SSLContext
from typing import Protocol

from relay.delivery.actions import Action, Close, Fail, Give, Open, Recall
from relay.delivery.connection import Connection
from relay.delivery.failure import HopError
from relay.delivery.opening import Opener
from relay.delivery.options import Options
from relay.delivery.pool import Limits, Pool
from relay.dns import Resolver
from relay.observe.metrics import POOL_BUSY, POOL_GIVEN_BACK, POOL_OPEN, POOL_OPENED, POOL_WAITING


class Holder(Protocol):
    """Who holds a connection."""

    def recalled(self) -> None:
        """The connection was taken away while it rested."""


class _Waiter:
    """A holder that has to wait first."""

    __slots__ = ("future", "recalled")

    def __init__(self, future: asyncio.Future[Connection], recalled: Callable[[], None]) -> None:
        self.future = future
        self.recalled = recalled


class Hop:
    """The connections to one host and port."""

    def __init__(
        self, host: str, port: int, options: Options, resolver: Resolver, tls: Callable[[], SSLContext | None]
    ) -> None:
        self._name = f"{host}:{port}"
        self._options = options
        self._opener = Opener(host, port, options, resolver, tls, self._lost)
        self._loop = asyncio.get_running_loop()
        self._pool = Pool(
            Limits(options.connections, options.max_age, options.max_messages, options.max_idle, options.hold)
        )
        self._tasks: set[asyncio.Task[None]] = set()
        self._closing: set[Connection] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._rings = 0.0
        self._open = self._busy = self._waiting = 0

    def __repr__(self) -> str:
        return f"{self._name}: {self._pool!r}"

    # For passages.

    def take(self, holder: Holder) -> Connection | None:
        """A connection to hold, where one is free and nobody waits; else `acquire` one."""
        connection: Connection | None = self._pool.take(holder, self._loop.time())
        self._measure_busy()
        return connection

    async def acquire(self, holder: Holder) -> Connection:
        """A connection to hold, when it is our turn. Raises HopError, "no_connection" when none was free in time."""
        waiter = _Waiter(self._loop.create_future(), holder.recalled)
        self._pool.want(waiter)
        self._run()
        timer = self._loop.call_later(self._options.wait_timeout, self._expire, waiter)
        try:
            return await waiter.future
        except BaseException:
            self._give_up(waiter)
            raise
        finally:
            timer.cancel()

    def _expire(self, waiter: _Waiter) -> None:
        self._pool.forget(waiter)
        if not waiter.future.done():
            waiter.future.set_exception(HopError("no_connection", repr(self)))

    def _give_up(self, waiter: _Waiter) -> None:
        """Take the waiter out of the queue, or the connection back that it was just given."""
        self._pool.forget(waiter)
        future = waiter.future
        if future.done() and not future.cancelled() and future.exception() is None:
            self.release(future.result())
        self._run()

    def rests(self, connection: Connection) -> None:
        """The connection may be taken away until `works`."""
        now = self._loop.time()
        self._follow(self._pool.rests(connection, now), now)

    def works(self, connection: Connection) -> None:
        """The connection is in use."""
        self._pool.works(connection)

    def release(self, connection: Connection) -> None:
        """Give a connection back, in whatever state; an open transaction is reset."""
        if connection.dirty:
            connection.reset()
        now = self._loop.time()
        if connection.alive:
            due = self._pool.released(connection, now)
            self._measure_busy()
            self._follow(due, now)
        else:
            self._pool.lost(connection)
            self._run()

    async def close(self) -> None:
        """Close all connections, those in use as well."""
        for task in self._tasks:
            task.cancel()
        for waiter in self._pool.waiting:
            if not waiter.future.done():
                waiter.future.set_exception(HopError("no_connection", "closing"))
        self._pool.waiting.clear()
        for connection in self._pool.connections:
            self._pool.lost(connection)
            if connection.dirty:  # QUIT could be taken for a part of the message
                connection.abort()
            else:
                self._quit(connection)
        self._measure()
        await asyncio.gather(
            *self._tasks, *(connection.closed() for connection in self._closing), return_exceptions=True
        )
        if self._timer is not None:
            self._timer.cancel()

    # What the pool decides.

    def _follow(self, due: float, now: float) -> None:
        """Do what the pool decides, at once or when it is due."""
        if due <= now:
            self._run()
        else:
            self._wake_at(due)

    def _run(self) -> None:
        now = self._loop.time()  # one for both: what is not yet to be done is due later
        for action in self._pool.assign(now):
            self._act(action)
        self._measure()
        due = self._pool.due(now)
        if due is not None:
            self._wake_at(due)

    def _act(self, action: Action) -> None:
        match action:
            case Give(connection, waiter):
                if waiter.future.done():  # cancelled in this turn of the loop; `acquire` has not seen it yet
                    self.release(connection)
                else:
                    waiter.future.set_result(connection)
            case Fail(waiter, error):
                if not waiter.future.done():
                    waiter.future.set_exception(error)
            case Recall(connection, holder):
                POOL_GIVEN_BACK.inc()
                holder.recalled()
                connection.reset()
            case Close(connection):
                self._quit(connection)
            case Open():
                task = self._loop.create_task(self._open_one())
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    def _wake_at(self, when: float) -> None:
        """One timer: it is neither cancelled nor made anew while what is due only moves on."""
        if self._timer is None or when < self._rings:
            if self._timer is not None:
                self._timer.cancel()
            self._timer = self._loop.call_at(when, self._awake)
            self._rings = when

    def _awake(self) -> None:
        self._timer = None
        self._run()

    def _measure_busy(self) -> None:
        busy = self._pool.busy
        if busy != self._busy:
            POOL_BUSY.inc(busy - self._busy)
            self._busy = busy

    def _measure(self) -> None:
        self._measure_busy()
        now = self._pool
        if now.open != self._open:
            POOL_OPEN.inc(now.open - self._open)
            self._open = now.open
        if len(now.waiting) != self._waiting:
            POOL_WAITING.inc(len(now.waiting) - self._waiting)
            self._waiting = len(now.waiting)

    def _quit(self, connection: Connection) -> None:
        self._closing.add(connection)
        connection.quit()

    def _lost(self, connection: Connection) -> None:
        self._closing.discard(connection)
        self._pool.lost(connection)
        self._run()

    async def _open_one(self) -> None:
        try:
            connection = await self._opener.open()
        except HopError as error:
            self._pool.open_failed(error, self._loop.time())
        except Exception as error:  # noqa: BLE001 - whatever it is, somebody waits for an answer
            self._pool.open_failed(HopError("connect", repr(error)), self._loop.time())
        else:
            POOL_OPENED.inc()
            self._pool.opened(connection, self._loop.time())
        self._run()

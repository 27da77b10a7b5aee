"""One next hop: the shell around its pool. It does what the pool decides, and tells the pool what happened."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from ssl import SSLContext
from typing import Final

from relay.delivery import pool
from relay.delivery.client import Connection, connect
from relay.delivery.failure import HopError
from relay.delivery.options import Options
from relay.dns import DnsError, Resolver
from relay.observe.metrics import POOL_BUSY, POOL_GIVEN_BACK, POOL_OPEN, POOL_OPENED, POOL_WAITING

AVOID: Final = 30.0
"""Seconds that an address which failed is tried after the others."""


@dataclass(slots=True, eq=False)
class _Waiter:
    future: asyncio.Future[Connection]
    recalled: Callable[[], None]


class Hop:
    """The connections to one host and port."""

    def __init__(
        self, host: str, port: int, options: Options, resolver: Resolver, tls: Callable[[], SSLContext | None]
    ) -> None:
        self._host = host
        self._port = port
        self._options = options
        self._resolver = resolver
        self._tls = tls
        self._loop = asyncio.get_running_loop()
        self._pool = pool.Pool(
            pool.Limits(options.connections, options.max_age, options.max_messages, options.max_idle, options.hold)
        )
        self._avoided: dict[str, float] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._closing: set[Connection] = set()
        self._timer: asyncio.Handle | None = None
        self._rings = 0.0
        self._measured = (0, 0, 0)

    def __repr__(self) -> str:
        return f"{self._host}:{self._port}: {self._pool!r}"

    # For passages.

    async def acquire(self, recalled: Callable[[], None]) -> Connection:
        """A connection to hold; `recalled` is called when it is taken away while it rests.

        Raises HopError, "no_connection" when none was free in time.
        """
        waiter = _Waiter(self._loop.create_future(), recalled)
        self._pool.want(waiter)
        self._run()
        try:
            if waiter.future.done():
                return waiter.future.result()
            async with asyncio.timeout(self._options.wait_timeout):
                return await waiter.future
        except TimeoutError:
            self._give_up(waiter)
            raise HopError("no_connection", repr(self)) from None
        except asyncio.CancelledError:
            self._give_up(waiter)
            raise

    def _give_up(self, waiter: _Waiter) -> None:
        """Take the waiter out of the queue, or the connection back that it was just given."""
        self._pool.forget(waiter)
        future = waiter.future
        if future.done() and not future.cancelled() and future.exception() is None:
            self.release(future.result())
        self._run()

    def rests(self, connection: Connection) -> None:
        """The connection may be taken away until `works`."""
        self._pool.rests(connection, self._loop.time())
        if self._pool.waiting:
            self._run()
        else:
            self._wake_at(self._loop.time() + self._options.hold)

    def works(self, connection: Connection) -> None:
        """The connection is in use."""
        self._pool.works(connection)

    def release(self, connection: Connection) -> None:
        """Give a connection back, in whatever state; an open transaction is reset."""
        if connection.dirty:
            connection.reset()
        if connection.alive:
            self._pool.released(connection, self._loop.time())
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

    def _run(self) -> None:
        now = self._loop.time()  # one for both: what is not yet to be done is due later
        for action in self._pool.assign(now):
            self._act(action)
        self._measure()
        due = self._pool.due(now)
        if due is not None:
            self._wake_at(due)

    def _act(self, action: pool.Action) -> None:
        match action:
            case pool.Give(connection, waiter):
                if waiter.future.done():  # cancelled in this turn of the loop; `acquire` has not seen it yet
                    self.release(connection)
                else:
                    waiter.future.set_result(connection)
            case pool.Fail(waiter, error):
                if not waiter.future.done():
                    waiter.future.set_exception(error)
            case pool.Recall(connection, holder):
                POOL_GIVEN_BACK.inc()
                holder.recalled()
                connection.reset()
            case pool.Close(connection):
                self._quit(connection)
            case pool.Open():
                task = self._loop.create_task(self._open())
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    def _wake_at(self, when: float) -> None:
        if self._timer is not None and self._rings <= when:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(when, self._awake)
        self._rings = when

    def _awake(self) -> None:
        self._timer = None
        self._run()

    def _measure(self) -> None:
        measured = (self._pool.open, self._pool.busy, len(self._pool.waiting))
        if measured != self._measured:
            for gauge, now, before in zip((POOL_OPEN, POOL_BUSY, POOL_WAITING), measured, self._measured, strict=True):
                gauge.inc(now - before)
            self._measured = measured

    def _quit(self, connection: Connection) -> None:
        self._closing.add(connection)
        connection.quit()

    def _lost(self, connection: Connection) -> None:
        self._closing.discard(connection)
        self._pool.lost(connection)
        self._run()

    # Opening.

    async def _open(self) -> None:
        try:
            connection = await self._connect()
        except HopError as error:
            self._pool.open_failed(error, self._loop.time())
        except Exception as error:  # noqa: BLE001 - whatever it is, somebody waits for an answer
            self._pool.open_failed(HopError("connect", repr(error)), self._loop.time())
        else:
            POOL_OPENED.inc()
            self._pool.opened(connection, self._loop.time())
        self._run()

    async def _connect(self) -> Connection:
        """A connection to the first address that works (RFC 5321 section 5.1)."""
        error = HopError("dns", f"{self._host}: no address")
        for address in await self._addresses():
            try:
                connection = await self._connect_to(address)
            except HopError as failed:
                error = failed
                self._avoided[address] = self._loop.time() + AVOID
            else:
                self._avoided.pop(address, None)
                return connection
        raise error

    async def _addresses(self) -> list[str]:
        """The host's addresses in order; those that failed lately stand last."""
        try:
            addresses = await self._resolver.addresses(self._host, ipv6=self._options.ipv6)
        except DnsError as error:
            raise HopError("dns", str(error)) from error
        now = self._loop.time()
        self._avoided = {address: until for address, until in self._avoided.items() if until > now}
        return sorted(addresses, key=lambda address: address in self._avoided)

    async def _connect_to(self, address: str) -> Connection:
        context = None if self._options.tls == "off" else self._tls()
        if context is None and self._options.tls == "verify":
            raise HopError("tls", "no TLS context")
        try:
            return await self._attempt(address, context)
        except HopError as error:
            if error.kind != "tls" or self._options.tls != "opportunistic":
                raise
        return await self._attempt(address, None)  # TLS that fails is no worse than TLS that is not offered

    async def _attempt(self, address: str, context: SSLContext | None) -> Connection:
        return await connect(self._host, address, self._port, context, options=self._options, on_lost=self._lost)

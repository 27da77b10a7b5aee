"""Link: the thin shell between a transport and a session. What arrives is pulled; what is said is collected and goes
out in one write when there is nothing left to read (RFC 2920 section 3.2); one lazy timer watches over it all.
"""

import asyncio
import math
import ssl

from relay.intake.wire import Inbox
from relay.replies import Reply

HIGH_WATER = 65_536
"""Bytes that may wait in the inbox before the socket is not read any more."""
TAKE_TIMEOUT = 60.0
"""Seconds that a client gets to take replies that fill the socket's buffer."""
LINGER = 10.0
"""Seconds that a client gets to take our last words before the connection is cut."""
LOOK = 10.0
"""Seconds after which the timer looks at the deadline, at the latest. Not more than LINGER."""
HANDSHAKE_TIMEOUT = 30.0
SHUTDOWN_TIMEOUT = 5.0


class LinkError(Exception):
    """The session cannot go on."""


class HungUpError(LinkError):
    """The client is gone, or has nothing more to say."""


class TooSlowError(LinkError):
    """The client let its time pass."""


class InterruptedLinkError(LinkError):
    """Somebody of ours wants the session to stop waiting (`interrupt`)."""


class Link(asyncio.Protocol):
    """The callbacks of asyncio, and what the session's one coroutine awaits.

    The timer is armed once and not per command: a deadline is a number, and the timer looks at it when it fires.
    TCP_NODELAY is set by asyncio and by uvloop.
    """

    _tcp: asyncio.Transport
    # Set seldom. The others are not here: Python reads an attribute that the class has too at half the speed.
    _secure: bool = False
    _upgrading: bool = False  # the first data may come before start_tls() has returned the new transport

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.inbox = Inbox()
        self.ended = False
        """Nothing more is read or said."""
        self._out: list[bytes] = []
        self._waiter: asyncio.Future[None] | None = None
        self._drained: asyncio.Future[None] | None = None
        self._hung_up = False
        self._paused = False
        self._deadline = math.inf
        self._armed = math.inf
        self._timer: asyncio.TimerHandle | None = None

    # What the session does.

    def say(self, reply: Reply) -> None:
        """Send `reply` when there is nothing left to read."""
        self._out.append(reply.wire())

    async def flush(self) -> None:
        """Send what was said; wait while the client does not take it. Raises HungUpError, TooSlowError."""
        self._send()
        if self._drained is not None and not self.ended:
            self.watch(TAKE_TIMEOUT)
            await self._drained

    def _send(self) -> None:
        out = self._out
        if out and not self.ended:
            self._tcp.write(out[0] if len(out) == 1 else b"".join(out))
            out.clear()

    async def more(self, seconds: float) -> None:
        """Flush, and wait for more bytes in the inbox. Raises HungUpError, TooSlowError, InterruptedLinkError."""
        if self._out:
            self._send()
        if self._drained is not None:
            await self.flush()
        if self._hung_up or self.ended:
            raise HungUpError
        if self._paused:
            self._paused = False
            self._tcp.resume_reading()
        self.watch(seconds)
        self._waiter = self.loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def watch(self, seconds: float) -> None:
        """From now on the client has `seconds` for what is awaited of it."""
        self._deadline = deadline = self.loop.time() + seconds
        if deadline < self._armed:
            self._arm()

    def interrupt(self) -> bool:
        """Make `more` raise InterruptedLinkError; False when the session does not wait in it."""
        waiting = self._waiter is not None and not self._waiter.done()
        self._wake(InterruptedLinkError)
        return waiting

    def end(self) -> None:
        """Send what was said, and close. What arrives from now on is ignored."""
        if not self.ended:
            self._send()
            self.ended = True
            self._tcp.close()
            self.watch(LINGER)

    async def start_tls(self, context: ssl.SSLContext) -> ssl.SSLObject:
        """Become a TLS server; whatever plaintext has arrived is forgotten (RFC 3207 section 6).

        Raises OSError (ssl.SSLError, ConnectionError, TimeoutError) when the handshake fails.
        """
        # Nothing may be awaited between here and the pause that start_tls begins with.
        self.inbox.clear()
        self._paused = False
        self._secure = self._upgrading = True
        try:
            upgraded = await self.loop.start_tls(
                self._tcp,
                self,
                context,
                server_side=True,
                ssl_handshake_timeout=HANDSHAKE_TIMEOUT,
                ssl_shutdown_timeout=SHUTDOWN_TIMEOUT,
            )
            transport = _open(upgraded)
        except BaseException:
            self._tcp.close()
            self.connection_lost(None)  # asyncio does not always say so when a handshake fails
            raise
        self._tcp = transport
        self._upgrading = False
        transport.set_read_buffer_limits(HIGH_WATER)  # type: ignore[attr-defined]  # asyncio's and uvloop's have it
        tls: ssl.SSLObject = transport.get_extra_info("ssl_object")
        return tls

    # What happens to the session.

    def client_left(self) -> None:
        """The client hung up; called once."""

    def time_passed(self) -> None:
        """The deadline passed while nothing was awaited of the client."""

    # Callbacks of asyncio.

    def data_received(self, data: bytes) -> None:
        """Bytes arrived."""
        if self.ended:
            return
        inbox = self.inbox
        inbox.put(data)
        if inbox.size > HIGH_WATER and not self._paused and not self._upgrading:
            self._paused = True
            self._tcp.pause_reading()
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def eof_received(self) -> bool:
        """The client will send nothing more. In plaintext we may still answer what it sent before."""
        self._leave()
        return not self._secure

    def connection_lost(self, _error: Exception | None) -> None:
        """The connection is gone."""
        self.ended = True
        self._leave()
        self._wake_drained()
        self._deadline = math.inf
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def pause_writing(self) -> None:
        """The client does not take our replies."""
        self._drained = self.loop.create_future()

    def resume_writing(self) -> None:
        """It takes them again."""
        self._wake_drained()

    def _leave(self) -> None:
        if not self._hung_up:
            self._hung_up = True
            self._wake(HungUpError)
            self.client_left()

    def _wake(self, error: type[LinkError]) -> None:
        _settle(self._waiter, error)

    def _wake_drained(self) -> None:
        drained, self._drained = self._drained, None
        _settle(drained, None)

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        # Never far ahead: the next deadlines may be nearer, and then need no other timer.
        self._armed = min(self._deadline, self.loop.time() + LOOK)
        self._timer = self.loop.call_at(self._armed, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        self._armed = math.inf
        if self._deadline == math.inf:
            return
        if self.loop.time() < self._deadline:
            self._arm()
        elif self.ended:
            self._tcp.abort()
        elif self._waiter is not None or self._drained is not None:
            _settle(self._waiter, TooSlowError)
            _settle(self._drained, TooSlowError)
        else:
            self.time_passed()


def _open(transport: asyncio.Transport | None) -> asyncio.Transport:
    """What asyncio returns is None, or a closing transport, when the client left at the end of the handshake."""
    if transport is None or transport.is_closing():
        raise ConnectionResetError("closed in the handshake")
    return transport


def _settle(future: asyncio.Future[None] | None, error: type[LinkError] | None) -> None:
    if future is not None and not future.done():
        if error is None:
            future.set_result(None)
        else:
            future.set_exception(error)

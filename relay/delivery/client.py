"""The wire to a next hop, and waiting for what comes back: the only door to aiosmtplib.

aiosmtplib brings the protocol's state and the reading of EHLO. Added here: replies read by our own strict parser and in
a queue, so that commands can be pipelined; an eye on the connection while nobody uses it; one timer for the connection
instead of one per command, and one future per wait.

Both asyncio and uvloop set TCP_NODELAY on every TCP connection by themselves.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Final, cast

from aiosmtplib.esmtp import parse_esmtp_extensions
from aiosmtplib.protocol import SMTPProtocol

from relay.delivery.failure import HopError
from relay.delivery.replying import BadReplyError, ReplyParser
from relay.replies import Reply

CLOSE_WITHIN: Final = 2.0
"""Seconds that a closing connection gets to send what it holds (QUIT, TLS's close_notify); then it is aborted."""


def features_of(reply: Reply) -> dict[str, str]:
    """The keywords of a reply to EHLO in lower case, with their parameters (RFC 5321 section 4.1.1.1)."""
    features, _ = parse_esmtp_extensions("\n".join(reply.lines))
    return features


class Wire(SMTPProtocol):
    """What is below SMTP: replies sorted to who waits, bytes written. At most one waits at a time."""

    def __init__(self, loop: asyncio.AbstractEventLoop, on_lost: Callable[[], None]) -> None:
        super().__init__(loop)
        self.alive = False
        """Whether a new command can be sent. Becomes false for good."""
        self._on_lost = on_lost
        self._parser = ReplyParser()
        self._replies: list[Reply] = []
        self._wanted = 0
        self._resets = 0
        self._failure: HopError | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._deadline = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._rings = 0.0

    # What the transport tells.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for the greeting."""
        super().connection_made(transport)
        self.alive = True
        self._wanted = 1

    def data_received(self, data: bytes) -> None:
        """Sort replies to those who wait for them; what nobody asked for ends the connection."""
        try:
            replies = self._parser.feed(data)
        except BadReplyError as error:
            self._fail(HopError("protocol", str(error)))
            return
        for reply in replies:
            self._take(reply)
            if self._failure is not None:  # the rest of a flood is nobody's
                break
        self._wake()

    def eof_received(self) -> bool:
        """The next hop hung up. Returning false closes the transport."""
        self._fail(HopError("hung_up", "connection closed by the next hop"))
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """The transport is gone."""
        super().connection_lost(exc)
        self._fail(HopError("hung_up", f"connection lost: {exc or 'closed'}"))
        if self._timer is not None:
            self._timer.cancel()
        if not self._closed_future.done():
            self._closed_future.set_result(None)
        on_lost, self._on_lost = self._on_lost, _nothing  # it refers to us: nobody should have to look for the cycle
        on_lost()

    def resume_writing(self) -> None:
        """The transport takes bytes again."""
        super().resume_writing()
        self._wake()

    def _take(self, reply: Reply) -> None:
        if self._resets:
            self._resets -= 1
            if not reply.positive:
                self._fail(HopError("hung_up", f"RSET was answered {reply}"))
        elif len(self._replies) < self._wanted:
            self._replies.append(reply)
            if reply.code == 421:  # RFC 5321 section 3.8: the server closes, whatever was asked
                self._fail(HopError("hung_up", f"the next hop closes: {reply}"))
        else:
            self._fail(HopError("hung_up", f"unasked: {reply}"))

    def _fail(self, error: HopError) -> None:
        """No more commands on this connection; replies that came before stay good."""
        self.alive = False
        if self._failure is None:
            self._failure = error
            self._abort()
        self._wake()

    def _abort(self) -> None:
        if self.transport is not None:
            cast(asyncio.Transport, self.transport).abort()

    # Waiting.

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _change(self, until: float) -> asyncio.Future[None]:
        """Done when something has happened; at the loop's time `until` the connection fails with "timeout"."""
        self._deadline = until
        if self._timer is None or until < self._rings:
            self._set_timer(until)
        self._waiter = self._loop.create_future()
        return self._waiter

    def _set_timer(self, when: float) -> None:
        """One timer for many commands: it is neither cancelled nor made anew while deadlines only move on."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(when, self._tick)
        self._rings = when

    def _tick(self) -> None:
        self._timer = None
        if self._failure is not None:
            self._abort()  # it was to close, and is not gone yet
        elif self._waiter is not None and not self._waiter.done():
            if self._loop.time() < self._deadline:
                self._set_timer(self._deadline)
            else:
                self._fail(HopError("timeout", "no reply in time"))

    async def _collect(self, count: int, seconds: float) -> list[Reply]:
        """The next `count` replies; fewer when the next hop hung up behind a 421 or a first one that refuses."""
        until = self._loop.time() + seconds
        while len(self._replies) < count:
            if self._failure is not None:
                if self._replies and (self._replies[-1].code == 421 or not self._replies[0].positive):
                    break
                raise self._failure
            await self._change(until)
        replies, self._replies = self._replies, []
        self._wanted = 0
        return replies

    # What is said.

    def _put(self, data: bytes) -> None:
        transport = self.transport
        if transport is None or transport.is_closing():
            self._fail(HopError("hung_up", "connection lost"))
        else:
            cast(asyncio.Transport, transport).write(data)

    def _say(self, data: bytes, count: int, seconds: float) -> Coroutine[Any, Any, list[Reply]]:
        """Write; to be awaited for the next `count` replies, as `_collect` gives them."""
        if self._failure is not None:
            raise self._failure
        self._wanted = count
        self._put(data)
        return self._collect(count, seconds)

    # How it ends.

    def quit(self) -> None:
        """Say QUIT and close, without waiting for the reply. Does nothing on a closed connection."""
        if self.alive and self.transport is not None:
            self.alive = False
            self._failure = HopError("hung_up", "closed by us")
            self._put(b"QUIT\r\n")
            self.transport.close()
            self._set_timer(self._loop.time() + CLOSE_WITHIN)

    def abort(self) -> None:
        """Close at once."""
        self._fail(HopError("hung_up", "closed by us"))

    async def closed(self) -> None:
        """Return when a closing connection is closed."""
        await self._closed_future


def _nothing() -> None:
    pass

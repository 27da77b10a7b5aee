"""One connection to a next hop: the only door to aiosmtplib.

aiosmtplib brings the protocol's state, flow control and the reading of EHLO. Added here: replies read by our own strict
parser and in a queue, so that commands can be pipelined; bodies sent piece by piece; an eye on the connection while
nobody uses it; and no lock, task or timer per command.

Both asyncio and uvloop set TCP_NODELAY on every TCP connection by themselves.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from ssl import SSLContext
from typing import Final, cast

from aiosmtplib.esmtp import parse_esmtp_extensions
from aiosmtplib.protocol import SMTPProtocol

from relay.delivery.failure import HopError
from relay.delivery.options import Options
from relay.delivery.replying import BadReplyError, ReplyParser
from relay.delivery.sender import batched
from relay.replies import Reply

CLOSE_WITHIN: Final = 2.0
"""Seconds that a closing connection gets to send what it holds (QUIT, TLS's close_notify)."""
UNKNOWN_COMMAND: Final = (500, 502, 504)
"""What says that EHLO is not known at all (RFC 5321 section 4.2.4)."""


class Connection(SMTPProtocol):
    """A connection to a next hop; use `connect` to get one. At most one exchange runs at a time."""

    def __init__(self, options: Options, on_lost: Callable[["Connection"], None]) -> None:
        super().__init__(asyncio.get_running_loop())
        self.features: dict[str, str] = {}
        """EHLO keywords in lower case, with their parameters."""
        self.alive = False
        """Whether a new command can be sent. Becomes false for good."""
        self.proven = False
        """Whether it has carried a transaction's command before: only then its end may just be its age."""
        self.dirty = False
        """Whether a transaction is open."""
        self._options = options
        self._on_lost = on_lost
        self._parser = ReplyParser()
        self._replies: deque[Reply] = deque()
        self._wanted = 0
        self._resets = 0
        self._failure: HopError | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._deadline = 0.0
        self._timer: asyncio.Handle | None = None
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
        self._on_lost(self)

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
            if self.transport is not None:
                cast(asyncio.Transport, self.transport).abort()
        self._wake()

    # Waiting.

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def _wait(self, until: float) -> None:
        """Sleep until something happens; at the loop's time `until` the connection fails with "timeout"."""
        self._deadline = until
        if self._timer is None or self._rings > until:
            self._set_timer(until)
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _set_timer(self, when: float) -> None:
        """One timer for many commands: it is neither cancelled nor made anew while deadlines only move on."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(when, self._tick)
        self._rings = when

    def _tick(self) -> None:
        self._timer = None
        if self._waiter is None:
            return
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
            await self._wait(until)
        replies = list(self._replies)
        self._replies.clear()
        self._wanted = 0
        return replies

    # What is said.

    async def exchange(self, commands: list[bytes]) -> list[Reply]:
        """Send commands, each ended by CRLF, and return a reply to each.

        In one write where the next hop offers PIPELINING (RFC 2920); else one after the other, and when the first one
        is refused, the others are not sent and have its reply. A 421 answers all that follow, too. Raises HopError; the
        connection is then closed, as it is when the caller is cancelled.
        """
        try:
            if "pipelining" in self.features:
                replies = await self._say(b"".join(commands), len(commands))
            else:
                await self._collect_resets()
                replies = await self._in_turn(commands)
        except BaseException:
            self.abort()
            raise
        self.proven = True
        return replies + replies[-1:] * (len(commands) - len(replies))

    def _put(self, data: bytes) -> None:
        if self.is_connected:
            cast(asyncio.Transport, self.transport).write(data)
        else:
            self._fail(HopError("hung_up", "connection lost"))

    async def _say(self, line: bytes, count: int = 1) -> list[Reply]:
        if self._failure is not None:
            raise self._failure
        self._wanted = count
        self._put(line)
        return await self._collect(count, self._options.command_timeout)

    async def _in_turn(self, commands: list[bytes]) -> list[Reply]:
        replies: list[Reply] = []
        for command in commands:
            replies += await self._say(command)
            if replies[-1].code == 421 or not replies[0].positive:
                break
        return replies

    async def _collect_resets(self) -> None:
        until = self._loop.time() + self._options.command_timeout
        while self._resets and self._failure is None:
            await self._wait(until)

    async def data(self) -> Reply:
        """Send DATA and return the reply: 3yz, 4yz or 5yz. Raises HopError."""
        return (await self.exchange([b"DATA\r\n"]))[0]

    async def send(self, pieces: Iterable[bytes]) -> Reply:
        """Send a body with its framing and return the final reply, which may come early: then the rest is not sent.

        Pieces are taken only as fast as the next hop takes them. Raises HopError, or what `pieces` raises; the
        connection is then closed, as it is after an early reply.
        """
        self._wanted = 1
        try:
            complete = await self._write(batched(pieces))
            reply = (await self._collect(1, self._options.final_timeout if complete else 0))[0]
        except BaseException:
            self.abort()
            raise
        if not complete:
            self.abort()
            if reply.positive:
                raise HopError("protocol", f"the end of the body was not awaited: {reply}")
        return reply

    async def _write(self, pieces: Iterable[bytes]) -> bool:
        """Whether everything was written before a reply came."""
        for piece in pieces:
            if self._replies or self._failure is not None:
                return False
            self._put(piece)
            if self._paused:
                await self._drain()
        return True

    async def _drain(self) -> None:
        until = self._loop.time() + self._options.command_timeout
        while self._paused and not self._replies and self._failure is None:
            await self._wait(until)

    def reset(self) -> None:
        """Send RSET; its reply is awaited before, or read along with, the next exchange."""
        self.dirty = False
        if self.alive:
            self._resets += 1
            self._put(b"RSET\r\n")

    def quit(self) -> None:
        """Say QUIT and close, without waiting for the reply. Does nothing on a closed connection."""
        if self.alive and self.transport is not None:
            self.alive = False
            self._failure = HopError("hung_up", "closed by us")
            self._put(b"QUIT\r\n")
            self.transport.close()

    def abort(self) -> None:
        """Close at once."""
        self._fail(HopError("hung_up", "closed by us"))

    async def closed(self) -> None:
        """Return when a closing connection is closed; it is aborted after CLOSE_WITHIN seconds."""
        done, _ = await asyncio.wait([self._closed_future], timeout=CLOSE_WITHIN)
        if not done and self.transport is not None:
            cast(asyncio.Transport, self.transport).abort()

    # How it begins.

    async def greet(self, host: str, context: SSLContext | None) -> None:
        """Take the greeting, say EHLO, and change to TLS where `context` is given. Raises HopError.

        Only in the mode "verify" a next hop without STARTTLS is an error.
        """
        self._expect(await self._collect(1, self._options.connect_timeout), 220, "connect")
        await self._hello()
        if context is None:
            return
        if "starttls" not in self.features:
            if self._options.tls == "verify":
                raise HopError("tls", "STARTTLS is not offered")
            return
        self._expect(await self._say(b"STARTTLS\r\n"), 220, "tls")
        await self._secure(host, context)
        await self._hello()

    def _expect(self, replies: list[Reply], code: int, kind: str) -> None:
        if replies[0].code != code:
            raise HopError(kind, f"{code} was expected, not {replies[0]}")

    async def _hello(self) -> None:
        """EHLO, or HELO where EHLO is not known (RFC 5321 section 4.1.4); any other refusal is one of the moment."""
        name = self._options.name.encode("ascii")
        replies = await self._say(b"EHLO " + name + b"\r\n")
        if replies[0].code in UNKNOWN_COMMAND:
            replies = await self._say(b"HELO " + name + b"\r\n")
            self._expect(replies, 250, "connect")
            self.features = {}
            return
        self._expect(replies, 250, "connect")
        self.features, _ = parse_esmtp_extensions("\n".join(replies[0].lines))

    async def _secure(self, host: str, context: SSLContext) -> None:
        """Change to TLS. Nothing of the plaintext survives (RFC 3207 section 4.2): bytes behind 220 are an attack."""
        if self._parser.pending or self._failure is not None:
            raise HopError("protocol", "plaintext behind the reply to STARTTLS")
        transport = cast(asyncio.WriteTransport, self.transport)
        try:
            secured = await self._loop.start_tls(transport, self, context, server_hostname=host)
        except OSError as error:
            raise HopError("tls", f"TLS failed: {error}") from error
        if secured is None:  # uvloop and asyncio say so when the connection is gone
            raise HopError("tls", "TLS failed: connection lost")
        self.transport = secured


async def connect(
    host: str,
    address: str,
    port: int,
    context: SSLContext | None,
    *,
    options: Options,
    on_lost: Callable[[Connection], None],
) -> Connection:
    """A connection to `address` that is ready for MAIL; its certificate must be `host`'s where the context verifies.

    Raises HopError "connect", "tls" or "protocol". `on_lost` is called once it is gone.
    """
    loop = asyncio.get_running_loop()
    connection = Connection(options, on_lost)
    try:
        async with asyncio.timeout(options.connect_timeout):
            await loop.create_connection(lambda: connection, address, port)
            await connection.greet(host, context)
    except TimeoutError:
        connection.abort()
        raise HopError("connect", f"{address}: no connection in time") from None
    except OSError as error:
        connection.abort()
        raise HopError("connect", f"{address}: {error}") from error
    except HopError as error:
        connection.abort()
        kind = "connect" if error.kind in {"hung_up", "timeout"} else error.kind
        raise HopError(kind, f"{address}: {error.detail}") from error
    except BaseException:
        connection.abort()
        raise
    if not connection.alive:
        raise HopError("protocol", f"{address}: it spoke unasked, or hung up, behind its answer to EHLO")
    return connection

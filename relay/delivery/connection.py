"""One connection to a next hop as SMTP knows it: commands, bodies, and how it begins."""

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from ssl import SSLContext
from typing import Any, Final, cast

from relay.delivery.client import Wire, features_of
from relay.delivery.failure import HopError
from relay.delivery.options import Options
from relay.delivery.sender import BATCH, batched
from relay.replies import Reply

UNKNOWN_COMMAND: Final = (500, 502, 504)
"""What says that EHLO is not known at all (RFC 5321 section 4.2.4)."""

SLOWEST: Final = 8_192
"""Bytes of a body per second that a next hop must take at least, so that one that takes drops does not hold us."""

GREETING: Final = 1_000
"""Characters that are kept of what the next hop says first."""

TURN: Final = 1_048_576
"""Bytes of a body after which other messages have their turn, where the next hop takes them as fast as we write."""


class Connection(Wire):
    """A connection to a next hop; use `opening.connect` to get one. At most one exchange runs at a time."""

    def __init__(self, options: Options, on_lost: Callable[["Connection"], None]) -> None:
        super().__init__(asyncio.get_running_loop(), lambda: on_lost(self))
        self.greeting = ""
        """What the next hop said first, in one line."""
        self.features: dict[str, str] = {}
        """EHLO keywords in lower case, with their parameters."""
        self.proven = False
        """Whether it has carried a transaction's command before: only then its end may just be its age."""
        self.dirty = False
        """Whether a transaction is open."""
        self._options = options

    # Transactions.

    async def exchange(self, commands: list[bytes]) -> list[Reply]:
        """Send commands, each ended by CRLF, and return a reply to each.

        In one write where the next hop offers PIPELINING (RFC 2920); else one after the other, and when the first one
        is refused, the others are not sent and have its reply. A 421 answers all that follow, too. Raises HopError; the
        connection is then closed, as it is when the caller is cancelled.
        """
        try:
            if "pipelining" in self.features:
                replies = await self._say(b"".join(commands), len(commands), self._options.command_timeout)
            else:
                await self._collect_resets()
                replies = await self._in_turn(commands)
        except BaseException:
            self.abort()
            raise
        self.proven = True
        if len(replies) < len(commands):
            replies += replies[-1:] * (len(commands) - len(replies))
        return replies

    async def _in_turn(self, commands: list[bytes]) -> list[Reply]:
        replies: list[Reply] = []
        for command in commands:
            replies += await self._command(command)
            if replies[-1].code == 421 or not replies[0].positive:
                break
        return replies

    def _command(self, line: bytes) -> Coroutine[Any, Any, list[Reply]]:
        return self._say(line, 1, self._options.command_timeout)

    async def _collect_resets(self) -> None:
        until = self._loop.time() + self._options.command_timeout
        while self._resets and self._failure is None:
            await self._change(until)

    async def send(self, pieces: Iterable[bytes], size: int) -> Reply:
        """Send a body with its framing and return the final reply, which may come early: then the rest is not sent.

        `size` is the content's, in bytes: a small one goes in one write. Pieces of a large one are taken only as fast
        as the next hop takes them. Raises HopError, or what `pieces` raises; the connection is then closed, as it is
        after an early reply.
        """
        self._wanted = 1
        complete = True
        try:
            if size < BATCH:
                self._put(b"".join(pieces))
            else:
                complete = await self._write(batched(pieces), size / SLOWEST)
            reply = (await self._collect(1, self._options.final_timeout if complete else 0))[0]
        except BaseException:
            self.abort()
            raise
        if not complete:
            self.abort()
            if reply.positive:
                raise HopError("protocol", f"the end of the body was not awaited: {reply}")
        return reply

    async def _write(self, pieces: Iterable[bytes], seconds: float) -> bool:
        """Whether everything was written before a reply came; `seconds` are granted beside the time for a command."""
        last = self._loop.time() + self._options.command_timeout + seconds
        written = 0
        for piece in pieces:
            if self._replies or self._failure is not None:
                return False
            self._put(piece)
            written += len(piece)
            if self._paused:
                await self._drain(last)
            elif written >= TURN:
                written = 0
                await asyncio.sleep(0)
        return True

    async def _drain(self, last: float) -> None:
        now = self._loop.time()
        if now >= last:
            self._fail(HopError("timeout", "the body is taken too slowly"))
        until = now + self._options.command_timeout
        while self._paused and not self._replies and self._failure is None:
            await self._change(until)

    def reset(self) -> None:
        """Send RSET; its reply is awaited before, or read along with, the next exchange."""
        self.dirty = False
        if self.alive:
            self._resets += 1
            self._put(b"RSET\r\n")

    # How it begins.

    async def greet(self, host: str, context: SSLContext | None) -> None:
        """Take the greeting, say EHLO, and change to TLS where `context` is given. Raises HopError.

        Only in the mode "verify" a next hop without STARTTLS is an error.
        """
        greeting = await self._collect(1, self._options.connect_timeout)
        _expect(greeting, 220, "connect")
        self.greeting = str(greeting[0])[:GREETING]
        await self._hello()
        if context is None:
            return
        if "starttls" not in self.features:
            if self._options.tls == "verify":
                raise HopError("tls", "STARTTLS is not offered")
            return
        _expect(await self._command(b"STARTTLS\r\n"), 220, "tls")
        await self._secure(host, context)
        await self._hello()

    async def _hello(self) -> None:
        """EHLO, or HELO where EHLO is not known (RFC 5321 section 4.1.4); any other refusal is one of the moment."""
        name = self._options.name.encode("ascii")
        replies = await self._command(b"EHLO " + name + b"\r\n")
        if replies[0].code in UNKNOWN_COMMAND:
            _expect(await self._command(b"HELO " + name + b"\r\n"), 250, "connect")
            self.features = {}
        else:
            _expect(replies, 250, "connect")
            self.features = features_of(replies[0])

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
        secured.set_write_buffer_limits(BATCH)  # else uvloop lets 512 KiB wait, in clear and in cipher
        self.transport = secured


def _expect(replies: list[Reply], code: int, kind: str) -> None:
    if replies[0].code != code:
        raise HopError(kind, f"{code} was expected, not {replies[0]}")

"""A scripted next hop over real sockets: the tenant's mail server, as well behaved or as broken as a test wants it.

    async with NextHop(features=["PIPELINING", "CHUNKING"], replies={"RCPT": "550 5.1.1 nobody"}) as hop:
        ...deliver to 127.0.0.1, hop.port...
        assert hop.messages[0].content == b"..."

`replies` names, for a step, what happens there. Steps: GREETING, EHLO, HELO, STARTTLS, MAIL, RCPT, DATA, BDAT (when the
command is read, before its bytes), MIDBODY (when the first bytes of a body have come), BODY (when it is complete),
RSET, QUIT. A step that is not named does what a sound server does. What happens is one of:

- a text: the reply; "\\n" between the lines of a multi-line one, the code on the first: "250 one\\ntwo";
- bytes: sent as they are;
- HANG_UP: the connection is closed;
- a Stall: nothing more happens on the connection until the test says so;
- a tuple: these, one after the other;
- a list: one of these for each time the step is reached, the last one for ever;
- a function that takes the command's line (for BODY: the content) and returns one of these; None for the usual.

A reply with code 4yz or 5yz refuses; MIDBODY and BDAT replies are said besides the one at the end of the body.

With `cut` set, a connection is reset when that many bytes of its conversation have been heard or said. With
`drips` set, replies are said one byte at a time.
"""

import asyncio
import os
import socket
import ssl
import struct
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self


class _HangUp:
    pass


HANG_UP = _HangUp()


@dataclass
class Stall:
    """Nothing happens until the test sets `go`; then `then` does. `reached` is set when it begins."""

    then: Any = None
    reached: asyncio.Event = field(default_factory=asyncio.Event)
    go: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass
class Message:
    """A message that was accepted; `mail` and `rcpts` as they stood behind the colon."""

    mail: str
    rcpts: list[str]
    content: bytes
    by: str
    tls: bool


USUAL = {
    "GREETING": "220 hop.example ESMTP",
    "HELO": "250 hop.example",
    "STARTTLS": "220 2.0.0 go ahead",
    "MAIL": "250 2.1.0 Sender OK",
    "RCPT": "250 2.1.5 Recipient OK",
    "DATA": "354 go ahead",
    "BODY": "250 2.6.0 Queued",
    "RSET": "250 2.0.0 Resetting",
    "QUIT": "221 2.0.0 bye",
    "NOOP": "250 2.0.0 ok",
}

FEATURES = ("PIPELINING", "CHUNKING", "8BITMIME", "SMTPUTF8", "SIZE 48000000", "DSN", "ENHANCEDSTATUSCODES")


class NextHop:
    """See the head of this file. `tls` is a server's SSLContext; with it, STARTTLS is offered."""

    def __init__(
        self,
        features: Iterable[str] = FEATURES,
        replies: Mapping[str, Any] | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.features = list(features)
        self.replies = dict(replies or {})
        self.tls = tls
        self.messages: list[Message] = []
        self.commands: list[str] = []
        """Every command line of every connection, as it came."""
        self.connections = 0
        """Connections accepted so far."""
        self.open = 0
        """Connections open now."""
        self.pipelined = 0
        """How often a command was already there when the one before it was read."""
        self.cut: int | None = None
        self.drips = False
        self.bytes = 0
        """How many bytes the last conversation has, both ways."""
        self.port = 0
        self._counts: dict[str, int] = {}
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._changed = asyncio.Event()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        self.hang_up()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    def hang_up(self) -> None:
        """Close every open connection."""
        for writer in list(self._writers):
            writer.close()

    def say(self, data: bytes) -> None:
        """Say something unasked on every open connection."""
        for writer in self._writers:
            writer.write(data)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Return when `condition()` is true; it is looked at whenever something happens here."""
        async with asyncio.timeout(10):
            while not condition():
                self._changed.clear()
                await self._changed.wait()

    def verbs(self) -> list[str]:
        """The commands without their arguments."""
        return [line.split(" ")[0].upper() for line in self.commands]

    def behaviour(self, step: str, line: Any) -> Any:
        """What happens at a step now; counts it."""
        count = self._counts[step] = self._counts.get(step, 0) + 1
        what = self.replies.get(step)
        if isinstance(what, list):
            what = what[min(count, len(what)) - 1]
        if callable(what):
            what = what(line)
        return USUAL.get(step) if what is None else what

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._writers.add(writer)
        self.connections += 1
        self.open += 1
        self._changed.set()
        try:
            await _Conversation(self, reader, writer).run()
        except (OSError, asyncio.IncompleteReadError, _End, ssl.SSLError):
            pass
        except asyncio.CancelledError:
            writer.transport.abort()
        finally:
            self.open -= 1
            self._tasks.discard(task)
            self._writers.discard(writer)
            writer.close()
            self._changed.set()


class _End(Exception):
    pass


class _Conversation:
    def __init__(self, hop: NextHop, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.hop = hop
        self.reader = reader
        self.writer = writer
        self.buffer = bytearray()
        self.mail: str | None = None
        self.rcpts: list[str] = []
        self.chunks = bytearray()
        self.secure = False
        self.left = sys.maxsize if hop.cut is None else hop.cut
        hop.bytes = 0

    async def run(self) -> None:
        await self.step("GREETING", "")
        while True:
            line = await self.line()
            self.hop.commands.append(line)
            self.hop.pipelined += bool(self.buffer)
            self.hop._changed.set()
            handler = getattr(self, "smtp_" + line.split(" ")[0].lower(), None)
            if handler is None:
                await self.send("500 5.5.1 what?")
            else:
                await handler(line)
            self.hop._changed.set()

    # Reading.

    async def more(self) -> None:
        data = await self.reader.read(min(65536, self.left))
        if not data:
            raise _End
        self.buffer += data
        self.count(data)

    async def line(self) -> str:
        while b"\r\n" not in self.buffer:
            await self.more()
        line, _, self.buffer = self.buffer.partition(b"\r\n")
        return line.decode("utf-8", "surrogateescape")

    def count(self, data: bytes) -> None:
        self.hop.bytes += len(data)
        self.left -= len(data)
        if not self.left:
            with socket.socket(fileno=os.dup(self.writer.get_extra_info("socket").fileno())) as sock:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.writer.transport.abort()
            raise _End

    # Answering.

    async def step(self, step: str, line: Any) -> int:
        return await self.do(self.hop.behaviour(step, line))

    async def do(self, what: Any) -> int:
        if isinstance(what, Stall):
            what.reached.set()
            await what.go.wait()
            return await self.do(what.then) if what.then is not None else 0
        if isinstance(what, tuple):
            codes = [await self.do(each) for each in what]
            return codes[0]
        if isinstance(what, _HangUp):
            self.writer.close()
            raise _End
        await self.send(what)
        return int(what[:3]) if what[:3].isdigit() else 0

    async def send(self, reply: str | bytes) -> None:
        if isinstance(reply, str):
            code, (*first, last) = reply[:3], reply[4:].split("\n")
            reply = "".join([f"{code}-{text}\r\n" for text in first] + [f"{code} {last}\r\n"]).encode()
        reply = reply[: self.left]
        for part in (reply[at : at + 1] for at in range(len(reply))) if self.hop.drips else [reply]:
            self.writer.write(part)
            await self.writer.drain()
            await asyncio.sleep(0)
        self.count(reply)

    # Commands.

    async def smtp_ehlo(self, line: str) -> None:
        offered = self.hop.features + (["STARTTLS"] if self.hop.tls and not self.secure else [])
        what = self.hop.behaviour("EHLO", line)
        await self.do("250 " + "\n".join(["hop.example", *offered]) if what is None else what)

    async def smtp_helo(self, line: str) -> None:
        await self.step("HELO", line)

    async def smtp_starttls(self, line: str) -> None:
        if await self.step("STARTTLS", line) != 220:
            return
        assert self.hop.tls is not None
        self.buffer.clear()
        await self.writer.start_tls(self.hop.tls)
        self.secure = True

    async def smtp_mail(self, line: str) -> None:
        if await self.step("MAIL", line) == 250:
            self.mail, self.rcpts, self.chunks = line.split(":", 1)[1], [], bytearray()

    async def smtp_rcpt(self, line: str) -> None:
        if self.mail is None:
            await self.send("503 5.5.1 MAIL first")
        elif await self.step("RCPT", line) in {250, 251}:
            self.rcpts.append(line.split(":", 1)[1])

    async def smtp_data(self, line: str) -> None:
        if not self.rcpts:
            await self.send("503 5.5.1 RCPT first")
            return
        if await self.step("DATA", line) != 354:
            return
        await self.begun()
        self.buffer[:0] = b"\r\n"
        start = 0
        while (end := self.buffer.find(b"\r\n.\r\n", start)) < 0:
            start = max(0, len(self.buffer) - 4)
            await self.more()
        content, self.buffer = bytes(self.buffer[2 : end + 2]), self.buffer[end + 5 :]
        lines = content.split(b"\r\n")
        await self.ended(b"\r\n".join(text[1:] if text.startswith(b".") else text for text in lines), "DATA")

    async def smtp_bdat(self, line: str) -> None:
        what = self.hop.replies.get("BDAT")
        if what is not None:
            await self.step("BDAT", line)
        size = int(line.split(" ")[1])
        if size:
            await self.begun()
        while len(self.buffer) < size:
            await self.more()
        self.chunks += self.buffer[:size]
        del self.buffer[:size]
        if not self.rcpts:
            await self.send("503 5.5.1 RCPT first")
        elif line.upper().endswith(" LAST"):
            await self.ended(bytes(self.chunks), "BDAT")
        else:
            await self.send("250 2.0.0 chunk")

    async def begun(self) -> None:
        if self.hop.replies.get("MIDBODY") is not None:
            if not self.buffer:
                await self.more()
            await self.step("MIDBODY", "")

    async def ended(self, content: bytes, by: str) -> None:
        mail, rcpts = self.mail, self.rcpts
        self.mail, self.rcpts, self.chunks = None, [], bytearray()
        what = self.hop.behaviour("BODY", content)
        refused = isinstance(what, str) and what[0] in "45"
        if isinstance(what, _HangUp | Stall | bytes) or not refused:
            self.hop.messages.append(Message(mail or "", rcpts, content, by, self.secure))
            self.hop._changed.set()
        await self.do(what)

    async def smtp_rset(self, line: str) -> None:
        self.mail, self.rcpts, self.chunks = None, [], bytearray()
        await self.step("RSET", line)

    async def smtp_noop(self, line: str) -> None:
        await self.step("NOOP", line)

    async def smtp_quit(self, line: str) -> None:
        await self.step("QUIT", line)
        self.writer.close()
        raise _End

"""One conversation with a server over TCP or a Unix socket; the server may send what it likes, whenever it likes.

On plain sockets, and not on streams, because a stream forgets what was received when sending fails, and the answer of a
server that refuses a large message is received just then.
"""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from contextlib import asynccontextmanager, suppress
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator

_LAST_WORD_SECONDS = 1.0
_PIECE = 65_536
_LINE_BYTES = 8_192

_Reply = TypeVar("_Reply")


def _socket_address(value: str) -> str:
    host, _, port = value.rpartition(":")
    if value.startswith("/") or (host and port.isdigit() and 0 < int(port) < 65536):
        return value
    raise ValueError("must be HOST:PORT or the absolute path of a socket")


SocketAddress = Annotated[str, AfterValidator(_socket_address)]
"""An option: HOST:PORT, [IPv6]:PORT, or the absolute path of a Unix socket."""


class HungUp(ConnectionError):
    """The server closed the connection where more was due."""


class Connection:
    """A connected socket. What is read raises ConnectionError when the server hangs up or sends more than is read."""

    def __init__(self, connected: socket.socket) -> None:
        self._socket = connected
        self._delays = connected.family != socket.AF_UNIX
        self._received = bytearray()

    @property
    def unread(self) -> int:
        """Bytes that were received already, and are not read."""
        return len(self._received)

    async def send(self, pieces: Iterable[bytes]) -> None:
        """Send all of them; others get their turn after each. Raises OSError."""
        loop = asyncio.get_running_loop()
        for piece in pieces:
            if piece:
                await loop.sock_sendall(self._socket, piece)
            await asyncio.sleep(0)  # what the socket takes at once lets nobody else in

    def end(self) -> None:
        """Say that nothing more will be sent."""
        self._socket.shutdown(socket.SHUT_WR)

    async def until(self, end: bytes, limit: int) -> bytes:
        """What is received before `end`, which is one byte or two and is read too; at most `limit` bytes of it."""
        looked = 0
        while (found := self._received.find(end, looked)) < 0:
            looked = max(0, len(self._received) - len(end) + 1)
            if looked > limit:
                break
            await self._more()
        if found < 0 or found > limit:
            raise ConnectionError("the server sends without end")
        return self._take(found + len(end))[:found]

    async def line(self, limit: int = _LINE_BYTES) -> str:
        """One line without its CRLF. Raises ValueError when a CR or LF stands alone."""
        line = (await self.until(b"\r\n", limit)).decode("utf-8", "replace")
        if "\r" in line or "\n" in line:
            raise ValueError("the server ends lines in odd ways")
        return line

    async def exactly(self, count: int) -> bytes:
        """So many bytes; the caller limits them."""
        while len(self._received) < count:
            await self._more()
        return self._take(count)

    async def some(self, most: int) -> bytes:
        """Between 1 and `most` bytes."""
        if not self._received:
            await self._more()
        return self._take(min(most, _PIECE))

    async def rest(self, limit: int) -> bytes:
        """All that comes until the server hangs up, which is no error here."""
        with suppress(HungUp):
            while len(self._received) <= limit:
                await self._more()
        if len(self._received) > limit:
            raise ConnectionError("the server sends without end")
        return self._take(limit)

    def part(self, last_words: bytes) -> None:
        """Close; `last_words` are sent if that can be done at once."""
        with suppress(OSError):
            self._socket.send(last_words)
        self.close()

    def close(self) -> None:
        """Close."""
        self._socket.close()

    async def _more(self) -> None:
        received = await self._receive()
        if not received:
            raise HungUp("the server hung up")
        self._received += received

    async def _receive(self) -> bytes:
        await asyncio.sleep(0)  # what is there at once lets nobody else in
        if self._delays:  # who says half a thing waits for our acknowledgement with the rest, as libmilter does
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        return await asyncio.get_running_loop().sock_recv(self._socket, _PIECE)

    def _take(self, count: int) -> bytes:
        taken = bytes(self._received[:count])
        del self._received[:count]
        return taken


@asynccontextmanager
async def connected(address: str) -> AsyncIterator[Connection]:
    """A connection that is closed behind the block. Raises OSError when there is none to be had."""
    connection = await connect(address)
    try:
        yield connection
    finally:
        connection.close()


async def connect(address: str) -> Connection:
    """A connection to a `SocketAddress`. Raises OSError."""
    family, place = (socket.AF_UNIX, address) if address.startswith("/") else await _place(address)
    made = socket.socket(family, socket.SOCK_STREAM)
    made.setblocking(False)
    try:
        if family != socket.AF_UNIX:
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await asyncio.get_running_loop().sock_connect(made, place)
    except BaseException:
        made.close()
        raise
    return Connection(made)


async def _place(address: str) -> tuple[int, Any]:
    """Family and socket address of HOST:PORT; names are looked up by the system, which knows those of containers."""
    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    try:
        found = socket.getaddrinfo(host, int(port), type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    except socket.gaierror:
        found = await asyncio.get_running_loop().getaddrinfo(host, int(port), type=socket.SOCK_STREAM)
    family, _, _, _, place = found[0]
    return family, place


async def exchange(
    sending: Coroutine[Any, Any, None], reading: Coroutine[Any, Any, _Reply], clean: Callable[[_Reply], bool]
) -> _Reply:
    """What `reading` returns, while `sending` is at work: a server may answer, and hang up, before it has read all.

    Raises what either raises, and ConnectionError when the server says that all is well, as `clean` tells, of what it
    has not read. That sending fails is no matter as long as there is an answer.
    """
    sender, reader = asyncio.create_task(sending), asyncio.create_task(reading)
    try:
        await asyncio.wait((sender, reader), return_when=asyncio.FIRST_COMPLETED)
        if not reader.done() and not isinstance(sender.exception(), ConnectionError | None):
            sender.result()
        reply = await reader
        if clean(reply):  # then our last word is out, or is just going out
            await asyncio.wait((sender,), timeout=_LAST_WORD_SECONDS)
            if not sender.done() or sender.exception() is not None:
                raise ConnectionError("the server calls clean what it has not read")
        return reply
    finally:
        # The socket may be closed only when neither uses it any more.
        sender.cancel()
        reader.cancel()
        await asyncio.gather(sender, reader, return_exceptions=True)

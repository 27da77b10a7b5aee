"""ClamAV's clamd over TCP or a Unix socket: the INSTREAM command (clamd(8)).

A message beyond a limit of clamd is "unscanned", never clean. clamd looks into archives only as far as its own limits
allow, and says so only with `AlertExceedsMax yes` in clamd.conf: set it.
"""

import asyncio
import socket
from collections.abc import Iterable
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from verdicts.contract import Engine, EngineOptions, Finding, Severity, Tools, Unscanned
from verdicts.mail import Content, Mail

CLEAN = "stream: OK"
_LAST_WORD_SECONDS = 1.0
_REPLY_BYTES = 4_096
_UNSCANNED = ("Heuristics.Limits.Exceeded", "Heuristics.Encrypted")
_SUSPICIOUS = ("Heuristics.OLE2.ContainsMacros",)  # an alert that the operator asked for, not a virus


def _socket_address(value: str) -> str:
    host, _, port = value.rpartition(":")
    if value.startswith("/") or (host and port.isdigit() and 0 < int(port) < 65536):
        return value
    raise ValueError("must be HOST:PORT or the absolute path of a socket")


class Clamav(Engine):
    """Asks a clamd, on a connection of its own for each message: clamd's sessions save nothing on loopback."""

    class Options(EngineOptions):
        """[engines.clamav]."""

        address: Annotated[str, AfterValidator(_socket_address)] = "127.0.0.1:3310"
        """clamd's TCPSocket as HOST:PORT, or the path of its LocalSocket."""
        max_bytes: int | None = Field(None, ge=1)
        """Larger messages are unscanned without asking; clamd's own StreamMaxLength holds in any case."""
        connections: int = Field(10, ge=1)
        """Messages at clamd at a time; clamd's MaxThreads is 10 by default. More of them wait for their turn."""

    def __init__(self, options: Options, tools: Tools) -> None:
        super().__init__(options, tools)
        self._address = options.address
        self._max_bytes = options.max_bytes
        self._turns = asyncio.Semaphore(options.connections)

    async def judge(self, mail: Mail) -> Iterable[Finding]:
        """Raises OSError when clamd does not answer, ValueError when its answer makes no sense."""
        if self._max_bytes is not None and mail.content.size > self._max_bytes:
            raise Unscanned(f"the message is larger than {self._max_bytes} bytes")
        async with self._turns:
            connection = await _connect(self._address)
            try:
                return _findings(await _ask(connection, mail.content))
            finally:
                connection.close()


async def _connect(address: str) -> socket.socket:
    family, place = (socket.AF_UNIX, address) if address.startswith("/") else await _place(address)
    connection = socket.socket(family, socket.SOCK_STREAM)
    connection.setblocking(False)
    try:
        await asyncio.get_running_loop().sock_connect(connection, place)
    except BaseException:
        connection.close()
        raise
    return connection


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


async def _ask(connection: socket.socket, content: Content) -> str:
    """The reply of clamd. It is awaited while we send: past its size limit clamd answers at once and hangs up.

    On a plain socket, and not on a stream, because a stream forgets what was received when sending fails.
    """
    sending = asyncio.create_task(_send(connection, content))
    receiving = asyncio.create_task(_receive(connection))
    try:
        await asyncio.wait((sending, receiving), return_when=asyncio.FIRST_COMPLETED)
        if not receiving.done() and not isinstance(sending.exception(), ConnectionError | None):
            sending.result()
        reply = await receiving
        if reply == CLEAN:  # it has read all, and so our last word is out, or is just going out
            await asyncio.wait((sending,), timeout=_LAST_WORD_SECONDS)
            if not sending.done() or sending.exception() is not None:
                raise ConnectionError("clamd says OK to what it has not read")
        return reply
    finally:
        # The socket may be closed only when neither uses it any more.
        sending.cancel()
        receiving.cancel()
        await asyncio.gather(sending, receiving, return_exceptions=True)


async def _send(connection: socket.socket, content: Content) -> None:
    loop = asyncio.get_running_loop()
    await loop.sock_sendall(connection, b"zINSTREAM\0")
    for piece in content.pieces():
        if piece:  # a piece without bytes would be the end
            await loop.sock_sendall(connection, len(piece).to_bytes(4, "big") + piece)
    await loop.sock_sendall(connection, bytes(4))


async def _receive(connection: socket.socket) -> str:
    loop = asyncio.get_running_loop()
    reply = b""
    while not reply.endswith(b"\0"):
        received = await loop.sock_recv(connection, _REPLY_BYTES)
        reply += received
        if not received or len(reply) > _REPLY_BYTES:
            raise ConnectionError("clamd hung up, or sends without end, instead of a reply")
    return reply[:-1].decode("utf-8", "replace").strip()


def _findings(reply: str) -> list[Finding]:
    if reply == CLEAN:
        return []
    if "size limit exceeded" in reply:
        raise Unscanned("the message is larger than clamd takes")
    name = reply.removeprefix("stream: ").removesuffix(" FOUND")
    if reply != f"stream: {name} FOUND" or not name:
        raise ValueError(f"clamd answered {reply[:100]!r}")
    if name.startswith(_UNSCANNED):
        raise Unscanned(f"clamd could not look inside: {name}", [Finding(name)])
    return [Finding(name, Severity.SUSPICIOUS if name.startswith(_SUSPICIOUS) else Severity.MALICIOUS)]

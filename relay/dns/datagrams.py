"""UDP sockets of look-ups, which may be given up at any moment.

A loop's own way to such a socket waits for a turn; who is cancelled there loses the socket, and uvloop keeps it open
for ever. These are made without waiting. They are connected: the system passes over what others send, and tells when
nobody listens.
"""

import asyncio
import socket
from collections.abc import Awaitable
from typing import Any, Final, TypeVar

import dns.asyncbackend
import dns.exception

_LONGEST: Final = 65_535
ResultT = TypeVar("ResultT")


class Datagrams(dns.asyncbackend.DatagramSocket):  # type: ignore[name-defined,misc]
    """A UDP socket that is connected to `address`."""

    def __init__(self, family: int, address: tuple[str, int]) -> None:
        super().__init__(family, socket.SOCK_DGRAM)
        self._socket = socket.socket(family, socket.SOCK_DGRAM)
        self._to: Any = address
        try:
            self._socket.setblocking(False)
            self._socket.connect(address)
        except BaseException:
            self._socket.close()
            raise

    async def sendto(self, what: bytes, destination: Any, timeout: float | None) -> int:
        """Send to where it is connected, which dnspython calls `destination`. Raises dns.exception.Timeout, OSError."""
        self._to = destination
        await _within(timeout, asyncio.get_running_loop().sock_sendall(self._socket, what))
        return len(what)

    async def recvfrom(self, size: int, timeout: float | None) -> tuple[bytes, Any]:
        """The next datagram. Raises OSError, dns.exception.Timeout; this too when nobody listens, for that may pass."""
        try:
            loop = asyncio.get_running_loop()
            return await _within(timeout, loop.sock_recv(self._socket, min(size, _LONGEST))), self._to
        except ConnectionRefusedError:
            raise dns.exception.Timeout(timeout=timeout) from None  # type: ignore[no-untyped-call]

    async def close(self) -> None:
        """Close it."""
        self._socket.close()

    async def getpeername(self) -> Any:
        """Where it is connected to."""
        return self._socket.getpeername()


async def _within(timeout: float | None, work: Awaitable[ResultT]) -> ResultT:
    try:
        async with asyncio.timeout(timeout):
            return await work
    except TimeoutError:
        raise dns.exception.Timeout(timeout=timeout) from None  # type: ignore[no-untyped-call]

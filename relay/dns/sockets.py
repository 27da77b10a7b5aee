"""Sockets that hand on no answer which dnspython would take long to read: who has a zone chooses what stands in it.

dnspython reads an answer in one turn of the event loop. A kilobyte of records whose names have a hundred labels each
takes it a second, 64 of them take it a minute, and no mail moves meanwhile. So answers are weighed, which takes a
millisecond, and read one in a turn.
"""

import asyncio
import socket
import struct
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from typing import Any, Final

import dns.asyncbackend
import dns.exception
import dns.rdatatype

from relay.dns.datagrams import Datagrams

MOST_BYTES: Final = 16_384
"""Of an answer. What is asked for fits into a quarter of that."""
MOST_RECORDS: Final = 150
"""Of an answer, in all its sections: each takes 0.2 ms to read."""
MOST_WEIGHT: Final = 30_000
"""Of an answer: the labels of each name, squared, and what takes as long: 0.4 us for each. Names have three or four."""
_STRING: Final = 25
"""What a string of a TXT record weighs."""
_LABELS: Final = 127
"""Labels of the longest name (RFC 1035 section 2.3.4)."""
_NAMES: Final = {"NS": (0, 1), "CNAME": (0, 1), "PTR": (0, 1), "DNAME": (0, 1), "SOA": (0, 2), "MX": (2, 1)}
"""Where the names begin in the data of such a record, and how many they are."""
_NAMED: Final = {int(dns.rdatatype.from_text(kind)): place for kind, place in _NAMES.items()}
_NAMELESS: Final = {int(dns.rdatatype.from_text(kind)) for kind in ("A", "AAAA", "OPT")}
_TXT: Final = int(dns.rdatatype.TXT)


class TooHeavy(dns.exception.FormError):
    """The answer is larger than any that we want."""

    def __init__(self, why: str) -> None:
        super().__init__(why)  # type: ignore[no-untyped-call]


def weigh(wire: bytes) -> None:
    """Raises TooHeavy for an answer that takes long to read. One that cannot be read is left to who reads it."""
    if len(wire) > MOST_BYTES:
        raise TooHeavy(f"{len(wire)} bytes, more than {MOST_BYTES}")
    weight = 0
    try:
        for more in _weights(wire):
            weight += more
            if weight > MOST_WEIGHT:
                raise TooHeavy("names with too many labels, or too many strings")
    except (IndexError, struct.error):
        return


def _weights(wire: bytes) -> Iterator[int]:
    questions, *others = struct.unpack_from("!4H", wire, 4)
    if questions + sum(others) > MOST_RECORDS:
        raise TooHeavy(f"{questions + sum(others)} records, more than {MOST_RECORDS}")
    at = 12
    for _ in range(questions):
        labels, at = _name(wire, at)
        yield labels**2
        at += 4
    for _ in range(sum(others)):
        labels, at = _name(wire, at)
        yield labels**2
        kind, length = struct.unpack_from("!H6xH", wire, at)
        at += 10
        yield _data(wire, kind, at, at + length)
        at += length


def _data(wire: bytes, kind: int, at: int, end: int) -> int:
    if kind in _NAMELESS:
        return 0
    if kind == _TXT:
        return _STRING * _strings(wire, at, end)
    if kind not in _NAMED:
        return _unknown(wire[at:end])
    skipped, names = _NAMED[kind]
    at, weight = at + skipped, 0
    for _ in range(names):
        labels, at = _name(wire, at)
        weight += labels**2
    return weight


def _unknown(data: bytes) -> int:
    """Of a record that nobody asked for. There may be a name in it: a pointer to one, or as long as there is room."""
    labels = _LABELS if any(byte >= 0xC0 for byte in data) else min(_LABELS, len(data) // 2)
    return int(labels**2) + 4 * len(data)


def _strings(wire: bytes, at: int, end: int) -> int:
    count = 0
    while at < end:
        at += 1 + wire[at]
        count += 1
    return count


def _name(wire: bytes, at: int) -> tuple[int, int]:
    """How many labels the name at `at` has, and where it ends (RFC 1035 section 4.1.4)."""
    labels, end = 0, 0
    while wire[at]:
        if wire[at] >= 0xC0:
            end = end or at + 2
            at = (wire[at] & 0x3F) << 8 | wire[at + 1]
        else:
            at += 1 + wire[at]
        labels += 1  # pointers count too, which may go in circles
        if labels > 2 * _LABELS:
            raise TooHeavy("a name that does not end")
    return labels, end or at + 1


Turn = Callable[[], Awaitable[None]]


class Weighing:
    """dnspython's way to sockets, with answers weighed, and one of them read in each turn of the event loop."""

    def __init__(self) -> None:
        self._one = asyncio.Lock()

    def name(self) -> str:
        """See dnspython."""
        return "asyncio"

    def datagram_connection_required(self) -> bool:
        """See dnspython."""
        return True

    async def sleep(self, interval: float) -> None:
        """See dnspython."""
        await asyncio.sleep(interval)

    async def make_socket(self, af: int, socktype: int, *more: Any, **others: Any) -> Any:
        """A socket that weighs what it receives. Raises OSError."""
        if socktype == socket.SOCK_DGRAM:
            return self._datagrams(af, *more, **others)
        sock = await _real().make_socket(af, socktype, *more, **others)
        sock.recv = _Stream(sock.recv, self._turn).recv
        return sock

    def _datagrams(self, af: int, _proto: int, _source: Any, destination: Any) -> Any:
        sock: Any = Datagrams(af, destination)
        sock.recvfrom = _Datagrams(sock.recvfrom, self._turn).recvfrom
        return sock

    async def _turn(self) -> None:
        async with self._one:
            await asyncio.sleep(0)  # who waits for us goes on in this very turn, and reads its answer


class _Datagrams:
    """Passes over what is too heavy: anybody can send it."""

    def __init__(self, receive: Any, turn: Turn) -> None:
        self._receive, self._turn = receive, turn

    async def recvfrom(self, size: int, timeout: float) -> tuple[bytes, Any]:
        """The next datagram, and from where it is."""
        end = time.monotonic() + timeout
        while True:
            wire, peer = await self._receive(size, max(0.0, end - time.monotonic()))
            with suppress(TooHeavy):
                weigh(wire)
                await self._turn()
                return wire, peer


class _Stream:
    """Receives one whole message before any of it is handed on."""

    def __init__(self, receive: Any, turn: Turn) -> None:
        self._receive, self._turn = receive, turn
        self._have = b""

    async def recv(self, size: int, timeout: float) -> bytes:
        """The next bytes, b"" at the end. Raises TooHeavy."""
        if not self._have:
            await self._fetch(time.monotonic() + timeout)
        given, self._have = self._have[:size], self._have[size:]
        return given

    async def _fetch(self, end: float) -> None:
        head = await self._exactly(2, end)
        wire = await self._exactly(int.from_bytes(head, "big"), end)
        weigh(wire)
        await self._turn()
        self._have = head + wire

    async def _exactly(self, size: int, end: float) -> bytes:
        """`size` bytes, or fewer when it hung up."""
        have = b""
        while len(have) < size and (piece := await self._receive(size - len(have), max(0.0, end - time.monotonic()))):
            have += piece
        return have


def _real() -> Any:
    return dns.asyncbackend.get_backend("asyncio")

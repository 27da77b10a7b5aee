"""ICAP as a client reads and writes it (RFC 3507): heads, the Encapsulated field, chunked bodies.

Every length that a server tells is held against a limit before it is believed, and syntax is taken as strictly as the
RFC has it: a server that is misread would be a virus that is let through.
"""

import asyncio
import re
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import NamedTuple

from verdicts.protocols.wire import Connection

MAX_FIELDS = 200
MAX_SECTION = 65_536
"""Bytes of encapsulated HTTP headers."""

_STATUS = re.compile(r"ICAP/1\.[0-9] ([1-5][0-9]{2})(?: .*)?")
_FIELD = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*(.*)")
_ENTITY = re.compile(r"(req-hdr|res-hdr|req-body|res-body|opt-body|null-body)=([0-9]{1,8})")
_CLEAN = ("", "no threats", "none")
_NOT_BLOCKED = ("", "0", "false", "no")
_CHUNK = re.compile(r"([0-9A-Fa-f]{1,8})(?:[ \t]*;.*)?")


class Head(NamedTuple):
    """Status and header fields of a response."""

    status: int
    fields: dict[str, str]
    """By name in lower case; the lines of a folded one, and repeated ones, are joined by line feeds."""


class Encapsulated(NamedTuple):
    """What follows a head (RFC 3507 section 4.4.1)."""

    headers: int
    """Bytes of HTTP header sections."""
    body: bool
    """Whether chunks follow them."""


async def read_head(connection: Connection) -> Head:
    """The next head, up to its empty line. Raises ValueError when it is none, OSError."""
    line = await connection.line()
    status = _STATUS.fullmatch(line)
    if not status:
        raise ValueError(f"the ICAP server answered {line[:100]!r}")
    return Head(int(status[1]), _fields(await _lines(connection)))


async def _lines(connection: Connection) -> list[str]:
    """Lines up to an empty one."""
    lines: list[str] = []
    while line := await connection.line():
        lines.append(line)
        if len(lines) > MAX_FIELDS:
            raise ValueError("the ICAP server sends more header fields than make sense")
    return lines


def _fields(lines: Iterable[str]) -> dict[str, str]:
    fields: dict[str, list[str]] = {}
    name = ""
    for line in lines:
        field = _FIELD.fullmatch(line)
        if field:
            name = field[1].lower()
        elif not name or line[0] not in " \t":
            raise ValueError(f"the ICAP server sends the header line {line[:100]!r}")
        fields.setdefault(name, []).append((field[2] if field else line).strip())
    return {name: "\n".join(values) for name, values in fields.items()}


def number(head: Head, name: str) -> int | None:
    """The value of a field that is a number; None where it is missing. Raises ValueError."""
    text = head.fields.get(name)
    if text is None:
        return None
    if not re.fullmatch(r"[0-9]{1,9}", text):
        raise ValueError(f"the ICAP server sends {name}: {text[:100]!r}")
    return int(text)


def threats(head: Head) -> list[str]:
    """What the gateway found, by its own names.

    No part of the RFC: X-Infection-Found and X-Violations-Found are those of draft-stecher-icap-subid, X-Virus-ID,
    X-Virus-Name and X-Blocked of common use.
    """
    fields = head.fields
    names = re.findall(r"\bThreat=([^;\n]*)", infection := fields.get("x-infection-found", ""))
    count, *violations = fields.get("x-violations-found", "0").split("\n")
    names += violations[1::4]  # of each a file's name, the threat's name, its number, what became of it
    if (infection or count != "0") and not names:
        names.append("unnamed")
    names += [value for name in ("x-virus-id", "x-virus-name") if (value := fields.get(name, "")).lower() not in _CLEAN]
    if fields.get("x-blocked", "").lower() not in _NOT_BLOCKED:
        names.append(fields.get("x-block-reason") or "blocked")
    return list(dict.fromkeys(name.strip() or "unnamed" for name in names))


def encapsulated(head: Head) -> Encapsulated:
    """What the Encapsulated field says; nothing follows where it is missing. Raises ValueError."""
    text = head.fields.get("encapsulated", "null-body=0")
    entities = [_ENTITY.fullmatch(entity.strip()) for entity in text.split(",")]
    places = [(entity[1], int(entity[2])) for entity in entities if entity]
    offsets = [offset for _, offset in places]
    *headers, (last, end) = places or [("", 0)]
    whole = len(places) == len(entities) and offsets[0] == 0 and sorted(set(offsets)) == offsets
    if not whole or not last.endswith("-body") or not all(name.endswith("-hdr") for name, _ in headers):
        raise ValueError(f"the ICAP server sends Encapsulated: {text[:100]!r}")
    if end > MAX_SECTION:
        raise ValueError(f"the ICAP server sends {end} bytes of HTTP headers")
    return Encapsulated(end, last != "null-body")


class Body:
    """What follows the head: the HTTP headers are skipped, the chunks are read (RFC 9112 section 7.1)."""

    def __init__(self, connection: Connection, follows: Encapsulated) -> None:
        self._connection = connection
        self._headers = follows.headers
        self._over = not follows.body
        self._left = 0

    async def read(self) -> bytes:
        """The next piece; empty at the end, and the trailer is read then too. Raises ValueError, OSError."""
        await self._connection.exactly(self._headers)
        self._headers = 0
        if not self._over and not self._left:
            await self._next_chunk()
        if self._over:
            return b""
        piece = await self._connection.some(self._left)
        self._left -= len(piece)
        if not self._left and await self._connection.exactly(2) != b"\r\n":
            raise ValueError("the ICAP server sends a chunk that is longer than it says")
        return piece

    async def _next_chunk(self) -> None:
        await asyncio.sleep(0)  # a chunk may have but one byte
        self._left = _chunk_size(await self._connection.line())
        if not self._left:
            await _lines(self._connection)
            self._over = True


def _chunk_size(line: str) -> int:
    size = _CHUNK.fullmatch(line)
    if not size:
        raise ValueError(f"the ICAP server sends a chunk of the size {line[:100]!r}")
    return int(size[1], 16)


def write_chunks(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The same pieces as chunks, without the empty one that is the end; an empty piece sends nothing."""
    return (b"%x\r\n%b\r\n" % (len(piece), piece) if piece else b"" for piece in pieces)


async def split(pieces: Iterable[bytes], size: int) -> tuple[bytes, Iterator[bytes] | None]:
    """The first `size` bytes, or all there are, and the rest; None: there is nothing more."""
    rest = iter(pieces)
    first = b""
    for piece in rest:
        first += piece
        if len(first) > size:
            return first[:size], chain([first[size:]], rest)
        await asyncio.sleep(0)
    return first, None


async def equal(received: Body, pieces: Iterator[bytes]) -> bool:
    """Whether both have the same bytes; nothing more is read of `received` once they differ."""
    ours = memoryview(b"")
    while theirs := await received.read():
        compared = 0
        while compared < len(theirs):
            ours = ours or await _next(pieces)
            size = min(len(ours), len(theirs) - compared)
            if not size or ours[:size] != theirs[compared : compared + size]:
                return False
            ours, compared = ours[size:], compared + size
    return not (ours or await _next(pieces))


async def _next(pieces: Iterator[bytes]) -> memoryview:
    """The next piece with bytes in it, empty when there is none; others get their turn."""
    for piece in pieces:
        await asyncio.sleep(0)
        if piece:
            return memoryview(piece)
    return memoryview(b"")

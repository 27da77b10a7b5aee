"""The milter protocol as the mail server's side speaks it, versions 2 to 6 (libmilter/mfdef.h of sendmail 8.18).

A packet is a length of 4 bytes, a command of one and its data. The filter says at the beginning which steps it wants to
skip, and which of them it does not answer.
"""

import enum
import struct
from typing import NamedTuple

from verdicts.protocols.wire import Connection

OLDEST, NEWEST = 2, 6
CHUNK = 65_535
"""Bytes of data in a packet that every filter takes (MILTER_CHUNK_SIZE)."""
_OFFER = struct.Struct("!III")


class Steps(enum.IntFlag):
    """What a filter may ask for in its offer (SMFIP_...), as far as it makes a difference here."""

    NO_CONNECT = 0x1
    NO_HELO = 0x2
    NO_MAIL = 0x4
    NO_RCPT = 0x8
    NO_BODY = 0x10
    NO_HEADERS = 0x20
    NO_EOH = 0x40
    SILENT_HEADERS = 0x80
    NO_DATA = 0x200
    SILENT_CONNECT = 0x1000
    SILENT_HELO = 0x2000
    SILENT_MAIL = 0x4000
    SILENT_RCPT = 0x8000
    SILENT_DATA = 0x10000
    SILENT_EOH = 0x40000
    SILENT_BODY = 0x80000
    LEADING_SPACE = 0x100000


ALL_STEPS = Steps(0x1FFFFF)
"""All of version 6: what is not named above is about commands that never come, or is done anyway (SMFIP_SKIP)."""
ALL_ACTIONS = 0x1FF
"""Adding and changing headers, recipients, sender and body, quarantine, lists of macros (SMFIF_...)."""


class Packet(NamedTuple):
    """One message of the protocol."""

    command: bytes
    data: bytes = b""

    def encoded(self) -> bytes:
        """As it is sent."""
        return struct.pack("!I", len(self.data) + 1) + self.command + self.data


class Offer(NamedTuple):
    """What both can do; by the filter's answer, what will be done."""

    version: int = NEWEST
    actions: int = ALL_ACTIONS
    steps: Steps = ALL_STEPS

    def encoded(self) -> bytes:
        """As it is sent."""
        return Packet(b"O", _OFFER.pack(*self)).encoded()

    def accepted(self, answer: Packet) -> "Offer":
        """What the filter makes of this offer. Raises ValueError when it wants what was not offered."""
        if answer.command != b"O" or len(answer.data) < _OFFER.size:
            raise ValueError("the milter does not negotiate")
        version, actions, steps = _OFFER.unpack_from(answer.data)  # a list of the macros it wants may follow
        if not OLDEST <= version <= self.version or actions & ~self.actions or steps & ~int(self.steps):
            raise ValueError(f"the milter wants version {version}, actions {actions:#x}, steps {steps:#x}")
        return Offer(version, actions, Steps(steps))


async def read_packet(connection: Connection, limit: int) -> Packet:
    """The next one, of at most `limit` bytes. Raises ValueError and OSError."""
    length = int.from_bytes(await connection.exactly(4), "big")
    if not 0 < length <= limit:
        raise ValueError(f"the milter sends a packet of {length} bytes")
    content = await connection.exactly(length)
    return Packet(content[:1], content[1:])


def words(*texts: str | bytes) -> bytes:
    """Texts as data, each with a NUL behind it; a NUL within would end it early, and is left away."""
    encoded = (text.encode("utf-8", "replace") if isinstance(text, str) else text for text in texts)
    return b"".join(text.replace(b"\0", b"") + b"\0" for text in encoded)


def read_words(data: bytes, count: int) -> list[str]:
    """The `count` texts that data consists of. Raises ValueError."""
    *texts, rest = data.split(b"\0")
    if rest or len(texts) != count:
        raise ValueError(f"the milter sends {data[:100]!r} where {count} texts are due")
    return [text.decode("utf-8", "replace") for text in texts]

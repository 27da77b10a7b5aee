"""Mail: the read-only view of one message that engines judge.

Session, Envelope and Content are plain facts; everything parsed (fields, parts, links) is computed on first use and at
most once, so an engine pays only for what it looks at and two engines never pay twice.
"""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol

from verdicts.fields import Fields, Origin
from verdicts.parts import Part, Reading, Structure


@dataclass(frozen=True, slots=True)
class Tls:
    """What TLS says of a connection. `names` are the subject names of the client's verified certificate."""

    version: str
    cipher: str
    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Session:
    """Facts of one SMTP connection (RFC 5321 section 3.1)."""

    id: str
    peer: str
    """The client's address, without port; behind a trusted balancer the one that the PROXY header told."""
    helo: str = ""
    esmtp: bool = True
    network: str = ""
    """Which admitted network the peer belongs to: a label such as "exchange-online", "relay-pool" or "operator"."""
    tls: Tls | None = None


@dataclass(frozen=True, slots=True)
class Recipient:
    """One RCPT command: the address without angle brackets, and its DSN parameters as they came (RFC 3461)."""

    address: str
    notify: str | None = None
    orcpt: str | None = None


@dataclass(frozen=True, slots=True)
class Envelope:
    """One MAIL command and the recipients that were accepted so far (RFC 5321 section 3.3)."""

    sender: str = ""
    """The reverse-path without angle brackets; empty for the null sender."""
    recipients: tuple[Recipient, ...] = ()
    body: str | None = None
    """BODY as it was given: None, "7BIT" or "8BITMIME" (RFC 6152)."""
    smtputf8: bool = False
    size: int | None = None
    """SIZE as it was declared, in bytes (RFC 1870)."""
    ret: str | None = None
    envid: str | None = None


class Content(Protocol):
    """The bytes of a message, from the first header line to the last body line, free of dot-stuffing."""

    @property
    def size(self) -> int:
        """Bytes in all."""

    def pieces(self) -> Iterator[bytes]:
        """The bytes in order, in pieces of moderate size; may be called again."""

    def view(self) -> memoryview:
        """All bytes as one read-only buffer (a memory map when the draft lies in a file)."""


@dataclass(frozen=True)
class Mail:
    """Session, Envelope and Content of one message, and lazily whatever is parsed of them."""

    session: Session
    envelope: Envelope
    content: Content
    tenant: str = ""
    cache: dict[str, object] = field(default_factory=dict, compare=False, repr=False)
    """For what engines want to compute once and share; keyed by "engine:thing"."""

    @cached_property
    def fields(self) -> Fields:
        """The header fields of the message, in order (RFC 5322 section 2.2)."""
        return Fields.parse(self.content.view())

    @property
    def parts(self) -> tuple[Part, ...]:
        """All leaf parts of the MIME tree (RFC 2046), nested messages included, within the limits of `parts.py`."""
        return self.structure.parts

    @cached_property
    def structure(self) -> Structure:
        """The parts, whether there are more of them than the limits allow, and what is wrong with the structure."""
        return self._reading.structure()

    async def read_structure(self) -> Structure:
        """`structure`, read in steps of about a millisecond between which other messages get their turn."""
        while self._reading.step():  # noqa: ASYNC110 - it is work, not waiting
            await asyncio.sleep(0)
        return self.structure

    @cached_property
    def _reading(self) -> Reading:
        return Reading(self.content.view(), self.fields)

    @cached_property
    def origin(self) -> Origin:
        """Who handed the message to Microsoft: address and HELO by Microsoft's own evidence, never our TCP peer."""
        return Origin.of(self.fields)

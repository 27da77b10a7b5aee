"""Mail: the read-only view of one message that engines judge.

Session, Envelope and Content are plain facts; everything parsed (fields, parts, origin) is computed on first use and at
most once, so an engine pays only for what it looks at and two engines never pay twice. Nobody changes any of them; they
are not frozen because a frozen dataclass costs four times as much to make, and each message makes some.
"""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple, Protocol, Self

from verdicts.fields import Fields
from verdicts.lists import Lists
from verdicts.origin import Origin
from verdicts.parts import Part, Structure
from verdicts.reading import Reading


@dataclass(slots=True, unsafe_hash=True)
class Tls:
    """What TLS says of a connection. `names` are the subject names of the client's verified certificate."""

    version: str
    cipher: str
    names: tuple[str, ...] = ()


@dataclass(slots=True, unsafe_hash=True)
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


@dataclass(slots=True, unsafe_hash=True)
class Recipient:
    """One RCPT command: the address without angle brackets, and its DSN parameters as they came (RFC 3461)."""

    address: str
    notify: str | None = None
    orcpt: str | None = None


@dataclass(slots=True, unsafe_hash=True)
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

    def with_recipient(self, one: Recipient) -> Self:
        """The envelope with one more recipient."""
        recipients = (*self.recipients, one)
        return type(self)(self.sender, recipients, self.body, self.smtputf8, self.size, self.ret, self.envid)


class Content(Protocol):
    """The bytes of a message, from the first header line to the last body line, free of dot-stuffing."""

    @property
    def size(self) -> int:
        """Bytes in all."""

    def pieces(self) -> Iterator[bytes]:
        """The bytes in order, in pieces of moderate size; may be called again."""

    def view(self) -> memoryview:
        """All bytes as one read-only buffer (a memory map when the draft lies in a file)."""


class Person(NamedTuple):
    """One whose name attackers like to use."""

    name: str
    """The display name, for example "Ann Archer"."""
    addresses: tuple[str, ...] = ()
    """The addresses from which that person really writes."""


class Profile(NamedTuple):
    """What a tenant told us of itself."""

    domains: tuple[str, ...] = ()
    """Its protected domains, as lower-case A-labels."""
    people: tuple[Person, ...] = ()
    lists: Lists = Lists()
    """Whom and what it allows and blocks."""


NOBODY = Profile()


class Mail:
    """Session, Envelope and Content of one message, and lazily whatever is parsed of them."""

    __slots__ = (
        "_fields", "_origin", "_reading", "_structure", "cache", "content", "envelope", "profile", "proven", "session",
        "tenant",
    )  # fmt: skip

    def __init__(
        self,
        session: Session,
        envelope: Envelope,
        content: Content,
        tenant: str = "",
        profile: Profile = NOBODY,
        origin: Origin | None = None,
        *,
        proven: bool = False,
    ) -> None:
        """`origin`: who handed it to Microsoft, where that is known better than by the message's own fields."""
        self.session = session
        self.envelope = envelope
        self.content = content
        self.tenant = tenant
        self.profile = profile
        self.proven = proven
        """Whether it proved to come through the tenant's own rule. All of Microsoft's customers share its addresses: in
        other mail anybody may have written what Microsoft is said to have found."""
        self.cache: dict[str, object] = {}
        """For what engines want to compute once and share; keyed by "engine:thing"."""
        self._fields: Fields | None = None
        self._origin = origin
        self._reading: Reading | None = None
        self._structure: Structure | None = None

    @property
    def fields(self) -> Fields:
        """The header fields of the message, in order (RFC 5322 section 2.2)."""
        if self._fields is None:
            self._fields = Fields.parse(self.content.view())
        return self._fields

    @property
    def parts(self) -> tuple[Part, ...]:
        """All leaf parts of the MIME tree (RFC 2046), nested messages included, within the limits of `reading.py`."""
        return self.structure.parts

    @property
    def structure(self) -> Structure:
        """The parts, whether there are more of them than the limits allow, and what is wrong with the structure."""
        if self._structure is None:
            self._structure = self._read().structure()
        return self._structure

    @property
    def structure_is_read(self) -> bool:
        """Whether `structure` costs nothing more."""
        return self._structure is not None

    async def read_structure(self) -> Structure:
        """`structure`, read in steps of about a millisecond between which other messages get their turn."""
        if self._structure is None:
            reading = self._read()
            while reading.step():  # noqa: ASYNC110 - it is work, not waiting
                await asyncio.sleep(0)
        return self.structure

    def stop_reading(self) -> None:
        """Let go of a reading that an engine which was late left half done: it refers to itself, and to the message."""
        if self._reading is not None:
            self._reading.close()

    @property
    def origin(self) -> Origin:
        """Who handed the message to Microsoft: address and HELO by Microsoft's own evidence, never our TCP peer."""
        if self._origin is None:
            self._origin = Origin.of(self.fields)
        return self._origin

    def _read(self) -> Reading:
        """The one reading, which engines at work at the same time go on with in turn."""
        if self._reading is None:
            self._reading = Reading(self.content.view(), self.fields)
        return self._reading

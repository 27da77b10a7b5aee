"""Header fields by byte span, found on demand; and Origin, Microsoft's own evidence of who sent the message.

Sources: RFC 5322 section 2.2 (fields, folding) and section 4.5 (obsolete forms: white space before the colon); the
X-Forefront-Antispam-Report format of Microsoft's page "Anti-spam message headers in Microsoft 365".

A line ends at LF, with or without CR: a message that came by BDAT may hold either. Nothing here raises on garbage, and
nothing costs more than one pass over the header section: a name is searched for in a lower-case copy of the section, so
that a section of 1 MiB with 300,000 fields costs no more than the fields that are asked for.
"""

import ipaddress
import mmap
import re
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple, Self

Source = bytes | bytearray | mmap.mmap
"""What can be searched and sliced without a copy of the whole."""

MAX_FIELDS = 5_000
"""Fields of one header section that is worth reading; an honest one has some hundred."""

_FIRST_LOOK = 65_536  # nearly every header section ends here; what does not is searched for as a whole
_FIELD_END = re.compile(rb"\n(?![ \t])")  # a line that begins with white space continues the field (RFC 5322, 2.2.3)
_COLON = re.compile(rb"(?:[ \t\r]|\n(?=[ \t]))*+:")
_NO_FIELD = re.compile(rb"\n(?![ \t]|[!-9;-~]*+:|\Z)")  # as strict as the strictest reader (RFC 5322, 2.2)
_REPORT_CHARACTERS = 8_192  # Microsoft's reports have some hundred characters
_HOST_CHARACTERS = 255


def searchable(buffer: Source | memoryview) -> Source:
    """The bytes behind `buffer` as what has find(): the viewed object itself where the view spans all of it."""
    if not isinstance(buffer, memoryview):
        return buffer
    viewed = buffer.obj
    if isinstance(viewed, bytes | bytearray | mmap.mmap) and len(viewed) == buffer.nbytes:
        return viewed
    return bytes(buffer)


def find_header_end(buffer: Source | memoryview, start: int = 0, stop: int | None = None) -> int | None:
    """Offset behind the blank line that ends the header section which begins at `start`; None when there is none."""
    source = searchable(buffer)
    size = len(source) if stop is None else stop
    first = source[start : min(start + 2, size)]
    if first == b"\r\n" or first[:1] == b"\n":
        return start + (2 if first == b"\r\n" else 1)
    found = _blank_line(source, start, min(start + _FIRST_LOOK, size))
    return _blank_line(source, start, size) if found is None and size - start > _FIRST_LOOK else found


def header_longer_than(limit: int, buffer: Source | memoryview) -> bool:
    """Whether the header section of a message has more than `limit` bytes; looks no further."""
    return len(buffer) > limit and find_header_end(buffer, 0, limit) is None


def _blank_line(source: Source, start: int, stop: int) -> int | None:
    with_cr = source.find(b"\n\r\n", start, stop)
    without = source.find(b"\n\n", start, stop if with_cr < 0 else with_cr + 1)
    if without >= 0:
        return without + 2
    return with_cr + 3 if with_cr >= 0 else None


class Field(NamedTuple):
    """One header field. A line without a colon makes a field whose name is empty."""

    name: bytes
    """As it was sent, without the white space behind it."""
    start: int
    """Offset of its first byte in the message."""
    end: int
    """Offset behind its last line end."""
    value: bytes
    """What stands behind the colon, folding included, without the last line end."""

    @property
    def text(self) -> str:
        """The value unfolded and stripped; bytes that are not UTF-8 become U+FFFD, a lone CR a space."""
        value = self.value.replace(b"\r\n", b"").replace(b"\n", b"").replace(b"\r", b" ")
        return value.decode("utf-8", "replace").strip()


class Fields:
    """The header section of a message (or of a part), looked at only as far as somebody asks.

    `start` and `end` are offsets in the message; `end` is behind the blank line, or the message's size without one;
    `closed` says whether there is one. Names are compared without regard to case.
    """

    def __init__(self, head: bytes, start: int, end: int, closed: bool) -> None:
        self._head = head
        self.start = start
        self.end = end
        self.closed = closed

    @classmethod
    def parse(cls, buffer: Source | memoryview, start: int = 0, stop: int | None = None) -> Self:
        """The header section that begins at `start`, in a message that is over at `stop` (its size by default)."""
        source = searchable(buffer)
        size = len(source) if stop is None else stop
        found = find_header_end(source, start, size)
        end = size if found is None else found
        head = bytes(source[start:end])
        if found is not None:
            head = head[: -2 if head.endswith(b"\r\n") else -1]
        return cls(head, start, end, found is not None)

    def __iter__(self) -> Iterator[Field]:
        """All fields in order; their spans and the blank line make up the whole section."""
        start = 0
        while start < len(self._head):
            field = self._at(start)
            yield field
            start = field.end - self.start

    def each(self, name: str) -> Iterator[Field]:
        """The fields called `name` from the top, one at a time: for who needs only the first few."""
        return map(self._at, self._starts(name))

    def spans(self, name: str) -> Iterator[tuple[int, int]]:
        """Where the fields called `name` lie in the message, from the top; those that touch make one span."""
        begun = end = 0
        for start in self._starts(name):
            if start > end:
                if end:
                    yield self.start + begun, self.start + end
                begun = start
            end = self._over(start)
        if end:
            yield self.start + begun, self.start + end

    def beginning_with(self, prefix: bytes) -> Iterator[Field]:
        """The fields whose name begins with `prefix`, which is in lower case, from the top."""
        line = b"\n" + prefix
        found = self._low.find(line)
        while found >= 0:
            yield self._at(found)
            found = self._low.find(line, found + len(line))

    def all(self, name: str) -> tuple[Field, ...]:
        """Every field called `name`, from the top."""
        return tuple(self.each(name))

    def first(self, name: str) -> Field | None:
        """The topmost field called `name`."""
        return next(self.each(name), None)

    def text(self, name: str) -> str:
        """The topmost field's value, unfolded; empty when there is none."""
        field = self.first(name)
        return field.text if field else ""

    def seek_text(self) -> Generator[int, None, int | None]:
        """Look for the first line that is no field, where the body begins for readers who wait for no blank line.

        Yields after each step of about a millisecond the bytes that were looked at; returns the line's offset in the
        message. A "From " line of an mbox may stand on top.
        """
        low = self._low
        at = int(low.startswith(b"\nfrom "))
        while at < len(low):
            line_end = low.find(b"\n", at + _FIRST_LOOK)
            stop = len(low) if line_end < 0 else line_end
            found = _NO_FIELD.search(low, at, stop)
            yield stop - at
            if found:
                return self.start + found.start()
            at = stop
        return None

    def count_lines(self) -> int:
        """How many lines there are that continue no field, at most."""
        lines = self._head.count(b"\n")
        if lines <= MAX_FIELDS:
            return lines
        return lines - self._head.count(b"\n ") - self._head.count(b"\n\t")

    @cached_property
    def _low(self) -> bytes:
        """In lower case, behind a line end: a field at offset n of `_head` begins with the line end at n of this."""
        return b"\n" + self._head.lower()

    def _starts(self, name: str) -> Iterator[int]:
        """Where the fields called `name` begin in the section."""
        line = b"\n" + name.lower().encode("ascii", "replace")
        low = self._low
        found = low.find(line)
        while found >= 0:
            behind = found + len(line)
            if _COLON.match(low, behind):
                yield found
            found = low.find(line, behind)

    def _over(self, start: int) -> int:
        """Where the field that begins at `start` of the section is over."""
        over = _FIELD_END.search(self._head, start)
        return over.end() if over else len(self._head)

    def _at(self, start: int) -> Field:
        """The field that begins at `start` of the section."""
        head = self._head
        end = self._over(start)
        colon = head.find(b":", start, end)
        name = head[start:colon].rstrip(b" \t\r\n") if colon >= 0 else b""
        stop = end - (2 if head.endswith(b"\r\n", start, end) else head.endswith(b"\n", start, end))
        value = head[colon + 1 if colon >= 0 else start : stop]
        return Field(name, self.start + start, self.start + end, value)


def too_many_fields(fields: Fields) -> bool:
    """Whether a header section has more fields than are worth reading; costs a millisecond for a megabyte."""
    return fields.count_lines() > MAX_FIELDS


def parse_forefront(text: str) -> dict[str, str]:
    """The `KEY:value;` pairs of an X-Forefront-Antispam-Report by key; of a repeated key the first one."""
    facts: dict[str, str] = {}
    for pair in text[:_REPORT_CHARACTERS].split(";"):
        key, colon, value = pair.partition(":")
        if colon:
            facts.setdefault(key.strip().upper(), value.strip())
    return facts


@dataclass(frozen=True, slots=True)
class Origin:
    """Who handed the message to Microsoft, as Microsoft says; None is what it does not say or says unreadably."""

    address: str | None = None
    """IPv4 or IPv6 address in its normal form."""
    helo: str | None = None
    ptr: str | None = None
    """The name that the address resolves to."""
    scl: int | None = None
    """Microsoft's spam confidence level, -1 to 9."""

    @classmethod
    def of(cls, fields: Fields) -> Self:
        """By the topmost X-Forefront-Antispam-Report, else by the attributed connecting address; never by Received.

        Whether the session was Microsoft's is for the caller to know: anybody can write these fields.
        """
        report = parse_forefront(fields.text("X-Forefront-Antispam-Report"))
        connecting = _connecting(fields.text("X-MS-Exchange-CrossTenant-OriginalAttributedTenantConnectingIp"))
        return cls(
            address=_address(report.get("CIP", "")) or _address(connecting.get("ip", "")),
            helo=_host(report.get("H", "")) or _host(connecting.get("helo", "")),
            ptr=_pointer(report.get("PTR", "")),
            scl=_level(report.get("SCL", "")),
        )


def _connecting(text: str) -> dict[str, str]:
    """The pairs of "TenantId=...;Ip=[192.0.2.1];Helo=[mail.example]" by lower-case key, without the brackets."""
    pairs = (pair.partition("=") for pair in text[:_REPORT_CHARACTERS].split(";"))
    return {key.strip().lower(): value.strip().strip("[]") for key, _, value in pairs}


def _address(text: str) -> str | None:
    if "%" in text:  # a scope may hold any character, and means nothing to anybody else
        return None
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    # Microsoft writes 255.255.255.255 for what was submitted inside.
    return None if str(address) == "255.255.255.255" else str(address)


def _host(text: str) -> str | None:
    usable = text and len(text) <= _HOST_CHARACTERS and text.isascii() and text.isprintable() and " " not in text
    return text if usable else None


def _pointer(text: str) -> str | None:
    # Without a dot it is no host name but Microsoft's word for "none", such as InfoDomainNonexistent.
    return _host(text) if "." in text else None


def _level(text: str) -> int | None:
    return int(text) if re.fullmatch(r"-1|[0-9]", text) else None

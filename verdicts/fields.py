"""Header fields by byte span, found on demand.

Sources: RFC 5322 section 2.2 (fields, folding) and section 4.5 (obsolete forms: white space before the colon).

A line ends at LF, with or without CR: a message that came by BDAT may hold either. Nothing here raises on garbage, and
nothing costs more than one pass over the header section: a name is searched for in a lower-case copy of the section, so
that a section of 1 MiB with 300,000 fields costs no more than the fields that are asked for. A section of usual size
gets an index when the first name is asked for: some fifteen are, and most of them are absent.
"""

import mmap
import re
from collections.abc import Generator, Iterable, Iterator
from functools import lru_cache
from typing import NamedTuple, Self

Source = bytes | bytearray | mmap.mmap
"""What can be searched and sliced without a copy of the whole."""

MAX_FIELDS = 5_000
"""Fields of one header section that is worth reading; an honest one has some hundred."""

_FIRST_LOOK = 65_536  # nearly every header section ends here; what does not is searched for as a whole
_FIELD_END = re.compile(rb"\n(?![ \t])")  # a line that begins with white space continues the field (RFC 5322, 2.2.3)
_WHITE = b" \t"
_BLANK_LINE = re.compile(rb"\n\r?\n")
_COLON = re.compile(rb"(?:[ \t\r]|\n(?=[ \t]))*+:")
_NAME = re.compile(rb"(\n[^\s:]++)(?:[ \t\r]|\n(?=[ \t]))*+:")
_INDEXED = 32_768  # bytes of a section that can be indexed in some milliseconds even when it has 10,000 fields
_NO_FIELD = re.compile(rb"\n(?![ \t]|[!-9;-~]*+:|\Z)")  # as strict as the strictest reader (RFC 5322, 2.2)


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
    return _header_end(source, start, len(source) if stop is None else stop)


def _header_end(source: Source, start: int, size: int) -> int | None:
    first = source[start : min(start + 2, size)]
    if first == b"\r\n" or first[:1] == b"\n":
        return start + (2 if first == b"\r\n" else 1)
    blank = _BLANK_LINE.search(source, start, min(start + _FIRST_LOOK, size))
    if blank or size - start <= _FIRST_LOOK:
        return blank.end() if blank else None
    return _far_blank_line(source, start + _FIRST_LOOK - 2, size)


def header_longer_than(limit: int, buffer: Source | memoryview) -> bool:
    """Whether the header section of a message has more than `limit` bytes; looks no further."""
    return len(buffer) > limit and find_header_end(buffer, 0, limit) is None


def _far_blank_line(source: Source, start: int, stop: int) -> int | None:
    """As `_BLANK_LINE` finds it, which is faster among some lines and slower among 300,000."""
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
        value = self.value
        if b"\n" in value or b"\r" in value:
            value = value.replace(b"\r\n", b"").replace(b"\n", b"").replace(b"\r", b" ")
        return value.decode("utf-8", "replace").strip()


class Fields:
    """The header section of a message (or of a part), looked at only as far as somebody asks.

    `start` and `end` are offsets in the message; `end` is behind the blank line, or the message's size without one;
    `closed` says whether there is one. Names are compared without regard to case; no white space is in them.
    """

    __slots__ = ("_head", "_index", "_low", "closed", "end", "start")

    def __init__(self, head: bytes, start: int, end: int, closed: bool) -> None:
        self._head = head
        # Behind a line end: a field at offset n of the section begins with the line end at n of this.
        self._low = b"\n" + head.lower()
        self._index: dict[bytes, list[int]] | None = None
        self.start = start
        self.end = end
        self.closed = closed

    @classmethod
    def parse(cls, buffer: Source | memoryview, start: int = 0, stop: int | None = None) -> Self:
        """The header section that begins at `start`, in a message that is over at `stop` (its size by default)."""
        source = searchable(buffer)
        size = len(source) if stop is None else stop
        found = _header_end(source, start, size)
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
        for start in self._starts(name):
            return self._at(start)
        return None

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
        at = self._first_line()
        while at < len(low):
            line_end = low.find(b"\n", at + _FIRST_LOOK)
            stop = len(low) if line_end < 0 else line_end
            found = _NO_FIELD.search(low, at, stop)
            yield stop - at
            if found:
                return self.start + found.start()
            at = stop
        return None

    def find_text(self) -> int | None:
        """What `seek_text` finds, in one step: for a short section."""
        found = _NO_FIELD.search(self._low, self._first_line())
        return self.start + found.start() if found else None

    def _first_line(self) -> int:
        """Where the first line begins that has to be a field."""
        return int(self._low.startswith(b"\nfrom "))

    def count_lines(self) -> int:
        """How many lines there are that continue no field, at most."""
        lines = self._head.count(b"\n")
        if lines <= MAX_FIELDS:
            return lines
        return lines - self._head.count(b"\n ") - self._head.count(b"\n\t")

    def _starts(self, name: str) -> Iterable[int]:
        """Where the fields called `name` begin in the section."""
        line = _line(name)
        if self._index is None:
            if len(self._low) > _INDEXED:
                return self._search(line)
            self._index = self._indexed()
        return self._index.get(line, ())

    def _indexed(self) -> dict[bytes, list[int]]:
        """Where all fields begin, by what `_line` makes of their names."""
        index: dict[bytes, list[int]] = {}
        for match in _NAME.finditer(self._low):
            index.setdefault(match[1], []).append(match.start())
        return index

    def _search(self, line: bytes) -> Iterator[int]:
        low = self._low
        found = low.find(line)
        while found >= 0:
            behind = found + len(line)
            if _COLON.match(low, behind):
                yield found
            found = low.find(line, behind)

    def _over(self, start: int) -> int:
        """Where the field that begins at `start` of the section is over."""
        head = self._head
        end = head.find(b"\n", start) + 1
        if 0 < end < len(head) and head[end] not in _WHITE:
            return end
        over = _FIELD_END.search(head, end - 1) if end else None
        return over.end() if over else len(head)

    def _at(self, start: int) -> Field:
        """The field that begins at `start` of the section."""
        head = self._head
        end = self._over(start)
        colon = head.find(b":", start, end)
        name = head[start:colon].rstrip(b" \t\r\n") if colon >= 0 else b""
        line_end = head[end - 2 : end]
        stop = end - (2 if line_end == b"\r\n" else line_end[-1:] == b"\n")
        value = head[colon + 1 if colon >= 0 else start : stop]
        return Field(name, self.start + start, self.start + end, value)


@lru_cache(maxsize=256)
def _line(name: str) -> bytes:
    """How a field called `name` begins in the lower-case copy, with the line end in front."""
    return b"\n" + name.lower().encode("ascii", "replace")


def too_many_fields(fields: Fields) -> bool:
    """Whether a header section has more fields than are worth reading; costs a millisecond for a megabyte."""
    return fields.end - fields.start > MAX_FIELDS and fields.count_lines() > MAX_FIELDS

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
from itertools import islice
from typing import NamedTuple, Self

Source = bytes | bytearray | mmap.mmap
"""What can be searched and sliced without a copy of the whole."""

MAX_FIELDS = 5_000
"""Fields of one header section that is worth reading; an honest one has some hundred."""

_FIRST_LOOK = 65_536  # nearly every header section ends here; what does not is searched for as a whole
_FIELD_END = re.compile(rb"\n(?![ \t])")  # a line that begins with white space continues the field (RFC 5322, 2.2.3)
_BLANK_LINE = re.compile(rb"\n\r?\n")
_VALUE = rb"(?:[ \t\r]|\n(?=[ \t]))*+:([^\n]*+(?:\n[ \t][^\n]*+)*+)"
_FIELD = re.compile(rb"(\n[^\s:]++)" + _VALUE)
_CR = 13
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
        return _unfolded(self.value)


_Place = tuple[int, int, int]
"""Where a field begins in its section, where its value begins, and where its last line end begins, CR not counted."""


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
        self._index: dict[bytes, list[_Place]] | None = None
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
        return map(self._field, self._places(name))

    def texts(self, name: str) -> Iterator[str]:
        """The values of the fields called `name` from the top, unfolded as `Field.text` is."""
        return map(_unfolded, map(self._value, self._places(name)))

    def more_than(self, count: int, name: str) -> bool:
        """Whether there are more than `count` fields called `name`."""
        return sum(1 for _ in islice(self._places(name), count + 1)) > count

    def spans(self, name: str) -> Iterator[tuple[int, int]]:
        """Where the fields called `name` lie in the message, from the top; those that touch make one span."""
        begun = end = 0
        for place in self._places(name):
            if place[0] > end:
                if end:
                    yield self.start + begun, self.start + end
                begun = place[0]
            end = self._over(place)
        if end:
            yield self.start + begun, self.start + end

    def beginning_with(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Name in lower case and value of the fields whose name begins with `prefix`, which is in lower case."""
        for match in _beginning(prefix).finditer(self._low):
            yield match[1], self._value((match.start(), match.start(2) - 1, match.end(2) - 1))

    def all(self, name: str) -> tuple[Field, ...]:
        """Every field called `name`, from the top."""
        return tuple(self.each(name))

    def first(self, name: str) -> Field | None:
        """The topmost field called `name`."""
        for place in self._places(name):
            return self._field(place)
        return None

    def text(self, name: str) -> str:
        """The topmost field's value, unfolded; empty when there is none."""
        for place in self._places(name):
            return _unfolded(self._value(place))
        return ""

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

    def _places(self, name: str) -> Iterable[_Place]:
        """Where the fields called `name` are in the section."""
        line = _line(name)
        if self._index is None and len(self._low) > _INDEXED:
            return (place for place in self._search(line) if self._name(place).lower() == line[1:])
        return self._indexed().get(line, ())

    def _indexed(self) -> dict[bytes, list[_Place]]:
        """Where all fields are, by what `_line` makes of their names."""
        index = self._index
        if index is None:
            index = self._index = {}
            for match in _FIELD.finditer(self._low):
                value, end = match.span(2)
                index.setdefault(match[1], []).append((match.start(), value - 1, end - 1))
        return index

    def _search(self, line: bytes) -> Iterator[_Place]:
        """Where the fields are whose names begin as `line` does."""
        low = self._low
        found = low.find(line)
        while found >= 0:
            match = _FIELD.match(low, found)
            if match:
                yield found, match.start(2) - 1, match.end(2) - 1
            found = low.find(line, found + len(line))

    def _name(self, place: _Place) -> bytes:
        return self._head[place[0] : place[1] - 1].rstrip(b" \t\r\n")

    def _value(self, place: _Place) -> bytes:
        head = self._head
        end = place[2]
        return head[place[1] : end - 1 if end < len(head) and head[end - 1] == _CR else end]

    def _over(self, place: _Place) -> int:
        """Where the field is over in the section."""
        return min(place[2] + 1, len(self._head))

    def _field(self, place: _Place) -> Field:
        return Field(self._name(place), self.start + place[0], self.start + self._over(place), self._value(place))

    def _at(self, start: int) -> Field:
        """The field, or the line that is none, which begins at `start` of the section."""
        head = self._head
        over = _FIELD_END.search(head, start)
        end = over.end() if over else len(head)
        colon = head.find(b":", start, end)
        stop = end - (2 if head.endswith(b"\r\n", start, end) else head.endswith(b"\n", start, end))
        name = head[start:colon].rstrip(b" \t\r\n") if colon >= 0 else b""
        return Field(name, self.start + start, self.start + end, head[colon + 1 if colon >= 0 else start : stop])


def _unfolded(value: bytes) -> str:
    if b"\n" in value or b"\r" in value:
        value = value.replace(b"\r\n", b"").replace(b"\n", b"").replace(b"\r", b" ")
    return value.decode("utf-8", "replace").strip()


@lru_cache(maxsize=16)
def _beginning(prefix: bytes) -> re.Pattern[bytes]:
    return re.compile(rb"\n(" + re.escape(prefix) + rb"[^\s:]*+)" + _VALUE)


@lru_cache(maxsize=256)
def _line(name: str) -> bytes:
    """How a field called `name` begins in the lower-case copy, with the line end in front."""
    return b"\n" + name.lower().encode("ascii", "replace")


def too_many_fields(fields: Fields) -> bool:
    """Whether a header section has more fields than are worth reading; costs a millisecond for a megabyte."""
    return fields.end - fields.start > MAX_FIELDS and fields.count_lines() > MAX_FIELDS

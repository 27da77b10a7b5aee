"""Reading the leaf parts of a message: a body is searched for its boundaries, not read by line, in short steps.

Sources: RFC 2045 and RFC 2046 (structure), RFC 2183 and RFC 2231 (file names). Clients read a malformed structure in
different ways; where they do, the reading that finds more is taken and a defect is named.
"""

import re
from collections import Counter
from collections.abc import Generator, Iterator
from functools import lru_cache

from verdicts import boundaries, parameters
from verdicts.fields import Fields, Source, searchable, too_many_fields
from verdicts.parts import Part, Structure

MAX_DEPTH = 20
"""Containers within containers."""
MAX_PARTS = 1_000
"""Leaf parts of one message."""
MAX_PART_HEADER_BYTES = 65_536
"""Header section of one part; the message's own is limited where it is read."""
MAX_CONTENT_FIELDS = 100
"""Fields of one header section that begin with "Content-"."""
MAX_CANDIDATES = 20_000
"""Lines that begin with a boundary, delimiters or not."""
MAX_UNPACKED_BYTES = 16_000_000
"""Bytes of nested messages that are encoded as a whole, and so must be decoded to be read."""

_WINDOW = 2_097_152  # bytes searched in one step: about a millisecond, by which all else is counted
_PART_COST = 40_000  # what a part costs besides its bytes
_HEADER_COST = 32  # what a byte of a header section costs
_SHORT_HEADER = 4_096  # looked at in one step, as what a part costs allows for it
_VALUE_COST = 256  # what a byte of a value with parameters costs
_CANDIDATE_COST = 2_000
_TYPE = re.compile(r"[^\s/;,\"]+/[^\s/;,\"]+")
_READ = (b"content-type", b"content-transfer-encoding", b"content-disposition")
_ENCODINGS = (b"base64", b"quoted-printable")
_ELSEWHERE = ("message/partial", "message/external-body")
_MESSAGES = ("message/rfc822", "message/global", "message/news")


def read_structure(buffer: Source | memoryview) -> Structure:
    """The whole structure at once. An engine uses `Mail.read_structure`, which takes turns with other messages."""
    return Reading(buffer).structure()


def read_parts(buffer: Source | memoryview) -> tuple[Part, ...]:
    """The leaf parts of a message, those of nested messages included."""
    return read_structure(buffer).parts


class _LimitError(Exception):
    """There is more than we read."""


class Reading:
    """The reading of one message in steps of about a millisecond."""

    def __init__(self, buffer: Source | memoryview, fields: Fields | None = None) -> None:
        source = searchable(buffer)
        self._parts: list[Part] = []
        self._defects: dict[str, None] = {}
        self._over = self._truncated = False
        self._candidates = 0
        self._unpacked = 0
        self._spent = 0
        self._delimiter_lines: Counter[bytes] = Counter()
        self._near_lines: Counter[tuple[bytes, bytes]] = Counter()
        """Lines that only begin with a boundary, by it; innocent where they are the delimiters of another."""
        self._steps = self._entity(source, Fields.parse(source) if fields is None else fields, len(source), 0)

    def step(self) -> bool:
        """Read on a little; False when all is read."""
        try:
            next(self._steps)
        except StopIteration:
            self._over = True
        except _LimitError:
            self._over = self._truncated = True
        return not self._over

    def close(self) -> None:
        """Read no further; what is not read yet counts as too much."""
        self._truncated = self._truncated or not self._over
        self._steps.close()

    def structure(self) -> Structure:
        """Read what is left."""
        while self.step():
            pass
        if any(count > self._delimiter_lines[line] for (_, line), count in self._near_lines.items()):
            self._defects["odd-delimiter"] = None
        return Structure(tuple(self._parts), self._truncated, tuple(self._defects))

    def _entity(
        self, source: Source, fields: Fields, end: int, depth: int, default: str = "text/plain"
    ) -> Generator[None, None, None]:
        """A message or a part: its header section is `fields`, its body goes from there to `end`."""
        if self._due(_PART_COST):
            yield
        values = self._content_fields(fields)
        content = parameters.parse(values.get(b"content-type", b""))
        kind = content.word if _is_type(content.word) else default
        self._look_for_oddities(values, content, kind)
        encoding = parameters.token(values.get(b"content-transfer-encoding", b"")) or "7bit"
        start = yield from self._body(fields, end)
        leaf = Part(kind, encoding, depth, fields, source, start, end, content, values.get(b"content-disposition", b""))
        if kind.startswith("multipart/"):
            yield from self._multipart(leaf, content)
        elif kind in _MESSAGES and start < end:
            yield from self._message(leaf)
        else:
            self._add(leaf)
            if leaf.encoded and fields.closed and start < fields.end:
                self._add(leaf.beginning_at(fields.end))

    def _look_for_oddities(self, values: dict[bytes, bytes], content: parameters.Parameters, kind: str) -> None:
        """What one reader takes for a container, or for encoded, and another does not; what is not all there."""
        if kind != content.word and b"multipart" in values.get(b"content-type", b"").lower():
            self._defects["odd-content-type"] = None
        encoding = values.get(b"content-transfer-encoding", b"")
        said = [name for name in _ENCODINGS if name in encoding.lower()]
        if said and said != [parameters.token(encoding).encode()]:
            self._defects["odd-content-transfer-encoding"] = None
        if kind.startswith("multipart/") and boundaries.is_odd(values[b"content-type"], boundaries.said(content)):
            self._defects["odd-boundary"] = None
        if kind in _ELSEWHERE:
            self._defects["content-elsewhere"] = None

    def _due(self, cost: int) -> bool:
        """Whether it is time to let others run, after work that costs as much as the search of `cost` bytes."""
        self._spent += cost
        if self._spent < _WINDOW:
            return False
        self._spent = 0
        return True

    def _content_fields(self, fields: Fields) -> dict[bytes, bytes]:
        """The fields that tell what a body is, by name in lower case; of each the topmost one's value."""
        if too_many_fields(fields):
            raise _LimitError
        values: dict[bytes, bytes] = {}
        for number, (name, value) in enumerate(fields.beginning_with(b"content-")):
            if number >= MAX_CONTENT_FIELDS:
                raise _LimitError
            if name in _READ:
                self._spent += min(len(value), parameters.MAX_VALUE_BYTES) * _VALUE_COST
                self._truncated |= len(value) > parameters.MAX_VALUE_BYTES
            read = value[: parameters.MAX_VALUE_BYTES]
            if values.setdefault(name, read) is not read and values[name].strip() != read.strip():
                self._defects[f"duplicate-{name.decode('ascii', 'replace')}"] = None
        return values

    def _body(self, fields: Fields, end: int) -> Generator[None, None, int]:
        """Where the body begins: at the first line that is no field, as lenient readers say, or behind a blank line."""
        if not fields.closed and fields.end < end:
            raise _LimitError
        if fields.end - fields.start <= _SHORT_HEADER:
            self._spent += (fields.end - fields.start) * _HEADER_COST
            text = fields.find_text()
        else:
            text = yield from self._seek_text(fields)
        if text is None:
            return fields.end
        self._defects["text-in-header" if fields.closed else "missing-blank-line"] = None
        return text

    def _seek_text(self, fields: Fields) -> Generator[None, None, int | None]:
        seeking = fields.seek_text()
        while True:
            try:
                looked_at = next(seeking)
            except StopIteration as over:
                text: int | None = over.value
                return text
            if self._due(looked_at * _HEADER_COST):
                yield

    def _add(self, leaf: Part) -> None:
        if len(self._parts) >= MAX_PARTS:
            raise _LimitError
        self._parts.append(leaf)

    def _deeper(self, leaf: Part) -> int:
        if leaf.depth >= MAX_DEPTH:
            self._parts.append(leaf)
            raise _LimitError
        return leaf.depth + 1

    def _message(self, leaf: Part) -> Iterator[None]:
        """A nested message. Encoded as a whole it breaks RFC 2046 section 5.2.1, and is read nevertheless."""
        depth, source, start, end = self._deeper(leaf), leaf.source, leaf.start, leaf.end
        if leaf.encoded:
            self._defects["encoded-message"] = None
            pieces: list[bytes] = []
            yield from self._unpack(leaf, pieces)
            source = b"".join(pieces)
            start, end = 0, len(source)
        yield from self._entity(source, _part_fields(source, start, end), end, depth)

    def _unpack(self, leaf: Part, pieces: list[bytes]) -> Iterator[None]:
        for piece in leaf.decoded_pieces():
            self._unpacked += len(piece)
            if self._unpacked > MAX_UNPACKED_BYTES:
                self._parts.append(leaf)
                raise _LimitError
            pieces.append(piece)
            yield

    def _multipart(self, leaf: Part, content: parameters.Parameters) -> Iterator[None]:
        """A container (RFC 2046 section 5.1). One that holds no delimiter line is a leaf."""
        boundary = boundaries.said(content)
        if content.ambiguous("boundary"):
            self._defects["duplicate-boundary"] = None
        if leaf.encoded:
            self._defects["encoded-multipart"] = None
        if not boundary:
            self._defects["missing-boundary"] = None
            self._add(leaf)
            return
        default = "message/rfc822" if leaf.content_type == "multipart/digest" else "text/plain"
        depth, source, opened, seen, closed = self._deeper(leaf), leaf.source, -1, False, False
        for delimiter in self._delimiters(source, boundary, leaf.start, leaf.end):
            if delimiter is None:
                yield
                continue
            line, behind, last = delimiter
            if opened >= 0:
                yield from self._part(source, opened, max(opened, line), depth, default)
            if closed and not last:
                self._defects["part-after-end"] = None
            opened, seen, closed = -1 if last else behind, True, closed or last
        if opened >= 0:
            self._defects["missing-end-boundary"] = None
            yield from self._part(source, opened, leaf.end, depth, default)
        if not seen:
            self._defects["missing-delimiter"] = None
            self._add(leaf)

    def _part(self, source: Source, start: int, end: int, depth: int, default: str) -> Iterator[None]:
        return self._entity(source, _part_fields(source, start, end), end, depth, default)

    def _delimiters(
        self, source: Source, boundary: bytes, start: int, end: int
    ) -> Iterator[tuple[int, int, bool] | None]:
        """Delimiter lines: offset of the line end in front, offset behind the line, whether it closes. None: a turn."""
        line = b"\n--" + boundary
        at = start - 1  # a body begins behind a line end, which may be the delimiter's
        while at < end:
            stop = min(at + _WINDOW, end)
            found = boundaries.find(source, line, at, min(stop + len(line) - 1, end))
            if self._due((stop if found < 0 else found) - at + _CANDIDATE_COST):
                yield None
            at = stop if found < 0 else found + len(line)
            if found < 0:
                continue
            self._candidates += 1
            if self._candidates > MAX_CANDIDATES:
                raise _LimitError
            over = boundaries.over(source, at, end)
            if over is None:
                self._note_near(boundary, boundaries.near(source, found + 3, end))
            else:
                self._delimiter_lines[boundary + b"--" * over[1]] += 1
                carriage_return = source[found - 1 : found] == b"\r"
                yield found - carriage_return, *over

    def _note_near(self, boundary: bytes, line: bytes) -> None:
        """A line that only begins with `boundary`."""
        if len(self._near_lines) < MAX_PARTS:
            self._near_lines[boundary, line] += 1
        else:
            self._defects["odd-delimiter"] = None


@lru_cache(maxsize=256)
def _is_type(word: str) -> bool:
    return _TYPE.fullmatch(word) is not None


def _part_fields(source: Source, start: int, end: int) -> Fields:
    return Fields.parse(source, start, min(end, start + MAX_PART_HEADER_BYTES))

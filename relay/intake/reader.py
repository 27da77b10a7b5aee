"""Readers of DATA and BDAT bodies: wire bytes in, content bytes out. No I/O.

DATA ends at CRLF.CRLF and at nothing else (RFC 5321 section 4.1.1.4): each other sequence that some server takes for an
end (LF.LF, LF.CRLF, CR.CR, CRLF.CR, CRLF NUL . CRLF ...) is content here, and `LineAudit` tells that it is there.
"""

import io
import sys
from typing import Protocol

from relay import dots


class Reader(Protocol):
    """What `transfer.receive` pumps."""

    done: bool
    rest: bytes
    """After the end: what belongs to the next command."""
    dotted: bool
    """Whether a line of the content may begin with a dot."""

    @property
    def wanted(self) -> int:
        """Wire bytes that it can use at most: with no more, a small body does not cost a copy of all behind it."""

    def feed(self, data: bytes) -> bytes:
        """The content in the next wire bytes."""


class DataReader:
    """A DATA body. After `done`, `rest` is what came behind the end."""

    __slots__ = ("_before", "_held", "done", "dotted", "rest")

    def __init__(self) -> None:
        self.done = False
        self.rest = b""
        self.dotted = False
        self._before = b"\r\n"  # the last content bytes that matter: CRLF at the start of a line, or CR, or nothing
        self._held = b""  # a dot at the start of a line, or a dot and CR: what it means is not known yet

    @property
    def wanted(self) -> int:
        """Where the end is, only the bytes tell."""
        return sys.maxsize

    def feed(self, data: bytes) -> bytes:
        """The content in the next wire bytes, free of dot-stuffing; `data` itself where nothing must change."""
        if self._held:
            data, self._held = self._held + data, b""
        dot = self._first_dot(data)
        if dot < 0:
            return self._keep(data)
        if data.startswith(b".\r\n", dot):
            return self._end(data, dot)
        end = dots.find_end(data, dot)
        if end >= 0:
            self.dotted = True
            return self._end(data, end, dot)
        held = _unfinished(data, dot)
        self.dotted = self.dotted or dot < held
        self._held = data[held:]
        return self._keep(_unstuffed(data[:held], dot))

    def _first_dot(self, data: bytes) -> int:
        """Where the first line that begins with a dot begins; -1 if none."""
        before = self._before
        if before == b"\r\n" and data.startswith(b"."):
            return 0
        if before == b"\r" and data.startswith(b"\n."):
            return 1
        return dots.first(data)

    def _keep(self, content: bytes) -> bytes:
        if not content:
            return content
        if content.endswith(b"\r\n") or (content == b"\n" and self._before == b"\r"):
            self._before = b"\r\n"
        else:
            self._before = b"\r" if content.endswith(b"\r") else b""
        return content

    def _end(self, data: bytes, end: int, dot: int | None = None) -> bytes:
        self.done = True
        self.rest = data[end + 3 :]
        return data[:end] if dot is None else _unstuffed(data[:end], dot)


def _unfinished(data: bytes, dot: int) -> int:
    """Where a last line of only "." or "." CR begins, whose meaning the next byte tells; else the end of `data`."""
    for tail in (b".", b".\r"):
        start = len(data) - len(tail)
        if data.endswith(tail) and (start == dot or data.endswith(b"\r\n" + tail)):
            return start
    return len(data)


def _unstuffed(data: bytes, dot: int) -> bytes:
    """`data` without the first dot of each line, the first such being at `dot` (RFC 5321 section 4.5.2)."""
    if dot >= len(data):
        return data
    return data[:dot] + dots.replaced(data[dot + 1 :], b"")


class ChunkReader:
    """One BDAT chunk of `size` bytes (RFC 3030): nothing in it means anything."""

    __slots__ = ("_left", "done", "dotted", "rest")

    def __init__(self, size: int) -> None:
        self.dotted = True  # nobody looks
        self._left = size
        self.done = size == 0
        self.rest = b""

    @property
    def wanted(self) -> int:
        """Bytes of the chunk that are still missing."""
        return self._left

    def feed(self, data: bytes) -> bytes:
        """The part of `data` that belongs to the chunk."""
        if len(data) >= self._left:
            self.done = True
            self.rest = data[self._left :]
            return data[: self._left]
        self._left -= len(data)
        return data


class LineAudit:
    """Tells whether content has bare CR or LF or a NUL in it; no byte is looked at in Python."""

    __slots__ = ("_after_cr", "_decoder", "nul")

    def __init__(self) -> None:
        # Of what Python has, this sees the line ends fastest: in one pass, cuts between CR and LF included.
        self._decoder = io.IncrementalNewlineDecoder(None, translate=False)
        self._after_cr = False
        self.nul = False

    def feed(self, content: bytes) -> None:
        """The next bytes of the content."""
        if not content:
            return
        self._decoder.decode(str(content, "latin-1"))
        self._after_cr = content[-1] == 13  # which the decoder keeps to itself until it knows what follows
        self.nul = self.nul or b"\0" in content

    @property
    def bare(self) -> bool:
        """Whether some CR or LF was not part of a CRLF."""
        return self._after_cr or self._decoder.newlines not in {None, "\r\n"}

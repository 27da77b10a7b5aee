"""Delimiter lines of multiparts (RFC 2046 section 5.1.1): where they are and where they end."""

import re

from verdicts.fields import Source
from verdicts.parameters import Parameters

_TAIL = re.compile(rb"(--)?[ \t]*+\r*+(?:\n|\Z)")
_TAIL_BYTES = 256


def said(content: Parameters) -> bytes:
    """The boundary that a Content-Type says: at most 1000 bytes; RFC 2046 allows 70."""
    return content.value("boundary").rstrip()[:1000]


def find(source: Source, line: bytes, start: int, end: int) -> int:
    """As `source.find` of `line`, which begins with LF and "--": large bodies are mostly base64 and hold no "-"."""
    dash = source.find(b"-", start, end)
    return source.find(line, max(start, dash - 1), end) if dash >= 0 else -1


def over(source: Source, at: int, end: int) -> tuple[int, bool] | None:
    """Behind a boundary that ends at `at`: where its line is over, and whether it closes; None when it is no delimiter.

    A line that only begins with the boundary is none: nested boundaries often begin with the outer one.
    """
    if source[at : min(at + 2, end)] == b"\r\n":  # as it usually is
        return at + 2, False
    tail = _TAIL.match(bytes(source[at : min(at + _TAIL_BYTES, end)]))
    return (at + tail.end(), tail[1] is not None) if tail else None

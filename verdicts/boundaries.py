"""Delimiter lines of multiparts (RFC 2046 section 5.1.1): where they are and where they end."""

import re

from verdicts.fields import Source
from verdicts.parameters import Parameters

_TAIL = re.compile(rb"(--)?[ \t]*+\r*+(?:\n|\Z)")
_TAIL_BYTES = 256
_AT_A_GLANCE = re.compile(rb'(?<![\w-])boundary\s*=\s*(?:"([^"]*)"|([^\s;"]+))', re.IGNORECASE)


def said(content: Parameters) -> bytes:
    """The boundary that a Content-Type says: at most 1000 bytes; RFC 2046 allows 70."""
    return content.value("boundary").rstrip()[:1000]


def is_odd(value: bytes, said: bytes) -> bool:
    """Whether a simpler reader takes another boundary out of the Content-Type `value` than the one that is `said`.

    Comments, escapes, RFC 2231's forms, white space at its end or without quotes, and line ends in it lead to that.
    """
    seen = _AT_A_GLANCE.search(value)
    return b"\n" in said or said != ((seen[1] or seen[2] or b"") if seen else b"")


def near(source: Source, at: int, end: int) -> bytes:
    """The line that begins at `at`, without white space at its end: as much of it as may be a boundary."""
    return bytes(source[at : min(at + 1_000 + _TAIL_BYTES, end)]).partition(b"\n")[0].rstrip()


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

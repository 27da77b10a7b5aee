"""Dot-stuffing (RFC 5321 section 4.5.2): lines that begin with a dot, found fast where dots are rare, as in base64.

A line begins behind CRLF and nothing else. What is found is what `find` and `replace` of CRLF and a dot find, which
look at each byte of a body; here most bytes are passed over at the speed of memchr(3).
"""

from collections.abc import Iterator
from typing import Final

WINDOW: Final = 4_096
"""Bytes searched for a line behind a dot that is somewhere in a line."""
MANY: Final = 64
"""Lines taken one by one. With more of them one pass over all bytes is cheaper."""


def first(data: bytes) -> int:
    """Where the first line begins that begins with a dot, the very first line not counted; -1 when there is none."""
    return next(_lines(data), -1)


def find_end(data: bytes, start: int) -> int:
    """Where the first line of a dot alone begins, from `start` on; -1 when there is none."""
    for number, dot in enumerate(_lines(data, start)):
        if data.startswith(b".\r\n", dot):
            return dot
        if number == MANY:
            found = data.find(b"\r\n.\r\n", dot)
            return found + 2 if found >= 0 else -1
    return -1


def replaced(data: bytes, new: bytes) -> bytes:
    """`data` with `new` for the dot of each line that begins with one, the very first line not counted.

    The very same object when there is none.
    """
    pieces: list[bytes] = []
    at = 0
    for number, dot in enumerate(_lines(data)):
        if number == MANY:
            pieces.append(data[at : dot - 2])
            pieces.append(data[dot - 2 :].replace(b"\r\n.", b"\r\n" + new))
            return b"".join(pieces)
        pieces += (data[at:dot], new)
        at = dot + 1
    if not pieces:
        return data
    pieces.append(data[at:])
    return b"".join(pieces)


def _lines(data: bytes, start: int = 0) -> Iterator[int]:
    at = data.find(b".", start)
    while at >= 0:
        found = data.find(b"\r\n.", max(at - 2, 0), at + WINDOW)
        if found >= 0:
            yield found + 2
        at = data.find(b".", found + 3 if found >= 0 else at + WINDOW)

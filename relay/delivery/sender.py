"""The body as it goes over the wire, without I/O: pieces in, pieces out, byte-exact and never joined as a whole."""

from collections.abc import Iterable, Iterator
from typing import Final

from relay import dots

BATCH: Final = 65_536
"""Bytes that small pieces are gathered into: one write instead of many, and one TLS record row instead of many."""


def data_pieces(pieces: Iterable[bytes], *, dotted: bool = True) -> Iterator[bytes]:
    """The body for DATA: dot-stuffed and ended (RFC 5321 sections 4.5.2 and 4.1.1.4).

    `dotted`: False when it is known that no line of it begins with a dot. Content that does not end with CRLF gets one:
    DATA cannot say otherwise (only BDAT can).
    """
    tail = b"\r\n"  # the body begins at the start of a line
    for piece in pieces:
        if not piece:
            continue
        if dotted:
            yield from _stuffed(tail, piece)
        else:
            yield piece
        tail = piece[-2:] if len(piece) > 1 else tail[-1:] + piece
    yield b".\r\n" if tail == b"\r\n" else b"\r\n.\r\n"


def _stuffed(tail: bytes, piece: bytes) -> Iterator[bytes]:
    """`piece`, which stands behind a text that ends with `tail`, with each dot at the start of a line doubled."""
    if tail == b"\r\n" and piece.startswith(b"."):
        yield b"."
    elif tail.endswith(b"\r") and piece.startswith(b"\n."):
        yield b"\n."
        piece = piece[1:]
    yield dots.replaced(piece, b"..")


def bdat_pieces(pieces: Iterable[bytes], size: int) -> Iterator[bytes]:
    """The whole content as one last chunk (RFC 3030 section 2), untouched.

    Raises ValueError when the pieces are not `size` bytes in all; the connection is then of no more use.
    """
    yield b"BDAT %d LAST\r\n" % size
    left = size
    for piece in pieces:
        left -= len(piece)
        if left < 0:
            break
        yield piece
    if left:
        raise ValueError(f"content is not {size} bytes long")


def batched(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The same bytes with runs of small pieces joined; a large piece passes uncopied."""
    small: list[bytes] = []
    size = 0
    for piece in pieces:
        if size and size + len(piece) > BATCH:
            yield b"".join(small)
            small, size = [], 0
        if len(piece) >= BATCH:
            yield piece
        else:
            small.append(piece)
            size += len(piece)
    if small:
        yield b"".join(small)


def joined(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The same bytes in one piece, when somebody takes it."""
    yield b"".join(pieces)

"""Canonicalization of header fields and bodies, and the hash of a body (RFC 6376 section 3.4).

A LF without a CR counts as a line end, as a message that came by BDAT may hold it; a CR without a LF is a byte as any.
A body is worked on in windows, since it may have 48 MB: nothing here holds the event loop longer than a millisecond.
"""

import asyncio
import hashlib
from collections.abc import Iterable, Iterator
from typing import Literal

from verdicts.fields import find_header_end
from verdicts.mail import Content

Canonicalization = Literal["simple", "relaxed"]

_WINDOW = 32_768
_LINE_ENDS = b"\r\n" * 16_384
_TABS = bytes.maketrans(b"\t", b" ")


def simple_header(name: bytes, value: bytes) -> bytes:
    """The field as it is, up to its line end (section 3.4.1).

    `name` is what stands before the colon, white space included, and `value` what stands behind it, folding included,
    without the last line end.
    """
    return _with_crlf(name + b":" + value) + b"\r\n"


def relaxed_header(name: bytes, value: bytes) -> bytes:
    """The field with a lower-case name, unfolded, with single spaces and none at the ends (section 3.4.2)."""
    unfolded = value.replace(b"\r\n", b"").replace(b"\n", b"")
    return name.rstrip(b" \t").lower() + b":" + _single_spaces(unfolded).strip(b" ") + b"\r\n"


def canonical_body(pieces: Iterable[bytes], canonicalization: Canonicalization) -> Iterator[bytes]:
    """The canonical body (sections 3.4.3 and 3.4.4) of the one that `pieces` make up, wherever it is cut.

    Yields at least once for each piece, and never more than 32 KiB besides what twice the piece has.
    """
    relaxed = canonicalization == "relaxed"
    held, blank, empty = b"", 0, True
    for piece in pieces:
        data, held = _settled(held + piece, relaxed)
        text_end = _text_end(data)
        if text_end:
            yield from _blank_lines(blank)
            blank, empty = 0, False
        yield data[:text_end]
        blank += (len(data) - text_end) // 2
    if held.endswith(b"\r"):
        yield from _blank_lines(blank)
        yield held
        empty = False
    if not empty or not relaxed:
        yield b"\r\n"


async def body_hash(
    content: Content, canonicalization: Canonicalization, limit: int | None = None, hash_name: str = "sha256"
) -> bytes:
    """The digest of the canonical body (RFC 6376 section 3.7), in steps between which others get their turn.

    `limit` is the tag l=: so many bytes of the canonical body, or all of a shorter one, are hashed.
    """
    digest = hashlib.new(hash_name)
    left = content.size * 2 + 2 if limit is None else limit  # a body of LFs alone grows the most
    for piece in canonical_body(_body(content), canonicalization):
        digest.update(piece[:left])
        left -= len(piece[:left])
        if not left:
            break
        await asyncio.sleep(0)
    return digest.digest()


def _body(content: Content) -> Iterator[bytes]:
    """What lies behind the header section, in windows."""
    view = content.view()
    start = find_header_end(view)
    for at in range(content.size if start is None else start, content.size, _WINDOW):
        yield bytes(view[at : at + _WINDOW])


def _settled(data: bytes, relaxed: bool) -> tuple[bytes, bytes]:
    """`data` with CRLFs, and with single spaces where `relaxed`; apart from it what the next bytes decide on.

    That is a CR at the end, which may be half of a line end, and a space, which counts for nothing before one.
    """
    held = b"\r" if data.endswith(b"\r") else b""
    data = _with_crlf(data[:-1] if held else data)
    if relaxed:
        data = _single_spaces(data).replace(b" \r\n", b"\r\n")
        if data.endswith(b" "):
            data, held = data[:-1], b" " + held
    return data, held


def _text_end(data: bytes) -> int:
    """Where the CRLFs begin with which `data` ends; every LF in it has its CR."""
    if not data.endswith(b"\n"):
        return len(data)
    start = len(data.rstrip(b"\r\n"))
    bare = data.rfind(b"\r\r", start)
    return start if bare < 0 else bare + 1


def _blank_lines(count: int) -> Iterator[bytes]:
    """So many line ends."""
    for done in range(0, count * 2, len(_LINE_ENDS)):
        yield _LINE_ENDS[: count * 2 - done]


def _with_crlf(data: bytes) -> bytes:
    if data.count(b"\n") == data.count(b"\r\n"):
        return data
    return data.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")


def _single_spaces(data: bytes) -> bytes:
    if b"\t" in data:
        data = data.translate(_TABS)
    while b"  " in data:
        data = data.replace(b"  ", b" ")
    return data

"""Content-Transfer-Encoding undone in pieces (RFC 2045 section 6), for bodies of any size and any garbage.

A piece is made of at most PIECE bytes of the message, and so takes about a millisecond at most. uuencode has no RFC; it
is read as POSIX describes it, under the names that readers know it by.
"""

import binascii
import re
from collections.abc import Iterator

from verdicts.fields import Source

PIECE = 131_072
UUENCODE = ("x-uuencode", "uuencode", "x-uue", "uue")
ENCODINGS = ("base64", "quoted-printable", *UUENCODE)
"""Those that change the bytes."""

_PADDED = re.compile(rb"=[ \t]++\r?\n")  # a soft line break; white space behind it counts for nothing (section 6.7)
_UU_PIECE = 4_096  # decoded line by line, and a line may be empty
_ALPHABET = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
NOT_BASE64 = bytes(set(range(256)) - set(_ALPHABET + b"="))
"""What decoding skips."""
_RESTARTS = 64  # paddings in one piece behind which decoding starts anew; an honest body has one at its end


def decoded_pieces(source: Source, start: int, end: int, encoding: str) -> Iterator[bytes]:
    """The bytes of `source` from `start` to `end`, decoded; an unknown encoding leaves them as they are."""
    if encoding == "base64":
        return _base64(source, start, end)
    if encoding == "quoted-printable":
        return _quoted_printable(source, start, end)
    if encoding in UUENCODE:
        return _uuencoded(source, start, end)
    return _slices(source, start, end)


def _slices(source: Source, start: int, end: int) -> Iterator[bytes]:
    for at in range(start, end, PIECE):
        yield bytes(source[at : min(at + PIECE, end)])


def _base64(source: Source, start: int, end: int) -> Iterator[bytes]:
    """What is not of the alphabet is skipped (RFC 2045 section 6.8). What follows a padding is read too: some readers
    stop there and some do not, and whoever scans must see what the second kind sees.
    """
    rest = b""
    for piece in _slices(source, start, end):
        *padded, last = piece.translate(None, NOT_BASE64).split(b"=", _RESTARTS)
        decoded = []
        for segment in padded:
            decoded.append(_last_quad(rest + segment))
            rest = b""
        last = rest + last.replace(b"=", b"")
        whole = len(last) - len(last) % 4
        rest = last[whole:]
        yield b"".join(decoded) + binascii.a2b_base64(last[:whole])
    yield _last_quad(rest)


def _last_quad(text: bytes) -> bytes:
    """Decode what ends here; a single character left over holds no whole byte."""
    whole = text[:-1] if len(text) % 4 == 1 else text
    return binascii.a2b_base64(whole + b"=" * (-len(whole) % 4))


def _quoted_printable(source: Source, start: int, end: int) -> Iterator[bytes]:
    while start < end:
        piece = bytes(source[start : min(start + PIECE, end)])
        if start + len(piece) < end:
            piece = piece[: _cut(piece)]
        yield binascii.a2b_qp(_PADDED.sub(b"=\n", piece))
        start += len(piece)


def _cut(piece: bytes) -> int:
    """Where `piece` can end without cutting an escape: behind its last line, else in front of a late "="."""
    line_end = piece.rfind(b"\n") + 1
    escape = piece.find(b"=", len(piece) - 2)
    return line_end or (escape if escape >= 0 else len(piece))


def _uuencoded(source: Source, start: int, end: int) -> Iterator[bytes]:
    """Every line that can be decoded, wherever "begin" and "end" stand: they themselves cannot be."""
    while start < end:
        piece = bytes(source[start : min(start + min(PIECE, _UU_PIECE), end)])
        if start + len(piece) < end:
            piece = piece[: piece.rfind(b"\n") + 1] or piece
        yield b"".join(map(_uu_line, piece.splitlines()))
        start += len(piece)


def _uu_line(line: bytes) -> bytes:
    """What stands behind the characters that the first one counts is no data."""
    try:
        return binascii.a2b_uu(line[: (((line[0] - 32) & 63) * 4 + 5) // 3]) if line else b""
    except binascii.Error:
        return b""

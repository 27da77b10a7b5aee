"""The leaf parts of a message's MIME tree, by byte span: nothing is copied. `reading.py` finds them.

Sources: RFC 2045 and RFC 2046 (structure), RFC 2183 and RFC 2231 (file names).
"""

import asyncio
from collections.abc import Iterator
from typing import NamedTuple

from verdicts import parameters
from verdicts.decoding import ENCODINGS, decoded_pieces
from verdicts.fields import Fields, Source

_AMBIGUOUS = frozenset((
    "duplicate-content-type", "duplicate-content-transfer-encoding", "duplicate-content-disposition",
    "duplicate-boundary", "odd-boundary", "odd-delimiter", "odd-content-type", "odd-content-transfer-encoding",
    "content-elsewhere",
))  # fmt: skip
"""Text among the fields is none of them: both readings of it are parts, and honest mail has fields of odd syntax."""


class Part:
    """One leaf of the MIME tree.

    `content_type` is "text/plain" or the like, in lower case, RFC 2045's default where it is missing or unreadable;
    `encoding` the Content-Transfer-Encoding in lower case, "7bit" where it is missing; `depth` the containers around
    it; `fields` its own header section, the message's for a message of one part. `source`, from `start` to `end`, is
    where its bytes lie: the message, or a nested message that had to be decoded.
    """

    __slots__ = (
        "_content", "_disposition", "content_type", "depth", "encoded", "encoding", "end", "fields", "source", "start",
    )  # fmt: skip

    def __init__(
        self,
        content_type: str,
        encoding: str,
        depth: int,
        fields: Fields,
        source: Source,
        start: int,
        end: int,
        content: parameters.Parameters,
        disposition: bytes,
    ) -> None:
        self.content_type = content_type
        self.encoding = encoding
        self.encoded = encoding in ENCODINGS
        """Whether decoding changes its bytes."""
        self.depth = depth
        self.fields = fields
        self.source = source
        self.start = start
        self.end = end
        self._content = content
        self._disposition = disposition

    def __repr__(self) -> str:
        return f"Part({self.content_type!r}, {self.encoding!r}, depth={self.depth}, {self.start}:{self.end})"

    def beginning_at(self, start: int) -> "Part":
        """The same with a body that begins elsewhere."""
        return Part(
            self.content_type, self.encoding, self.depth, self.fields, self.source, start, self.end,
            self._content, self._disposition,
        )  # fmt: skip

    @property
    def filename(self) -> str | None:
        """Parsed when it is asked for; one that is meant to be slow takes a third of a millisecond."""
        named = parameters.parse(self._disposition).text("filename") if self._disposition else None
        return named or (self._content.text("name") if self._content.values else None)

    @property
    def filenames(self) -> tuple[str, ...]:
        """All names that readers may take it to have: fields, and forms within a field, may say different ones."""
        named = parameters.parse(self._disposition).texts("filename") if self._disposition else ()
        return tuple(dict.fromkeys((*named, *self._content.texts("name"))))

    @property
    def charset(self) -> str:
        """What its Content-Type says, in lower case; empty without one."""
        return (self._content.text("charset") or "").lower() if self._content.values else ""

    @property
    def raw(self) -> memoryview:
        """Its body as it was sent."""
        return memoryview(self.source)[self.start : self.end]

    def decoded_pieces(self) -> Iterator[bytes]:
        """Its body decoded, in pieces that each take under a millisecond."""
        return decoded_pieces(self.source, self.start, self.end, self.encoding)

    def decoded(self, limit: int) -> bytes:
        """The first `limit` bytes of its body, decoded. In the event loop only by `beginning`: what decodes to nothing
        is read to its end, which takes seconds.
        """
        pieces, size = [], 0
        for piece in self.decoded_pieces():
            pieces.append(piece)
            size += len(piece)
            if size >= limit:
                break
        return b"".join(pieces)[:limit]

    async def beginning(self, limit: int) -> bytes:
        """The first `limit` bytes of its body, decoded, with turns for others."""
        found = b""
        for piece in self.decoded_pieces():
            found += piece[: limit - len(found)]
            if len(found) >= limit:
                break
            await asyncio.sleep(0)
        return found


class Structure(NamedTuple):
    """What became of reading a message's structure."""

    parts: tuple[Part, ...]
    truncated: bool
    """Whether a limit was hit: there is more than `parts`."""
    defects: tuple[str, ...]
    """What readers may take in different ways, each named once: "duplicate-boundary", "missing-end-boundary", ..."""

    @property
    def ambiguous(self) -> bool:
        """Whether a reader may find other content than `parts`, and not only more or less of the same."""
        return not _AMBIGUOUS.isdisjoint(self.defects)

"""Images and PDF files of a message, looked into for URLs by worker processes; what they hold is kept by content."""

import asyncio
import hashlib
from typing import NamedTuple

from verdicts.kept import FILE_SECONDS, PROBLEM_SECONDS, Kept
from verdicts.parts import Part, Structure
from verdicts.workers import Unfinished, Workers

_IMAGE = "verdicts.web.pictures:look_into_image"  # by name: the relay itself has no use for what these import
_PDF_FILE = "verdicts.web.pictures:look_into_pdf"
_LOOKED_AT = 1_024
_PDF = b"%PDF-"
"""It may stand behind some rubbish (ISO 32000-2, annex I)."""
_IMAGES = (b"\x89PNG\r\n", b"\xff\xd8\xff", b"GIF8", b"BM", b"II*\0", b"MM\0*")


class _Texts(NamedTuple):
    """What is in a file."""

    texts: tuple[tuple[str, str], ...] = ()
    """What may be a URL, with "qr" or "pdf"."""
    unread: tuple[str, ...] = ()
    """Why that may not be all."""


Seen = Kept[bytes, _Texts]
"""What was in files, by a hash of each."""


class LinkedFiles:
    """What is looked into: `images`, `pdf` files, `most` of them in one message, each of `size` bytes at most, for some
    `seconds`.
    """

    def __init__(
        self, workers: Workers, images: bool, pdf: bool, most: int, size: int, seconds: float, kept: Seen
    ) -> None:
        self._workers = workers
        self._images = images
        self._pdf = pdf
        self._most = most
        self._size = size
        self._seconds = seconds
        self._kept = kept

    async def close(self) -> None:
        """End the worker processes."""
        await self._workers.close()

    async def texts(self, structure: Structure) -> tuple[list[tuple[str, str]], list[str]]:
        """Texts that may be URLs, each with "qr" or "pdf"; and why those may not be all."""
        texts: list[tuple[str, str]] = []
        unread: list[str] = []
        files = 0
        for part in structure.parts:
            await asyncio.sleep(0)
            kind = "" if part.content_type.startswith("text/") else self._kind(await part.beginning(_LOOKED_AT))
            files += bool(kind)
            if files > self._most:
                unread.append(f"it has more images and PDF files than {self._most}")
                break
            if kind:
                found = await self._look_into(part, kind)
                texts += found.texts
                unread += found.unread
        return texts, unread

    def _kind(self, beginning: bytes) -> str:
        """By what it is and not by what it is called; empty when it is nothing to be looked into."""
        if self._pdf and _PDF in beginning:
            return "PDF file"
        is_image = beginning.startswith(_IMAGES) or (beginning.startswith(b"RIFF") and beginning[8:12] == b"WEBP")
        return "image" if self._images and is_image else ""

    async def _look_into(self, part: Part, kind: str) -> _Texts:
        pieces, size, digest = [], 0, hashlib.sha256(kind.encode())
        for piece in part.decoded_pieces():
            pieces.append(piece)
            digest.update(piece)
            size += len(piece)
            if size > self._size:
                return _Texts(unread=(f"it has a larger {kind} than {self._size} bytes",))
            await asyncio.sleep(0)
        found = self._kept.get(digest.digest())
        if found is None:
            found = await self._ask(pieces, kind)
            self._kept.put(digest.digest(), found, PROBLEM_SECONDS if found.unread else FILE_SECONDS)
        return found

    async def _ask(self, pieces: list[bytes], kind: str) -> _Texts:
        try:
            if kind == "image":
                answer = await self._workers.run(_IMAGE, pieces, seconds=self._seconds)
            else:
                answer = await self._workers.run(_PDF_FILE, pieces, self._images, seconds=self._seconds)
        except Unfinished as unfinished:
            return _Texts(unread=(f"looking into a {kind} came to nothing: {unfinished}",))
        unread = tuple(map(str, answer.pop("unread")))
        return _Texts(tuple((str(text), str(place)) for place, found in answer.items() for text in found), unread)

"""Images and PDF files of a message, looked into for URLs by worker processes."""

import asyncio
from typing import NamedTuple

from verdicts.parts import Part, Structure
from verdicts.workers import Unfinished, Workers

_IMAGE = "verdicts.web.pictures:look_into_image"  # by name: the relay itself has no use for what these import
_PDF_FILE = "verdicts.web.pictures:look_into_pdf"
_LOOKED_AT = 1_024
_PDF = b"%PDF-"
"""It may stand behind some rubbish (ISO 32000-2, annex I)."""
_IMAGES = (b"\x89PNG\r\n", b"\xff\xd8\xff", b"GIF8", b"BM", b"II*\0", b"MM\0*")


class LinkedFiles:
    """What is looked into: `images`, `pdf` files, `most` of them in one message, each of `size` bytes at most."""

    def __init__(self, workers: Workers, images: bool, pdf: bool, most: int, size: int, seconds: float) -> None:
        self._workers = workers
        self._images = images
        self._pdf = pdf
        self._most = most
        self._size = size
        self._seconds = seconds

    async def close(self) -> None:
        """End the worker processes."""
        await self._workers.close()

    async def texts(self, structure: Structure) -> tuple[list[tuple[str, str]], list[str]]:
        """Texts that may be URLs, each with "qr" or "pdf"; and why those may not be all."""
        found = _Texts([], [])
        files = 0
        for part in structure.parts:
            await asyncio.sleep(0)
            kind = "" if part.content_type.startswith("text/") else self._kind(await part.beginning(_LOOKED_AT))
            files += bool(kind)
            if files > self._most:
                found.unread.append(f"it has more images and PDF files than {self._most}")
                break
            if kind:
                await self._look_into(part, kind, found)
        return found.texts, found.unread

    def _kind(self, beginning: bytes) -> str:
        """By what it is and not by what it is called; empty when it is nothing to be looked into."""
        if self._pdf and _PDF in beginning:
            return "PDF file"
        is_image = beginning.startswith(_IMAGES) or (beginning.startswith(b"RIFF") and beginning[8:12] == b"WEBP")
        return "image" if self._images and is_image else ""

    async def _look_into(self, part: Part, kind: str, found: "_Texts") -> None:
        pieces, size = [], 0
        for piece in part.decoded_pieces():
            pieces.append(piece)
            size += len(piece)
            if size > self._size:
                found.unread.append(f"it has a larger {kind} than {self._size} bytes")
                return
            await asyncio.sleep(0)
        try:
            await self._ask(pieces, kind, found)
        except Unfinished as unfinished:
            found.unread.append(f"looking into a {kind} came to nothing: {unfinished}")

    async def _ask(self, pieces: list[bytes], kind: str, found: "_Texts") -> None:
        if kind == "image":
            answer = await self._workers.run(_IMAGE, pieces, seconds=self._seconds)
        else:
            answer = await self._workers.run(_PDF_FILE, pieces, self._images, seconds=self._seconds)
        found.unread.extend(answer.pop("unread"))
        found.texts.extend((text, place) for place, texts in answer.items() for text in texts)


class _Texts(NamedTuple):
    texts: list[tuple[str, str]]
    unread: list[str]

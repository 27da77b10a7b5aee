"""Lists of SHA-256 of files that nobody shall get, as files that are read again when they change."""

import asyncio
import logging
import os
from collections.abc import Sequence
from pathlib import Path

_log = logging.getLogger(__name__)
_BAD_LINES_TOLD = 5
_HASH_BYTES = 32


class HashLists:
    """Files of one hash a line, in hexadecimal; what follows a blank, or "#", is a comment."""

    def __init__(self, files: Sequence[Path]) -> None:
        self._files = tuple(files)
        self._known: dict[Path, tuple[tuple[int, int], frozenset[bytes]]] = {}
        self._turn = asyncio.Lock()

    async def refresh(self) -> None:
        """Read what has changed. Raises OSError when a list cannot be read: without it nothing can be called clean."""
        async with self._turn:
            for file in self._files:
                version = _version(file)
                if file not in self._known or self._known[file][0] != version:
                    self._known[file] = version, await asyncio.to_thread(_read, file)

    def named_by(self, sha256: str) -> str:
        """The name of the list that has it; empty when none has."""
        wanted = bytes.fromhex(sha256)
        return next((file.name for file, (_, hashes) in self._known.items() if wanted in hashes), "")


def _version(file: Path) -> tuple[int, int]:
    status = os.stat(file)  # noqa: PTH116 - Path.stat costs three times as much, and each message pays
    return status.st_mtime_ns, status.st_size


def _read(file: Path) -> frozenset[bytes]:
    """Bad lines are told in the log, and the good ones are used: a feed with a typo is better than none."""
    hashes, bad = set(), 0
    with file.open(encoding="utf-8", errors="replace") as lines:
        for number, line in enumerate(lines, 1):
            word = line.partition("#")[0].split(maxsplit=1)[:1]
            try:
                hashes |= {_hash(text) for text in word}
            except ValueError:
                bad += 1
                if bad <= _BAD_LINES_TOLD:
                    _log.warning("%s line %d is no SHA-256 in hexadecimal: %.80r", file, number, line.strip())
    if bad:
        _log.warning("%s has %d bad lines and %d hashes", file, bad, len(hashes))
    return frozenset(hashes)


def _hash(text: str) -> bytes:
    value = bytes.fromhex(text)
    if len(value) != _HASH_BYTES:
        raise ValueError(text)
    return value

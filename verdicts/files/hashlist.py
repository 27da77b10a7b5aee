"""Lists of SHA-256 of files that nobody shall get, as files that are read again when they change."""

import asyncio
import logging
from collections.abc import Sequence
from pathlib import Path

from verdicts.contract import Clock
from verdicts.watched import Watched

_log = logging.getLogger(__name__)
_BAD_LINES_TOLD = 5
_HASH_BYTES = 32


class HashLists:
    """Files of one hash a line, in hexadecimal; what follows a blank, or "#", is a comment."""

    def __init__(self, files: Sequence[Path], clock: Clock) -> None:
        self._files = [Watched(file, _read_apart, clock) for file in files]
        self._known: list[tuple[str, frozenset[bytes]]] = []

    async def refresh(self) -> None:
        """Read what has changed. Raises ValueError when a list never could be read."""
        self._known = [(file.path.name, await file.said()) for file in self._files]

    def named_by(self, sha256: str) -> str:
        """The name of the list that has it; empty when none has."""
        wanted = bytes.fromhex(sha256)
        return next((name for name, hashes in self._known if wanted in hashes), "")

    async def close(self) -> None:
        """Look for no more changes."""
        for file in self._files:
            await file.close()


async def _read_apart(file: Path) -> frozenset[bytes]:
    return await asyncio.to_thread(_read, file)


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

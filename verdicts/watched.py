"""Watched: a file of the operator's that is read again when it changes, such as a list.

What cannot be read, or has a mistake, changes nothing but the log; only a file that never was good is an error.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, Generic, TypeVar

from pydantic import AfterValidator

from verdicts.contract import Clock

_LOOK_SECONDS = 5.0
_PATIENCE_SECONDS = 1.0
"""What a message waits for a file that has changed; then what it said before is good enough."""
_log = logging.getLogger(__name__)

Said = TypeVar("Said")


def _readable(path: Path) -> Path:
    if not path.is_absolute():
        raise ValueError(f"{str(path)!r} must be an absolute path")
    try:
        with path.open("rb"):
            return path
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from None


WatchedFile = Annotated[Path, AfterValidator(_readable)]
"""An option: the absolute path of a file that can be read."""


class Watched(Generic[Said]):
    """One file. Its size and time of change are looked at every five seconds at most, when somebody asks."""

    def __init__(self, path: Path, read: Callable[[Path], Awaitable[Said]], clock: Clock) -> None:
        """`read` makes something of the file, in turns or in a thread; it raises OSError, or ValueError by line."""
        self.path = path
        self._read = read
        self._clock = clock
        self._said: tuple[Said] | None = None
        self._stamp: tuple[int, int] | None = None
        self._problem = ""
        self._looked = 0.0
        self._looking: asyncio.Task[None] | None = None

    async def said(self) -> Said:
        """What the file says. Raises ValueError when it never could be read."""
        now = self._clock.monotonic()
        looking = self._looking
        if looking is None or (looking.done() and (self._said is None or now - self._looked >= _LOOK_SECONDS)):
            self._looked = now
            looking = self._looking = asyncio.create_task(self._look())  # who waits for it may be cancelled
        if not looking.done():
            await asyncio.wait((looking,), timeout=_PATIENCE_SECONDS if self._said else None)
        if self._said is None:
            raise ValueError(self._problem)
        return self._said[0]

    async def close(self) -> None:
        """Look no more."""
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.gather(self._looking, return_exceptions=True)

    async def _look(self) -> None:
        try:
            facts = await asyncio.to_thread(self.path.stat)
            stamp = facts.st_mtime_ns, facts.st_size
            if stamp != self._stamp or self._said is None:
                self._stamp = stamp  # before it is read: what has a mistake is told once
                self._said = (await self._read(self.path),)
                self._problem = ""
        except (OSError, ValueError) as error:
            if self._said is not None and str(error) != self._problem:
                _log.error("%s: what it said before is kept: %s", self.path, error)
            self._problem = str(error)

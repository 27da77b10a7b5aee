"""Files of hosts and URLs that an operator blocks or allows, one in a line; read again when they change.

evil.example                     # the host and all below it
https://drive.example/d/1234     # what begins so
"""

import asyncio
import logging
import re
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import unquote

from verdicts.contract import Clock
from verdicts.web.urls import Url, read_url

MAX_FILE_BYTES = 10_000_000
"""Of one file."""
_CHECK_SECONDS = 5.0
_LINES_IN_A_STEP = 50
_log = logging.getLogger("links")


class Entries:
    """The hosts and URLs of one file."""

    def __init__(self) -> None:
        self._paths: dict[str, list[str]] = {}

    def add(self, line: str) -> bool:
        """Take a line; False when it is neither a host nor a URL."""
        url = read_url(line if "://" in line else f"http://{line}")
        if url is None or not url.host or any(map(str.isspace, line)):
            return False
        self._paths.setdefault(url.host, []).append("" if url.path == "/" else _plain(url.path))
        return True

    def hold(self, url: Url) -> bool:
        """Whether `url` is one of them: its path begins as an entry's does, or its host is below one without a path."""
        paths = self._paths.get(url.host)
        if paths and _plain(url.path).startswith(tuple(paths)):
            return True
        labels = [] if url.address else url.host.split(".")
        return any("" in self._paths.get(".".join(labels[at:]), ()) for at in range(1, len(labels)))


def _plain(path: str) -> str:
    """A path as servers take it, however it is quoted, and however many slashes are in a row."""
    return re.sub("/{2,}", "/", unquote(path))


class LinkFile:
    """One file. Its size and time of change are looked at every five seconds at most, when somebody asks."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self._path = path
        self._clock = clock
        self._entries: Entries | None = None
        self._stamp: tuple[int, int] | None = None
        self._checked = 0.0
        self._reading = asyncio.Lock()

    async def entries(self) -> Entries:
        """What the file says. While it cannot be read, or has a bad line, what it said before.

        Raises OSError or ValueError, which names the file and the line, when it never was good.
        """
        async with self._reading:
            now = self._clock.monotonic()
            if self._entries is None or now - self._checked >= _CHECK_SECONDS:
                await self._read_again()
                self._checked = now
            assert self._entries is not None
            return self._entries

    async def _read_again(self) -> None:
        try:
            stamp = await asyncio.to_thread(self._look)
            if stamp != self._stamp or self._entries is None:
                lines = (await asyncio.to_thread(self._path.read_bytes)).decode("utf-8", "replace").splitlines()
                self._stamp = stamp
                self._entries = await self._read(lines)
        except (OSError, ValueError) as error:
            if self._entries is None:
                raise
            _log.error("the old list is kept: %s", error)

    def _look(self) -> tuple[int, int]:
        facts = self._path.stat()
        if facts.st_size > MAX_FILE_BYTES:
            raise ValueError(f"{self._path} is larger than {MAX_FILE_BYTES} bytes")
        return facts.st_mtime_ns, facts.st_size

    async def _read(self, lines: Iterable[str]) -> Entries:
        entries = Entries()
        for number, line in enumerate(lines, 1):
            if number % _LINES_IN_A_STEP == 0:
                await asyncio.sleep(0)
            entry = f" {line}".partition(" #")[0].strip()
            if entry and not entries.add(entry):
                raise ValueError(f"{self._path}, line {number}: neither a host nor a URL")
        return entries

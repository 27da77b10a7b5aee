"""Files of hosts and URLs that an operator blocks or allows, one in a line.

evil.example                     # the host and all below it
https://drive.example/d/1234     # what begins so
"""

import asyncio
from pathlib import Path

from verdicts.lists import plain_path
from verdicts.web.urls import Url, read_url

MAX_FILE_BYTES = 10_000_000
"""Of one file."""
_LINES_IN_A_STEP = 50


class Entries:
    """The hosts and URLs of one file."""

    def __init__(self) -> None:
        self._paths: dict[str, list[str]] = {}

    def add(self, line: str) -> bool:
        """Take a line; False when it is neither a host nor a URL."""
        url = read_url(line if "://" in line else f"http://{line}")
        if url is None or not url.host or any(map(str.isspace, line)):
            return False
        self._paths.setdefault(url.host, []).append("" if url.path == "/" else plain_path(url.path))
        return True

    def hold(self, url: Url) -> bool:
        """Whether `url` is one of them: its path begins as an entry's does, or its host is below one without a path."""
        paths = self._paths.get(url.host)
        if paths and plain_path(url.path).startswith(tuple(paths)):
            return True
        labels = [] if url.address else url.host.split(".")
        return any("" in self._paths.get(".".join(labels[at:]), ()) for at in range(1, len(labels)))


async def read_entries(path: Path) -> Entries:
    """What the file says. Raises OSError, and ValueError by file and line."""
    entries = Entries()
    for number, line in enumerate(await asyncio.to_thread(_lines, path), 1):
        if number % _LINES_IN_A_STEP == 0:
            await asyncio.sleep(0)
        entry = f" {line}".partition(" #")[0].strip()
        if entry and not entries.add(entry):
            raise ValueError(f"{path}, line {number}: neither a host nor a URL")
    return entries


def _lines(path: Path) -> list[str]:
    with path.open("rb") as file:
        content = file.read(MAX_FILE_BYTES + 1)
    if len(content) > MAX_FILE_BYTES:
        raise ValueError(f"{path} is larger than {MAX_FILE_BYTES} bytes")
    return content.decode("utf-8", "replace").splitlines()

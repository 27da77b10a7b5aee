"""Outlet: takes log lines without ever waiting or raising; a thread of its own writes them.

Whoever reads our standard error may be slow, stuck or gone, and its disk may be full: mail must not notice. What cannot
be written is counted, and readiness says so.
"""

import threading
import time
from collections import deque
from typing import TextIO

MOST = 20_000
"""Lines that may wait."""
COMPANY = 0.1
"""Seconds that a line waits for others: a thread that woke up for each would take the interpreter from the mail."""


class Outlet:
    """A text file for loggers, in front of `file`."""

    def __init__(self, file: TextIO, most: int = MOST) -> None:
        self.lost = 0
        """Lines that could not be written."""
        self._file, self._most = file, most
        self._lines: deque[str] = deque()
        self._wake = threading.Event()
        self._idle = threading.Event()
        self._idle.set()
        threading.Thread(target=self._run, name="log", daemon=True).start()

    def write(self, text: str) -> None:
        """Take `text`; it is lost when too much waits already."""
        if len(self._lines) >= self._most:
            self.lost += 1
            return
        self._lines.append(text)
        if not self._wake.is_set():
            self._idle.clear()
            self._wake.set()

    def flush(self) -> None:
        """What a file must have; the thread flushes."""

    def drain(self, seconds: float) -> None:
        """Wait until all lines are written, `seconds` at most."""
        self._idle.wait(seconds)

    def _run(self) -> None:
        while self._wake.wait():
            time.sleep(COMPANY)
            self._wake.clear()
            while self._lines:
                self._put([self._lines.popleft() for _ in range(len(self._lines))])
            if not self._wake.is_set():
                self._idle.set()

    def _put(self, lines: list[str]) -> None:
        try:
            self._file.write("".join(lines))
            self._file.flush()
        except (OSError, ValueError):  # gone, full, or closed
            self.lost += len(lines)

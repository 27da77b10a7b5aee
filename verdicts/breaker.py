"""Breaker: an engine that failed so many times in a row is left alone for a while, then tried with one message.

Pure: the time is told. Late answers of messages that were asked before it opened change nothing; only the trial closes.
"""

from collections.abc import Callable


class Breaker:
    """Of one engine in one process. Seconds are those of one monotonic clock."""

    __slots__ = ("_failures", "_limit", "_on_change", "_open_until", "_seconds", "_trial")

    def __init__(self, failures: int, seconds: float, on_change: Callable[[bool], None]) -> None:
        """Opens for `seconds` after `failures` in a row; `on_change` is told whether it is open."""
        self._limit, self._seconds, self._on_change = failures, seconds, on_change
        self._failures = 0
        self._open_until: float | None = None
        self._trial: object = None

    def admits(self, message: object, now: float) -> bool:
        """Whether the engine may be asked: always while it is closed, and once when its time is over."""
        if self._open_until is None:
            return True
        if self._trial is not None or now < self._open_until:
            return False
        self._trial = message
        return True

    def heard(self, message: object, now: float, *, failed: bool | None) -> None:
        """How a message that was admitted ended; `failed` is None when nothing was learnt, as it was given up."""
        tried = message is self._trial
        if tried:
            self._trial = None
        elif self._open_until is not None:
            return
        if failed:
            self._failures += 1
            if tried or self._failures >= self._limit:
                self._open(now)
        elif failed is False:
            self._close()

    def _open(self, now: float) -> None:
        if self._open_until is None:
            self._on_change(True)
        self._open_until = now + self._seconds

    def _close(self) -> None:
        self._failures = 0
        if self._open_until is not None:
            self._open_until = None
            self._on_change(False)

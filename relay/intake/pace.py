"""Pace: how much of large bodies all sessions of a worker take in one turn of its event loop.

Each piece that arrived costs a fraction of a millisecond to look through and to keep. Hundreds of large bodies at once
would make turns of hundreds of them, in which nobody else is served.
"""

import asyncio
from collections import deque

SHARE = 1_048_576
"""Bytes in a turn: some milliseconds."""


class Pace:
    """First come, first served. What has to wait is taken in one of the next turns."""

    __slots__ = ("_left", "_line", "_ticking")

    def __init__(self) -> None:
        self._left = SHARE
        self._line: deque[tuple[int, asyncio.Future[None]]] = deque()
        self._ticking = False

    async def take(self, count: int) -> None:
        """Return in the turn in which `count` bytes may be taken."""
        loop = asyncio.get_running_loop()
        if not self._ticking:
            self._ticking = True
            loop.call_soon(self._turn, loop)
        if self._left > 0:
            self._left -= count
        else:
            turn = loop.create_future()
            self._line.append((count, turn))
            await turn

    def _turn(self, loop: asyncio.AbstractEventLoop) -> None:
        """A new share, for those first who wait; the turns end with one in which nobody takes anything."""
        if self._left == SHARE:
            self._ticking = False
            return
        self._left = SHARE
        line = self._line
        while line and self._left > 0:
            count, turn = line.popleft()
            if not turn.done():  # else its session was ended
                self._left -= count
                turn.set_result(None)
        loop.call_soon(self._turn, loop)

"""How many messages may be judged at a time: as many as the engines manage well within their deadline.

Engines queue what they cannot judge at once. With more messages in that queue than they manage within the deadline all
become late together, and nothing is judged any more although the engines work without a pause. So the number is halved
when a message took half the deadline, and raised while none does, as TCP does it (RFC 5681 section 3.1): by one for
each message at first, after the first halving by one for each round of them. Who finds the gate full hears so at once.

Large messages are not sent away, since they arrived whole already: they are judged a few at a time, and the engines'
deadline for one begins when its turn has come.

No I/O, no waiting but for one's turn.
"""

import asyncio
from collections import deque
from typing import Final

FIRST: Final = 200
"""What a worker begins with: as many as one peer may bring at the same moment by default."""
FEWEST: Final = 4
LARGE: Final = 262_144
"""Bytes from which a message waits for its turn to be judged."""
ROOM: Final = 67_108_864
"""Bytes of large messages that are judged at a time."""


class Line:
    """Where large messages wait to be judged: first come, first served, `room` bytes at a time, and at least one."""

    __slots__ = ("_inside", "_room", "_waiting")

    def __init__(self, room: int = ROOM) -> None:
        self._inside = 0
        self._room = room
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    def turn(self, size: int) -> asyncio.Future[None]:
        """Done when the turn of a message of `size` bytes has come; it must `leave` then."""
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append((size, turn))
        self._call()
        return turn

    def leave(self, size: int) -> None:
        """A message of `size` bytes whose turn had come is judged."""
        self._inside -= size
        self._call()

    def _call(self) -> None:
        waiting = self._waiting
        while waiting:
            size, turn = waiting[0]
            if not turn.cancelled():
                if self._inside and self._inside + size > self._room:
                    return
                self._inside += size
                turn.set_result(None)
            waiting.popleft()


class Gate:
    """The gate of one worker. Seconds are those of one monotonic clock."""

    __slots__ = ("_deaf_until", "_halved", "_most", "_recent", "_recent_slow", "_slow", "inside", "limit", "line")

    def __init__(self, most: int, deadline: float) -> None:
        """`most`: messages at a time, when all is well; `deadline`: seconds of the engine that has fewest for one."""
        self.inside = 0
        self.line = Line()
        self.limit = float(min(FIRST, most))
        self._most = most
        self._slow = deadline / 2
        self._halved = False
        self._deaf_until = 0.0
        self._recent, self._recent_slow = 4.0, 0.0

    def follow(self, new: "Gate") -> "Gate":
        """Go on with the limits of `new`, of a configuration that was read again."""
        self._most, self._slow = new._most, new._slow
        self.limit = min(self.limit, self._most)
        return self

    @property
    def full(self) -> bool:
        """Whether nobody may enter now."""
        return self.inside >= self.limit

    def enter(self) -> None:
        """A message is judged from now on."""
        self.inside += 1

    def leave(self, entered: float, now: float) -> None:
        """A message that began to be judged at `entered` has been judged, or was given up."""
        inside = self.inside
        self.inside -= 1
        slow = now - entered >= self._slow
        self._count(slow)
        if not slow:
            if inside * 2 >= self.limit:  # a limit that nobody comes near says nothing
                self.limit = min(self._most, self.limit + (1 / self.limit if self._halved else 1))
        elif self._recent_slow * 4 >= self._recent and entered >= self._deaf_until:
            # Few slow ones are their senders' doing; who entered before the last halving says nothing new.
            self.limit = max(min(FEWEST, self._most), min(self.limit, inside) / 2)
            self._halved, self._deaf_until = True, now

    def _count(self, slow: bool) -> None:
        """What of late was slow: the last sixteen messages or so."""
        self._recent += 1
        self._recent_slow += slow
        if self._recent >= 16:
            self._recent, self._recent_slow = self._recent / 2, self._recent_slow / 2

"""How many messages may be judged at a time: as many as the engines manage well within their deadline.

Engines queue what they cannot judge at once. With more messages in that queue than they manage within the deadline all
become late together, and nothing is judged any more although the engines work without a pause. So the number is halved
when a message took half the deadline, and raised while none does, as TCP does it (RFC 5681 section 3.1): by one for
each message at first, after the first halving by one for each round of them. Who finds the gate full hears so at once.
Pure: no I/O, no awaiting.
"""

from typing import Final

FIRST: Final = 24
FEWEST: Final = 4


class Gate:
    """The gate of one worker. Seconds are those of one monotonic clock."""

    __slots__ = ("_deaf_until", "_halved", "_most", "_slow", "inside", "limit")

    def __init__(self, most: int, deadline: float) -> None:
        """`most`: messages at a time, when all is well; `deadline`: seconds that the engines have for one."""
        self.inside = 0
        self.limit = float(min(FIRST, most))
        self._most = most
        self._slow = deadline / 2
        self._halved = False
        self._deaf_until = 0.0

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
        if now - entered < self._slow:
            if inside * 2 >= self.limit:  # a limit that nobody comes near says nothing
                self.limit = min(self._most, self.limit + (1 / self.limit if self._halved else 1))
        elif entered >= self._deaf_until:  # who entered before the last halving says nothing new
            self.limit = max(min(FEWEST, self._most), min(self.limit, inside) / 2)
            self._halved, self._deaf_until = True, now

"""Kept: what was found out about a file or a name, so that a campaign is judged once.

An answer is given again for any tenant's mail. So a key names all that the answer depends on, nothing in either is of
one tenant or one message, and what nobody could tell is never kept as if it were an answer.
"""

import math
import sys
from collections import OrderedDict
from collections.abc import Hashable
from typing import Any, Generic, NamedTuple, TypeVar

from verdicts.contract import Clock

ROOM = 16_000_000
"""Bytes of memory that one engine's answers may take in a process, about."""
FILE_SECONDS = 3_600.0
"""For which is kept what a worker process saw in a file: a file that takes one over may lie about the next ones."""
PROBLEM_SECONDS = 300.0
"""The same where something could not be opened: a busy machine may have been the problem, but a campaign of bombs shall
not have each of them opened."""
_ENTRY = 300  # bytes that an entry takes besides its key and its answer

Key = TypeVar("Key", bound=Hashable)
Answer = TypeVar("Answer")


class _Entry(NamedTuple, Generic[Answer]):
    answer: Answer
    until: float
    size: int


class Kept(Generic[Key, Answer]):
    """Answers by key, `most` of them, in `room` bytes; those that nobody asked for longest go first.

    Keys and answers are texts, bytes and tuples of them; what else is in them counts as if it were shared.
    """

    def __init__(self, clock: Clock, most: int, room: int = ROOM) -> None:
        self._clock = clock
        self._most = most
        self._room = room
        self._entries: OrderedDict[Key, _Entry[Answer]] = OrderedDict()
        self._size = 0

    def __len__(self) -> int:
        """How many answers there are, some of which may be too old."""
        return len(self._entries)

    def get(self, key: Key) -> Answer | None:
        """The answer, when it is kept and still holds."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        if self._clock.monotonic() >= entry.until:
            self._drop(key)
            return None
        self._entries.move_to_end(key)
        return entry.answer

    def put(self, key: Key, answer: Answer, seconds: float = math.inf) -> None:
        """Keep `answer` for so many seconds; not at all when it alone takes more than there is room."""
        self._drop(key)
        size = _ENTRY + size_of(key) + size_of(answer)
        if size > self._room:
            return
        self._entries[key] = _Entry(answer, self._clock.monotonic() + seconds, size)
        self._size += size
        while len(self._entries) > self._most or self._size > self._room:
            self._drop(next(iter(self._entries)))

    def _drop(self, key: Key) -> None:
        entry = self._entries.pop(key, None)
        self._size -= entry.size if entry else 0


def size_of(thing: Any) -> int:
    """Bytes that it takes in memory, with all that is in it where it is a tuple."""
    return sys.getsizeof(thing) + (sum(map(size_of, thing)) if isinstance(thing, tuple) else 0)

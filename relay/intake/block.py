"""The memory of one large draft: a map of its own, which grows without a copy and goes back to the system whole."""

import mmap
from collections.abc import Iterable, Iterator
from contextlib import suppress

from relay.intake.budget import Memory

STEP = 2_097_152
"""Bytes taken from the memory at a time: one huge page. Those are a third of the cost of small pages or less, as the
system need not hand out 512 of them one by one."""
PIECE = 65_536
"""Bytes given at a time."""


class Block:
    """Up to `capacity` bytes, all of them taken from `memory`."""

    def __init__(self, capacity: int, memory: Memory) -> None:
        """Takes nothing yet but addresses. Raises OSError when there are none."""
        self._map = mmap.mmap(-1, capacity, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        with suppress(OSError):  # a kernel without huge pages
            self._map.madvise(mmap.MADV_HUGEPAGE)
        self._capacity = capacity
        self._memory = memory
        self._taken = 0
        self._size = 0

    def write(self, pieces: Iterable[bytes]) -> bool:
        """Append `pieces`; False, and nothing is appended, when there is no room for all of them."""
        pieces = tuple(pieces)
        size = self._size + sum(map(len, pieces))
        if size > self._capacity or not self._take(size):
            return False
        self._map.seek(self._size)
        for piece in pieces:
            self._map.write(piece)
        self._size = size
        return True

    def _take(self, size: int) -> bool:
        missing = -(-size // STEP) * STEP - self._taken
        if missing <= 0:
            return True
        taken = self._memory.reserve_large(missing)
        self._taken += missing if taken else 0
        return taken

    def seal(self) -> None:
        """Nothing more comes. Then a view spans the whole map, and whoever searches it needs no copy."""
        self._map.resize(self._size)
        self._capacity = self._size

    def pieces(self, size: int) -> Iterator[bytes]:
        """The first `size` bytes. Copied piece by piece: each copy is used up while it is in the processor's cache."""
        for offset in range(0, size, PIECE):
            yield self._map[offset : min(offset + PIECE, size)]

    def view(self, size: int) -> memoryview:
        """The first `size` bytes."""
        return memoryview(self._map).toreadonly()[:size]

    def close(self) -> None:
        """Give the memory back; if somebody still looks at it, it goes when he lets it go."""
        self._memory.release(self._taken)
        self._taken = 0
        with suppress(BufferError):
            self._map.close()

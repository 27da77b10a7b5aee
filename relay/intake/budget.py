"""What one worker may hold of messages: so many bytes in all, and so many of them in memory."""

from relay.intake.pace import Pace
from relay.observe.metrics import BYTES_IN_FLIGHT


class Pool:
    """At most `limit` bytes are reserved at any time; `used` are."""

    __slots__ = ("limit", "used")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.used = 0

    def has_room(self, count: int) -> bool:
        """Whether `count` bytes could be reserved now."""
        return self.used + count <= self.limit

    def reserve(self, count: int) -> bool:
        """Take `count` bytes; False, and nothing is taken, when that would be too many."""
        if self.used + count > self.limit:
            return False
        self.used += count
        return True

    def release(self, count: int) -> None:
        """Give back `count` bytes."""
        self.used -= count


class Memory(Pool):
    """The bytes that lie in memory. Large drafts leave the last quarter to small ones, which then need no file."""

    __slots__ = ()

    def has_large_room(self, count: int) -> bool:
        """Whether `count` bytes of a large draft could be reserved now."""
        return self.has_room(count + self.limit // 4)

    def reserve_large(self, count: int) -> bool:
        """Take `count` bytes for a large draft; False, and nothing is taken, when that would be too many."""
        return self.has_large_room(count) and self.reserve(count)


class Budget(Pool):
    """The bytes of all messages, wherever they lie. `memory`: those in memory; `pace`: when more may be taken."""

    __slots__ = ("memory", "pace")

    def __init__(self, limit: int, memory: int) -> None:
        super().__init__(limit)
        self.memory = Memory(memory)
        self.pace = Pace()

    def reserve(self, count: int) -> bool:
        """Take `count` bytes; False, and nothing is taken, when that would be too many."""
        if not super().reserve(count):
            return False
        BYTES_IN_FLIGHT.inc(count)
        return True

    def release(self, count: int) -> None:
        """Give back `count` bytes."""
        super().release(count)
        BYTES_IN_FLIGHT.dec(count)

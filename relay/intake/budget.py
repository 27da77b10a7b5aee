"""The budget of message bytes that one worker holds at a time."""

from relay.observe.metrics import BYTES_IN_FLIGHT


class Budget:
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
        if not self.has_room(count):
            return False
        self.used += count
        BYTES_IN_FLIGHT.inc(count)
        return True

    def release(self, count: int) -> None:
        """Give back `count` bytes."""
        self.used -= count
        BYTES_IN_FLIGHT.dec(count)

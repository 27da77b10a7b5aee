"""What unpacking may cost."""

import time
from typing import NamedTuple


class Limits(NamedTuple):
    """Bounds of one walk, over all that is nested in one file."""

    depth: int = 20
    """Containers within containers."""
    members: int = 1_000
    total: int = 150_000_000
    """Bytes of all members together."""
    ratio: int = 200
    """Times the file's own size that its members may take, when they are more than 32 MB."""
    seconds: float = 5.0


_FREE_BYTES = 32_000_000


class Exceeded(Exception):
    """A limit was reached; the text says which."""


class Budget:
    """What is left of the limits."""

    def __init__(self, limits: Limits, size: int, passwords: tuple[str, ...] = ()) -> None:
        """`size`: bytes of the outermost file. `passwords` to try on what is encrypted."""
        self.passwords = passwords
        self.limits = limits
        self.size = size
        self._members = limits.members
        self._spent = 0
        self._end = time.monotonic() + limits.seconds

    def member(self) -> None:
        """One more. Raises `Exceeded`."""
        self._members -= 1
        if self._members < 0:
            raise Exceeded(f"more than {self.limits.members} files in it")
        self.spend(0)

    def spend(self, size: int) -> None:
        """Bytes were unpacked. Raises `Exceeded`."""
        self._spent += size
        if self._spent > self.limits.total:
            raise Exceeded(f"more than {self.limits.total} bytes in it")
        if self._spent > max(_FREE_BYTES, self.size * self.limits.ratio):
            raise Exceeded(f"expands more than {self.limits.ratio} times")
        if time.monotonic() > self._end:
            raise Exceeded(f"not unpacked within {self.limits.seconds:g} seconds")

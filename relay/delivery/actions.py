"""What a pool decides, as values."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Open:
    """Open a connection; then tell `opened` or `open_failed`."""


@dataclass(frozen=True, slots=True)
class Give:
    """The waiter holds the connection from now on."""

    connection: Any
    waiter: Any


@dataclass(frozen=True, slots=True)
class Recall:
    """The holder no longer holds the connection; its transaction must be reset."""

    connection: Any
    holder: Any


@dataclass(frozen=True, slots=True)
class Close:
    """The connection has left the pool; close it."""

    connection: Any


@dataclass(frozen=True, slots=True)
class Fail:
    """The waiter has left the queue; no connection can be opened for it."""

    waiter: Any
    error: Exception


Action = Open | Give | Recall | Close | Fail

"""What a running relay holds, as seen from outside: to be the same before a trouble and after it."""

import os
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from doubles.relay import Relay


class Held(NamedTuple):
    """What is held now."""

    sessions: float
    message_bytes: float
    connections: float
    """To next hops."""
    waiting: float
    """Transactions that wait for a connection."""
    sockets: int
    files: int
    """Open files that have no name: the drafts of large messages."""


def held(relay: Relay) -> Held:
    """By the relay, all its processes together."""
    metrics = relay.metrics()
    names = ("sluice_sessions_open", "sluice_bytes_in_flight", "sluice_pool_connections_open", "sluice_pool_waiting")
    open_now = [target for pid in (relay.pid, *relay.workers) for target in descriptors(pid)]
    sockets = sum(target.startswith("socket:") for target in open_now)
    return Held(*(metrics.get(name, -1.0) for name in names), sockets, sum("(deleted)" in each for each in open_now))


def descriptors(pid: int) -> list[str]:
    """What the open descriptors of a process point to."""
    found = []
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(OSError):  # closed since
            found.append(os.readlink(entry))
    return found


def memory(pid: int) -> int:
    """Resident bytes of a process."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")

"""One Sluice with its next hop, and what its metrics page tells."""

import contextlib
import os
import re
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from pathlib import Path

from processes import free_port, resources, running
from relays import sluice
from scenarios import HERE

LOADS, RELAY = ("0", f"1-{os.cpu_count() - 1}") if os.cpu_count() > 1 else (None, None)
"""Generator and sink have a core of their own, so that what is measured is the relay's own limit."""
IDLE = 40.0
"""Seconds after which unused connections to next hops and engines are closed, and some more."""
GAUGES = (
    "sluice_sessions_open", "sluice_bytes_in_flight", "sluice_pool_connections_busy", "sluice_pool_waiting",
    "sluice_records_backlog",
)  # fmt: skip


class Node:
    """A running Sluice."""

    def __init__(self, process, port, http):
        self.process, self.port, self._http = process, port, http
        self.fresh = self.state()

    def metrics(self):
        """Every series of the metrics page, by its name with labels."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self._http}/metrics", timeout=60) as page:
            lines = page.read().decode().splitlines()
        return {key: float(value) for key, _, value in (line.rpartition(" ") for line in lines if line[:1] != "#")}

    def lag_counts(self):
        """How often the event loop was late, by the upper end of the bucket in seconds."""
        found = Counter()
        below = 0.0
        for key, value in self.metrics().items():
            if bucket := re.fullmatch(r'sluice_loop_lag_seconds_bucket\{le="(.+)"\}', key):
                found[float(bucket[1])] = value - below
                below = value
        return found

    def state(self):
        """What must be as before when the load is gone."""
        metrics = self.metrics()
        return resources(self.process.pid) | {name.removeprefix("sluice_"): metrics[name] for name in GAUGES}

    def settled(self, seconds):
        """The state when no session is open and descriptors are as few as at the start, or after so many seconds."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            state = self.state()
            if not state["sessions_open"] and state["descriptors"] <= self.fresh["descriptors"]:
                break
            time.sleep(0.5)
        return self.state()


def program(name, port, *arguments):
    """The command of a program in this folder."""
    return [sys.executable, str(HERE / f"{name}.py"), str(port), *map(str, arguments)]


@contextlib.contextmanager
def node(hop_rate=0.0, **settings):
    """A Node whose next hop takes `hop_rate` bytes a second and connection (0: all it gets)."""
    with contextlib.ExitStack() as stack:
        work = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="sluice-bench-")))
        port, sink, http = free_port(), free_port(), free_port()
        hop = [sys.executable, str(HERE / "sink.py"), str(sink), "--rate", str(hop_rate)]
        stack.enter_context(running(hop, sink, work / "sink.log", LOADS))
        command = sluice(work, port, sink, http=http, **settings)
        yield Node(stack.enter_context(running(command, port, work / "log", RELAY)), port, http)

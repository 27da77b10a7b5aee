"""Memory over time while 200 sessions bring 30 MiB each at once, to a fast next hop and to a slow one."""

import json
import subprocess

from mails import MIB
from node import IDLE, LOADS, node, program
from processes import Sampler, anonymous_bytes, on

LIMIT = 300.0
"""MiB that one process may take."""
SLOW = 1.0 * MIB
"""Bytes a second that a connection to the slow next hop takes; there are 20 of them."""


def measure(quick):
    sessions, size = (50, 10 * MIB) if quick else (200, 30 * MIB)
    return {
        "limit_mib": LIMIT,
        "sessions": sessions,
        "mib": size // MIB,
        "fast": one(sessions, size, 0.0),
        "slow": one(sessions, size, SLOW),
    }


def one(sessions, size, hop_rate):
    limits = f"max_sessions_per_peer = {sessions + 10}\nmax_bytes_in_flight = {2 * sessions * size}"
    with node(hop_rate, smtp=limits) as relay:
        with Sampler(lambda: round(anonymous_bytes(relay.process.pid) / MIB, 1), 0.2) as sampler:
            command = program("load", relay.port, "--bytes", size, "--sessions", sessions, "--messages", sessions)
            load = json.loads(subprocess.run([*on(LOADS), *command], stdout=subprocess.PIPE).stdout)
            after = relay.settled(IDLE)
        return {
            "peak_mib": max(value for _, value in sampler.samples),
            "load": load,
            "before": relay.fresh,
            "after": after,
            "lags": {str(end): count for end, count in relay.lag_counts().items() if count},
            "samples": sampler.samples,
        }

"""How long the event loop is held up while hostile things arrive, one kind after the other."""

import itertools
import json
import subprocess

from hostile import KINDS
from node import LOADS, node, program
from probe import summary
from processes import Sampler, on

LIMIT = 50.0
"""Milliseconds that the event loop may be late."""


def measure(quick, **settings):
    seconds = 2.0 if quick else 10.0
    with (
        node(**settings) as relay,
        subprocess.Popen(
            [*on(LOADS), *program("probe", relay.port)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as probe,
    ):
        probe.stdout.readline()
        with Sampler(relay.lag_counts, 1.0) as clock:
            phases = [attack(relay, kind, seconds, clock) for kind in ("nothing", *KINDS)]
        waits = json.loads(probe.communicate("")[0])
    for phase in phases:
        for name in ("noop", "mail"):
            phase[name] = summary(waits[name], phase["begin"], phase["end"])
    return {
        "limit_ms": LIMIT,
        "broken": waits["broken"],
        "phases": phases,
        "lag": late(clock.samples),
        "noop": worst(waits["noop"]),
    }


def attack(relay, kind, seconds, clock):
    """One kind for some seconds; what the relay's own lag metric says of it, in milliseconds (ends of its buckets)."""
    before, begin = relay.lag_counts(), clock.seconds()
    command = (
        ["sleep", str(seconds)] if kind == "nothing" else program("hostile", relay.port, kind, "--seconds", seconds)
    )
    done = subprocess.run([*on(LOADS), *command], stdout=subprocess.PIPE)
    heard = json.loads(done.stdout) if done.stdout else {}
    end, lags = clock.seconds(), relay.lag_counts() - before
    return {
        "kind": kind,
        "begin": begin,
        "end": end,
        "heard": heard,
        "lag_below_ms": max(lags, default=0.0) * 1000,
        "late_over_50_ms": sum(count for top, count in lags.items() if top * 1000 > LIMIT),
    }


def late(samples):
    """(seconds, milliseconds): the highest bucket of the lag that grew since the look before."""
    pairs = itertools.pairwise(samples)
    return [(now, max(counts - before, default=0.0) * 1000) for (_, before), (now, counts) in pairs]


def worst(waits, every=0.25):
    """(seconds, milliseconds): the longest wait in each `every` seconds."""
    found = {}
    for start, wait in waits:
        found[start // every] = max(found.get(start // every, 0.0), wait * 1000)
    return [(round(turn * every, 2), round(wait, 2)) for turn, wait in sorted(found.items())]

"""What gets through when more comes than can be done: goodput over offered load, with a fast engine and a slow one."""

import json
import subprocess
import time

from node import IDLE, LOADS, node, program
from processes import cpu_seconds, free_port, on

FACTORS = (0.5, 0.75, 1.0, 1.5, 2.0, 3.0)
"""Offered load, in sustainable rates."""
DELAY, AT_A_TIME = 0.2, 20
"""The slow engine: seconds for one mail, and how many it looks at at a time: 100 mails a second, whoever waits."""


def measure(quick):
    seconds = 4.0 if quick else 20.0
    return {"fast": curve(seconds, 20, ""), "slow": slow(seconds)}


def slow(seconds):
    port = free_port()
    engine = subprocess.Popen([*on(LOADS), *program("engine", port, "--delay", DELAY, "--at-a-time", AT_A_TIME)])
    try:
        time.sleep(1.0)
        return curve(seconds, 2 * AT_A_TIME, f'[engines.rspamd]\nurl = "http://127.0.0.1:{port}"')
    finally:
        engine.terminate()
        engine.wait()


def curve(seconds, sessions, engines):
    """`sessions`: as many at once find out the sustainable rate."""
    with node(more=engines) as relay:
        load(relay, sessions, 1.0)
        sustainable = load(relay, sessions, seconds / 2)
        points = []
        for factor in FACTORS:
            points.append({"factor": factor, **watched(relay, factor * sustainable, seconds)})
            relay.settled(5.0)
        after = relay.settled(IDLE)
        lags = {str(top): count for top, count in relay.lag_counts().items() if count}
    best = max(point["goodput"] for point in points)
    return {
        "sustainable": sustainable,
        "best": best,
        "points": points,
        "before": relay.fresh,
        "after": after,
        "lags": lags,
    }


def watched(relay, rate, seconds):
    """A flood, and how busy Sluice was meanwhile: 1 is a whole core. Where it is less, the generator was the limit."""
    begun, spent = time.monotonic(), sum(cpu_seconds(relay.process.pid).values())
    said = flood(relay, rate, seconds)
    spent = sum(cpu_seconds(relay.process.pid).values()) - spent
    return said | {"busy": round(spent / (time.monotonic() - begun), 2)}


def load(relay, sessions, seconds):
    """Mails a second in a closed loop."""
    command = program("load", relay.port, "--sessions", sessions, "--seconds", seconds)
    return json.loads(subprocess.run([*on(LOADS), *command], stdout=subprocess.PIPE).stdout)["rate"]


def flood(relay, rate, seconds):
    command = program("flood", relay.port, "--rate", rate, "--seconds", seconds)
    return json.loads(subprocess.run([*on(LOADS), *command], stdout=subprocess.PIPE, check=True).stdout)

"""How late the event loop wakes up: the first sign of work that blocks it, and of too much work."""

import asyncio

from relay.observe import metrics

INTERVAL = 0.1
"""Seconds between two looks."""


class Worst:
    """The largest value of the last minute, kept as the largest of each second."""

    def __init__(self) -> None:
        self._slots = [(-1, 0.0)] * 60

    def add(self, now: float, value: float) -> float:
        """Take `value`, seen at `now` (seconds of a clock that never goes back); the worst of the last 60 seconds."""
        second = int(now)
        slot_second, slot_worst = self._slots[second % 60]
        self._slots[second % 60] = (second, max(value, slot_worst) if slot_second == second else value)
        return max(worst for then, worst in self._slots if then > second - 60)


async def watch(interval: float = INTERVAL) -> None:
    """Measure the running loop every `interval` seconds, until cancelled."""
    clock = asyncio.get_running_loop().time
    worst = Worst()
    while True:
        due = clock() + interval
        await asyncio.sleep(interval)
        now = clock()
        lag = max(0.0, now - due)
        metrics.LOOP_LAG.observe(lag)
        metrics.LOOP_LAG_WORST.set(worst.add(now, lag))

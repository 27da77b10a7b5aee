"""Loop lag: the ring of the last minute, and a loop that is really blocked."""

import asyncio
import time

import pytest

from relay.observe import metrics
from relay.observe.lag import Worst, watch


def test_the_worst_of_a_minute_is_forgotten_after_it():
    worst = Worst()
    assert worst.add(1000.0, 0.5) == 0.5
    assert worst.add(1000.9, 0.1) == 0.5
    assert worst.add(1059.9, 0.2) == 0.5
    assert worst.add(1060.0, 0.1) == 0.2
    assert worst.add(1119.9, 0.0) == 0.1
    assert worst.add(9000.0, 0.0) == 0.0


def test_within_a_second_the_larger_counts():
    worst = Worst()
    assert worst.add(5.1, 0.1) == 0.1
    assert worst.add(5.9, 0.3) == 0.3


async def test_a_blocked_loop_is_measured():
    before = metrics.LOOP_LAG._sum.get()
    task = asyncio.create_task(watch(0.001))
    await asyncio.sleep(0)
    time.sleep(0.05)  # the loop cannot run meanwhile: that is what is measured
    while metrics.LOOP_LAG._sum.get() == before:
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert metrics.LOOP_LAG._sum.get() - before >= 0.04
    assert metrics.LOOP_LAG_WORST._value.get() >= 0.04

"""The gate against a simulated engine: a queue, and hands that work on for messages which were given up."""

import asyncio
import heapq
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.gate import FEWEST, FIRST, Gate, Line

SECONDS = 60


class AlwaysOpen(Gate):
    full = False


def goodput(gate, *, hands, seconds, deadline, slower_at=0.0, slower=1.0):
    """Messages judged in time, and late ones, in each second: three times what the engine manages comes."""
    chance = random.Random(1)
    rate = 3 * hands / (seconds * slower)
    free, events, number = [0.0] * hands, [(0.0, 0, 0.0, None)], 0
    good, late = [0] * (SECONDS + 1), [0] * (SECONDS + 1)
    while events:
        now, _, entered, in_time = heapq.heappop(events)
        number += 1
        if now > SECONDS:
            break
        if in_time is None:
            heapq.heappush(events, (now + chance.expovariate(rate), number, 0.0, None))
            if not gate.full:
                gate.enter()
                work = seconds * chance.uniform(0.5, 1.5) * (slower if now >= slower_at else 1)
                end = max(now, heapq.heappop(free)) + work
                heapq.heappush(free, end)
                done = min(end, now + deadline)
                heapq.heappush(events, (done, -number, now, end <= now + deadline))
        else:
            gate.leave(entered, now)
            good[int(now)] += in_time
            late[int(now)] += not in_time
    return good, late


@pytest.mark.parametrize(
    ("hands", "seconds", "deadline"), [(4, 0.1, 2.0), (4, 0.1, 10.0), (10, 1.0, 10.0), (8, 0.01, 2.0), (8, 0.01, 10.0)]
)
def test_three_times_the_load(hands, seconds, deadline):
    good, late = goodput(Gate(500, deadline), hands=hands, seconds=seconds, deadline=deadline)
    assert sum(late[20:60]) * 10 <= sum(good[20:60])
    assert sum(good[30:60]) >= 0.9 * 30 * hands / seconds


def test_without_a_gate_nothing_is_judged_in_time():
    """What the gate is for."""
    good, _ = goodput(AlwaysOpen(500, 2.0), hands=4, seconds=0.1, deadline=2.0)
    assert sum(good[20:60]) == 0


def test_engines_that_become_ten_times_slower():
    good, late = goodput(Gate(500, 2.0), hands=4, seconds=0.01, deadline=2.0, slower_at=20.0, slower=10.0)
    assert sum(late[20:60]) * 10 <= sum(good[20:60])
    assert sum(good[20:60]) >= 0.9 * 40 * 40


def test_engines_that_hang_and_come_back():
    gate = Gate(100, 2.0)
    for at in range(20):
        gate.enter()
        gate.leave(at * 2.0, at * 2.0 + 2.0)
    assert gate.limit == FEWEST
    for at in range(10_000):
        gate.enter()
        gate.inside += 50
        gate.leave(at + 100.0, at + 100.1)
        gate.inside -= 50
    assert gate.limit == 100


def test_a_limit_that_nobody_comes_near_stays():
    gate = Gate(1000, 2.0)
    for at in range(1000):
        gate.enter()
        gate.leave(at, at + 0.1)
    assert gate.limit == FIRST


def test_one_bad_round_halves_once():
    gate = Gate(1000, 2.0)
    for _ in range(FIRST):
        gate.enter()
    assert gate.full
    for _ in range(FIRST):
        gate.leave(0.0, 1.5)
    assert FIRST / 2 - 1 <= gate.limit <= FIRST / 2


def test_never_more_than_is_allowed():
    gate = Gate(1, 2.0)
    gate.enter()
    assert gate.full
    gate.leave(0.0, 1.5)
    assert gate.limit == 1


def test_a_configuration_read_again_keeps_those_inside():
    gate = Gate(100, 2.0)
    gate.enter()
    assert gate.follow(Gate(10, 1.0)) is gate
    assert (gate.inside, gate.limit) == (1, 10)


def test_a_few_slow_ones_are_their_senders_doing():
    gate = Gate(1000, 2.0)
    for at in range(400):
        gate.enter()
        gate.leave(at, at + (1.5 if at % 8 == 7 else 0.1))
    assert gate.limit == FIRST


@given(st.lists(st.tuples(st.integers(1, 150), st.integers(0, 5)), max_size=40))
def test_large_messages_are_judged_in_order_and_within_their_room(messages):
    async def run():
        line, inside, order = Line(100), [], []

        async def message(number, size, steps):
            await line.turn(size)
            order.append(number)
            inside.append(size)
            assert len(inside) == 1 or sum(inside) <= 100
            for _ in range(steps):
                await asyncio.sleep(0)
            inside.remove(size)
            line.leave(size)

        await asyncio.gather(*(message(number, *what) for number, what in enumerate(messages)))
        return order, line.turn(1000).done()

    order, free = asyncio.run(run())
    assert order == list(range(len(messages)))
    assert free  # everything was given back


async def test_one_that_is_cancelled_makes_way():
    line = Line(100)
    assert line.turn(100).done()
    cancelled, next_one = line.turn(100), line.turn(100)
    cancelled.cancel()
    line.leave(100)
    assert next_one.done()

"""Checks run beside each other, and nothing that hangs, breaks or blocks keeps the others from being told."""

import asyncio
import threading
import time

import pytest

from relay.onboarding.doctor import run as subject
from relay.onboarding.doctor.result import State, Topic, counts, listed
from relay.onboarding.doctor.run import Check, apart, run, within


@pytest.fixture(autouse=True)
def short(monkeypatch):
    monkeypatch.setattr(subject, "MOMENT", 0.5)


def check(name, work, seconds=5.0):
    return Check(Topic(name, "x"), work, seconds)


def says(*results):
    async def work():
        for result in results:
            yield result

    return work


def good(name):
    return check(name, says(Topic(name, "x").ok("good")))


def told(results):
    return [(result.id, str(result.state)) for result in results]


def test_results_come_in_the_order_of_the_checks():
    async def slow():
        await asyncio.sleep(0.05)
        yield Topic("one", "x").ok("late")

    assert told(run([check("one", slow), good("two"), check("none", says())], 5)) == [("one", "ok"), ("two", "ok")]
    assert run([], 5) == []


def test_a_check_that_hangs_is_told_with_what_it_said_before():
    async def hangs():
        yield Topic("first", "x").ok("good")
        await asyncio.Event().wait()

    results = run([check("hangs", hangs, 0.1), good("two")], 5)
    assert told(results) == [("first", "ok"), ("hangs", "cannot tell"), ("two", "ok")]
    assert results[1].found == "no answer within 0.1 seconds"


def test_a_check_that_ignores_being_cancelled_is_not_waited_for():
    free = threading.Event()

    async def stubborn():
        while not free.is_set():
            try:
                await asyncio.sleep(0.05)
            except asyncio.CancelledError:
                continue
        yield Topic("late", "x").ok("good")

    begun = time.monotonic()
    results = run([check("stubborn", stubborn, 0.1), good("two")], 5)
    free.set()
    assert told(results) == [("stubborn", "cannot tell"), ("two", "ok")]
    assert time.monotonic() - begun < 3


def test_a_check_that_blocks_the_loop_holds_up_nobody_for_longer_than_all_may_take():
    free = threading.Event()

    async def blocks():
        free.wait(20)
        yield Topic("late", "x").ok("good")

    begun = time.monotonic()
    results = run([good("one"), check("blocks", blocks)], 0.3)
    free.set()
    assert told(results) == [("one", "ok"), ("blocks", "cannot tell")]
    assert "--timeout" in results[1].remedy
    assert time.monotonic() - begun < 3


def test_a_check_that_breaks_tells_no_text_that_could_be_a_secret():
    async def breaks():
        yield Topic("first", "x").ok("good")
        raise ValueError("hunter2")

    results = run([check("breaks", breaks), good("two")], 5)
    assert told(results) == [("first", "ok"), ("breaks", "cannot tell"), ("two", "ok")]
    assert results[1].found == "the check itself broke: ValueError"


def test_what_had_no_time_is_told():
    async def hangs():
        await asyncio.Event().wait()
        yield Topic("never", "x").ok("")

    results = run([check(str(number), hangs) for number in range(50)], 0.2)
    assert [result.state for result in results] == [State.UNKNOWN] * 50


def test_what_waits_for_nothing_is_told_however_slow_the_others_are():
    async def hangs():
        await asyncio.Event().wait()
        yield Topic("never", "x").ok("")

    known = Check(Topic("known", "x"), says(Topic("known", "x").ok("good")), at_once=True)
    results = run([*(check("slow", hangs) for _ in range(50)), known], 0.2)
    assert told(results)[-1] == ("known", "ok")


def test_only_so_many_run_at_a_time(monkeypatch):
    monkeypatch.setattr(subject, "AT_ONCE", 3)
    now = most = 0

    async def counted():
        nonlocal now, most
        now += 1
        most = max(most, now)
        await asyncio.sleep(0)
        now -= 1
        yield Topic("x", "x").ok("")

    assert len(run([check("x", counted)] * 20, 5)) == 20
    assert most == 3


async def test_what_blocks_has_a_thread_of_its_own():
    assert await apart(lambda: threading.current_thread().daemon) is True
    with pytest.raises(KeyError):
        await apart(lambda: {}["x"])


async def test_a_thread_that_hangs_is_left_behind():
    free = threading.Event()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await apart(lambda: free.wait(20))
    free.set()


def test_within():
    assert within(5, lambda: 3) == 3
    free = threading.Event()
    with pytest.raises(TimeoutError):
        within(0.05, lambda: free.wait(20))
    free.set()


def test_results_are_counted_by_every_state():
    topic = Topic("a", "b", "c")
    results = [topic.ok(""), topic.failed("", ""), topic.failed("", ""), topic.skipped("")]
    assert counts(results) == {"ok": 1, "skipped": 1, "cannot tell": 0, "warning": 0, "failed": 2}


def test_texts_are_bounded():
    assert len(Topic("a", "b").ok("x" * 10_000).found) == 600
    assert listed(map(str, range(10)), 3) == "0, 1, 2, and 7 more"
    assert listed(["a", "b"]) == "a, b"
    assert listed([]) == ""

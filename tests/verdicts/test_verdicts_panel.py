import asyncio
import math
import time

import pytest

from verdicts.contract import Engine, EngineOptions, Finding, Outcome, Severity, Unscanned
from verdicts.kit import PretendClock, letter, mail_of, pretend_tools
from verdicts.panel import MAX_FINDINGS, Panel, Seat

MAIL = mail_of(letter())


class Acting(Engine):
    """Does what it is told."""

    def __init__(self, act):
        super().__init__(EngineOptions(), pretend_tools())
        self.act = act
        self.closed = 0

    async def judge(self, mail):
        return await self.act(mail)

    async def close(self):
        self.closed += 1


def answers(value):
    async def act(_mail):
        if isinstance(value, BaseException):
            raise value
        return value

    return act


async def hangs(_mail):
    await asyncio.Event().wait()


def seat(act, name="x", deadline=5.0):
    return Seat(name, Acting(act), deadline)


def panel(*seats, deadline=5.0, **more):
    return Panel(seats, deadline, PretendClock(), **more)


async def one(act, **more):
    (verdict,) = (await panel(seat(act, **more)).judge(MAIL)).verdicts
    return verdict


async def test_findings_are_the_answer():
    found = (Finding("A"), Finding("B", Severity.SPAM, 2.5))
    verdict = await one(answers(found))
    assert (verdict.engine, verdict.outcome, verdict.findings, verdict.reason) == ("x", Outcome.ANSWERED, found, "")
    assert (await one(answers(iter(found)))).findings == found
    assert (await one(answers([]))).outcome is Outcome.ANSWERED


async def test_without_engines():
    assert (await panel().judge(MAIL)).verdicts == ()
    await panel().close()


class Panic(BaseException):
    """As PyO3 makes one of a library's panic in Rust."""


class Wordless(Exception):
    """Has no text to tell."""

    def __str__(self):
        raise ValueError


def empty_handed():
    """An `Unscanned` whose author forgot what belongs to it."""
    unscanned = Unscanned("x")
    del unscanned.findings
    return unscanned


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (OSError("no\r\nroute"), "OSError: no route"),
        (KeyError(), "KeyError"),
        (AssertionError("x" * 900), "AssertionError: " + "x" * 184),
        (SystemExit(3), "SystemExit: 3"),
        (Panic("index out of bounds"), "Panic: index out of bounds"),
        (BaseExceptionGroup("two", [Panic()]), "BaseExceptionGroup: two (1 sub-exception)"),
        (Wordless(), "Wordless"),
        (empty_handed(), "AttributeError: 'Unscanned' object has no attribute 'findings'"),
        (asyncio.CancelledError(), "CancelledError"),
        (TimeoutError(), "TimeoutError"),
        (None, "TypeError: 'NoneType' object is not iterable"),
        (["text"], "TypeError: returned str where a Finding with a Severity is due"),
        ([Finding("A", 7)], "TypeError: returned Finding where a Finding with a Severity is due"),
        ([Finding("A", weight=math.nan)], "ValueError: the weight of A is nan"),
        (Unscanned("x", ["text"]), "TypeError: returned str where a Finding with a Severity is due"),
    ],
)
async def test_whatever_breaks_has_failed(value, reason):
    verdict = await one(answers(value))
    assert (verdict.outcome, verdict.reason, verdict.findings) == (Outcome.FAILED, reason, ())


async def test_unscanned_keeps_what_was_seen():
    verdict = await one(answers(Unscanned("too big", [Finding("A", Severity.SPAM)])))
    assert (verdict.outcome, verdict.reason) == (Outcome.UNSCANNED, "too big")
    assert verdict.findings == (Finding("A", Severity.SPAM),)


async def test_of_too_many_findings_the_worst_are_kept():
    many = [Finding(str(n)) for n in range(900)] + [Finding("worst", Severity.MALICIOUS)]
    verdict = await one(answers(many))
    assert verdict.outcome is Outcome.ANSWERED
    assert len(verdict.findings) == MAX_FINDINGS
    assert verdict.findings[0].name == "worst"
    assert verdict.findings[1].name == "0"


async def test_a_late_engine_is_cancelled_and_the_others_are_heard():
    ended = []

    async def slow(_mail):
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(True)

    judgement = await panel(
        seat(slow, "slow", 0.02), seat(answers([Finding("A")]), "fast"), seat(slow, "slower", 0.04)
    ).judge(MAIL)
    assert [v.engine for v in judgement.verdicts] == ["slow", "fast", "slower"]
    assert [v.outcome for v in judgement.verdicts] == [Outcome.LATE, Outcome.ANSWERED, Outcome.LATE]
    assert judgement.verdicts[0].reason == "no answer within 0.02 seconds"
    await asyncio.sleep(0)
    assert ended == [True, True]


async def test_a_late_engine_is_cancelled_while_the_others_work_on():
    cancelled = asyncio.Event()

    async def slow(_mail):
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    async def waits_for_that(_mail):
        await cancelled.wait()
        return []

    judgement = await panel(seat(slow, "slow", 0.02), seat(waits_for_that, "y")).judge(MAIL)
    assert [v.outcome for v in judgement.verdicts] == [Outcome.LATE, Outcome.ANSWERED]


async def test_the_deadline_for_all_holds_for_each():
    judgement = await panel(seat(hangs, deadline=100), deadline=0.02).judge(MAIL)
    assert judgement.verdicts[0].outcome is Outcome.LATE
    assert judgement.verdicts[0].reason == "no answer within 0.02 seconds"


async def test_a_short_deadline_leaves_the_long_one_alone():
    gate = asyncio.Event()

    async def waits(_mail):
        await gate.wait()
        return [Finding("A")]

    judging = asyncio.create_task(panel(seat(hangs, "short", 0.01), seat(waits, "long", 5)).judge(MAIL))
    await asyncio.wait([judging], timeout=0.05)
    gate.set()
    judgement = await judging
    assert [v.outcome for v in judgement.verdicts] == [Outcome.LATE, Outcome.ANSWERED]


async def test_an_engine_that_ignores_being_cancelled_holds_nobody_up():
    gate, ended = asyncio.Event(), asyncio.Event()

    async def stubborn(_mail):
        while not gate.is_set():
            try:
                await gate.wait()
            except asyncio.CancelledError:
                continue
        ended.set()
        raise OSError("nobody hears this")

    table = panel(seat(stubborn, deadline=0.02))
    begun = time.perf_counter()
    assert (await table.judge(MAIL)).verdicts[0].outcome is Outcome.LATE
    assert time.perf_counter() - begun < 2
    assert len(table._stragglers) == 1
    gate.set()
    await ended.wait()
    await asyncio.sleep(0)
    assert not table._stragglers


async def test_an_answer_after_the_deadline_is_late():
    async def dawdles(_mail):
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return [Finding("A")]

    judgement = await panel(seat(dawdles, "x", 0.01), seat(hangs, "y", 0.05)).judge(MAIL)
    assert [v.outcome for v in judgement.verdicts] == [Outcome.LATE, Outcome.LATE]


async def test_cancelling_passes_after_the_engines_are_cancelled():
    begun, ended = asyncio.Event(), asyncio.Event()

    async def waits(_mail):
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    judging = asyncio.create_task(panel(seat(waits)).judge(MAIL))
    await begun.wait()
    judging.cancel()
    with pytest.raises(asyncio.CancelledError):
        await judging
    await asyncio.wait_for(ended.wait(), 1)


async def test_engines_work_at_the_same_time():
    both = asyncio.Barrier(2)

    async def meets(_mail):
        async with both:
            return []

    judgement = await panel(seat(meets, "a"), seat(meets, "b")).judge(MAIL)
    assert [v.outcome for v in judgement.verdicts] == [Outcome.ANSWERED] * 2


async def test_every_verdict_is_told_and_telling_costs_no_message():
    told = []
    await panel(seat(answers([])), seat(hangs, "y", 0.01), on_verdict=told.append).judge(MAIL)
    assert [(v.engine, v.outcome) for v in told] == [("x", Outcome.ANSWERED), ("y", Outcome.LATE)]
    judgement = await panel(seat(answers([])), on_verdict=lambda _verdict: 1 / 0).judge(MAIL)
    assert judgement.verdicts[0].outcome is Outcome.ANSWERED


async def test_seconds_are_the_clocks():
    clock = PretendClock()

    async def takes_three(_mail):
        clock.now += 3
        return []

    (verdict,) = (await Panel([seat(takes_three)], 5, clock).judge(MAIL)).verdicts
    assert verdict.seconds == 3


async def test_close_closes_every_engine_whatever_one_of_them_does():
    class Bad(Acting):
        async def close(self):
            raise OSError("no")

    good = seat(answers([]))
    table = panel(Seat("bad", Bad(answers([])), 1.0), good)
    await table.close()
    assert good.engine.closed == 1


def test_the_shortest_time_that_an_engine_has():
    assert panel(seat(hangs, "a", 4.0), seat(hangs, "b", 3.0)).shortest == 3.0
    assert panel(seat(hangs, "a", 9.0)).shortest == 5.0
    assert panel().shortest == 5.0

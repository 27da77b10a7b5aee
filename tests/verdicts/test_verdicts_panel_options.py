"""What the operator may choose for each engine, and for all of them: EngineOptions and Rules."""

import asyncio
import math

import pytest

from verdicts.contract import Engine, EngineOptions, Finding, Handling, Outcome, Severity, Unscanned
from verdicts.engines.testpatterns import TestPatterns
from verdicts.kit import PretendClock, letter, mail_of, pretend_tools
from verdicts.panel import Panel, Rules, Seat

BAD = Finding("EICAR", Severity.MALICIOUS)
TWO_TYPES = b"Content-Type: text/plain\r\nContent-Type: text/html\r\n\r\nx"


class Acting(Engine):
    """Does what it is told, and counts how often it was asked."""

    def __init__(self, act, options):
        super().__init__(options, pretend_tools())
        self.act, self.asked = act, 0

    async def judge(self, mail):
        self.asked += 1
        return await self.act(mail)


def seat(act, name="x", **options):
    chosen = EngineOptions(**options)
    return Seat(name, Acting(act, chosen), chosen.deadline, chosen)


def panel(*seats, rules=Rules(), deadline=5.0, **more):  # noqa: B008
    return Panel(seats, deadline, more.pop("clock", PretendClock()), rules=rules, **more)


def says(*findings):
    async def act(_mail):
        return findings

    return act


def raises(error):
    async def act(_mail):
        raise error

    return act


async def hangs(_mail):
    await asyncio.Event().wait()


async def stubborn(_mail):
    """Does not let itself be cancelled, for a while."""
    for _ in range(20):
        try:
            await asyncio.sleep(0.01)
        except asyncio.CancelledError:
            continue
    return [BAD]


def told(judgement):
    return [(one.engine, str(one.outcome), str(one.handling)) for one in judgement.verdicts]


MAIL = mail_of(letter())


@pytest.mark.parametrize(
    ("options", "handling"),
    [({}, "counts"), ({"on_failure": "ignore"}, "ignored"), ({"on_failure": "defer"}, "defers"),
     ({"on_late": "ignore"}, "counts"), ({"on_failure": "defer", "shadow": True}, "shadow")],
)  # fmt: skip
async def test_on_failure(options, handling):
    judgement = await panel(seat(raises(OSError("no")), **options), seat(says(), "y")).judge(MAIL)
    assert told(judgement) == [("x", "failed", handling), ("y", "answered", "counts")]
    assert bool(judgement.unanswered) == (handling in ("counts", "defers"))


@pytest.mark.parametrize(
    ("options", "handling"),
    [({}, "counts"), ({"on_late": "ignore"}, "ignored"), ({"on_late": "defer"}, "defers"),
     ({"on_failure": "ignore"}, "counts")],
)  # fmt: skip
async def test_on_late(options, handling):
    judgement = await panel(seat(hangs, deadline=0.01, **options), seat(says(), "y")).judge(MAIL)
    assert told(judgement) == [("x", "late", handling), ("y", "answered", "counts")]


async def test_unscanned_is_never_ignored():
    judgement = await panel(seat(raises(Unscanned("big")), on_failure="ignore", on_late="ignore")).judge(MAIL)
    assert told(judgement) == [("x", "unscanned", "counts")]


@pytest.mark.parametrize(
    ("weight", "given", "expected"), [(2.0, 3.0, 6.0), (0.0, 3.0, 0.0), (0.5, -4.0, -2.0), (1000.0, 1e300, 1e9)]
)
async def test_weight(weight, given, expected):
    judgement = await panel(seat(says(Finding("A", weight=given)), weight=weight)).judge(MAIL)
    assert judgement.verdicts[0].findings[0].weight == expected


async def test_an_engine_with_a_weight_may_not_say_what_is_no_number():
    judgement = await panel(seat(says(Finding("A", weight=math.nan)), weight=0)).judge(MAIL)
    assert told(judgement) == [("x", "failed", "counts")]


async def test_out_of_scope_is_not_asked():
    small, other = seat(says(BAD), max_bytes=10, beyond="skip"), seat(says(BAD), "y", max_bytes=10)
    judgement = await panel(small, other, seat(says(), "z")).judge(MAIL)
    assert told(judgement) == [("x", "skipped", "counts"), ("y", "unscanned", "counts"), ("z", "answered", "counts")]
    assert [one.engine for one in judgement.unanswered] == ["y"]
    assert small.engine.asked == other.engine.asked == 0


async def test_a_shadow_engine_is_heard_and_does_not_count():
    judgement = await panel(seat(says(BAD), shadow=True), seat(says(), "y")).judge(MAIL)
    assert told(judgement) == [("x", "answered", "shadow"), ("y", "answered", "counts")]
    assert judgement.verdicts[0].findings == (BAD,)
    assert [one.engine for one in judgement.counted] == ["y"]


@pytest.mark.parametrize("stuck", [hangs, stubborn])
async def test_a_stuck_shadow_engine_delays_nothing(stuck):
    """No timer runs but the panel's own, which would go off in an hour: what is not waited for is not waited for."""
    table = panel(seat(stuck, shadow=True, deadline=100), seat(says(), "y", deadline=100), deadline=3600.0)
    judging = asyncio.create_task(table.judge(MAIL))
    for _ in range(10):
        await asyncio.sleep(0)
    assert judging.done()
    assert told(judging.result()) == [("x", "late", "shadow"), ("y", "answered", "counts")]
    assert judging.result().verdicts[0].reason == "no answer when all others were done"
    assert table.shortest == 100
    for task in tuple(table._stragglers):
        await asyncio.wait([task])


async def test_a_shadow_engine_has_its_grace_and_no_more():
    async def slower(_mail):
        await asyncio.sleep(0.01)
        return [BAD]

    rules = Rules(shadow_grace=4.0)
    judgement = await panel(seat(slower, shadow=True), seat(says(), "y"), rules=rules).judge(MAIL)
    assert told(judgement)[0] == ("x", "answered", "shadow")
    rules = Rules(shadow_grace=0.02)
    judgement = await panel(seat(hangs, shadow=True), seat(says(), "y"), rules=rules).judge(MAIL)
    assert told(judgement)[0] == ("x", "late", "shadow")


async def test_a_shadow_engine_has_its_own_deadline():
    async def waits(_mail):
        await asyncio.sleep(0.05)
        return []

    judgement = await panel(seat(hangs, shadow=True, deadline=0.01), seat(waits, "y")).judge(MAIL)
    assert judgement.verdicts[0].reason == "no answer within 0.01 seconds"
    assert told(judgement)[1] == ("y", "answered", "counts")


async def test_no_more_at_once_than_allowed_and_who_waits_too_long_is_late():
    inside, most, gate = 0, 0, asyncio.Event()

    async def counts(_mail):
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        try:
            await gate.wait()
        finally:
            inside -= 1
        return []

    table = panel(seat(counts, at_once=2, deadline=0.05))
    first = [asyncio.create_task(table.judge(MAIL)) for _ in range(5)]
    assert {told(await one)[0][1] for one in first} == {"late"}
    gate.set()
    later = await asyncio.gather(*(table.judge(MAIL) for _ in range(5)))
    assert {told(one)[0][1] for one in later} == {"answered"}
    assert most == 2


async def test_an_open_circuit_answers_at_once_and_one_message_tries_it():
    clock, states = PretendClock(), []
    broken = seat(raises(OSError("no")), breaker_failures=2, breaker_seconds=30, on_failure="defer")
    table = panel(broken, seat(says(), "y"), clock=clock, on_breaker=lambda *state: states.append(state))
    for _ in range(3):
        judgement = await table.judge(mail_of(letter()))
    assert broken.engine.asked == 2
    assert told(judgement)[0] == ("x", "failed", "defers")
    assert judgement.verdicts[0].reason == "circuit open"
    assert states == [("x", True)]
    clock.now += 30
    broken.engine.act = says(BAD)
    assert told(await table.judge(mail_of(letter())))[0] == ("x", "answered", "counts")
    assert states == [("x", True), ("x", False)]
    assert broken.engine.asked == 3


async def test_late_verdicts_open_the_circuit_and_skipped_ones_say_nothing():
    hanging = seat(hangs, breaker_failures=2, deadline=0.01, min_bytes=10)
    table = panel(hanging)
    await table.judge(mail_of(letter()))
    await table.judge(mail_of(b"x"))
    await table.judge(mail_of(letter()))
    judgement = await table.judge(mail_of(letter()))
    assert (judgement.verdicts[0].reason, hanging.engine.asked) == ("circuit open", 2)


async def test_a_shadow_that_is_cut_off_opens_no_circuit():
    states = []
    table = panel(
        seat(hangs, shadow=True, breaker_failures=1), seat(says(), "y"), on_breaker=lambda *state: states.append(state)
    )
    await table.judge(MAIL)
    await table.judge(MAIL)
    assert states == []


async def test_a_trial_whose_sender_hangs_up_is_followed_by_another():
    clock = PretendClock()
    broken = seat(raises(OSError("no")), breaker_failures=1, breaker_seconds=30)
    table = panel(broken, clock=clock)
    await table.judge(mail_of(letter()))
    clock.now += 30
    broken.engine.act = hangs
    trial = asyncio.create_task(table.judge(mail_of(letter())))
    while broken.engine.asked < 2:
        await asyncio.sleep(0)
    trial.cancel()
    await asyncio.wait([trial])
    broken.engine.act = says()
    assert told(await table.judge(mail_of(letter())))[0][1] == "answered"


@pytest.mark.parametrize("other", [hangs, stubborn])
async def test_a_malicious_finding_may_be_enough(other):
    table = panel(seat(other, "x"), seat(says(BAD), "y"), seat(hangs, "z", shadow=True), rules=Rules("ignore", True, 4))
    judgement = await table.judge(MAIL)
    assert told(judgement) == [("x", "skipped", "counts"), ("y", "answered", "counts"), ("z", "skipped", "shadow")]
    assert judgement.verdicts[0].reason == "y found it malicious"
    assert judgement.unanswered == ()
    for task in tuple(table._stragglers):
        await asyncio.wait([task])


async def test_nobody_is_stopped_by_a_milder_finding_or_a_shadow():
    async def second(_mail):
        await asyncio.sleep(0.01)
        return [Finding("A")]

    spam = Finding("GTUBE", Severity.SPAM)
    rules = Rules(stop_at_malicious=True)
    table = panel(seat(second), seat(says(spam), "y"), seat(says(BAD), "z", shadow=True), rules=rules)
    assert [outcome for _, outcome, _ in told(await table.judge(MAIL))] == ["answered"] * 3


async def test_by_default_all_are_heard():
    async def second(_mail):
        await asyncio.sleep(0.01)
        return []

    assert told(await panel(seat(second), seat(says(BAD), "y")).judge(MAIL))[0][1] == "answered"


async def test_a_late_answer_stops_nobody():
    async def answers_late(_mail):
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return [BAD]

    table = panel(
        seat(answers_late, deadline=0.01), seat(hangs, "y", deadline=0.05), rules=Rules(stop_at_malicious=True)
    )
    assert [outcome for _, outcome, _ in told(await table.judge(MAIL))] == ["late", "late"]


def in_a_part(part):
    return b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n" + part + b"\r\n--b--\r\n"


@pytest.mark.parametrize(
    ("message", "defect"),
    [
        (b"Content-Transfer-Encoding: 7bit\r\nContent-Transfer-Encoding: base64\r\n\r\neA==",
         "duplicate-content-transfer-encoding"),
        (b"Content-Type: text/plain\r\n" + in_a_part(b"\r\nx"), "duplicate-content-type"),
        (in_a_part(b"\r\nx").replace(b"=b", b"=c; boundary=b"), "duplicate-boundary"),
        (in_a_part(b"\r\nx").replace(b"=b", b"=c; boundary*=b"), "duplicate-boundary"),
        (in_a_part(b"Content-Type: a/b\r\nContent-Type: c/d\r\n\r\nx"), "duplicate-content-type"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("engine", ["reads it", "reads nothing"])
async def test_what_can_be_read_in_two_ways_is_unscanned(message, defect, engine):
    reading = Seat("x", TestPatterns(TestPatterns.Options(), pretend_tools()), 5)
    judgement = await panel(reading if engine == "reads it" else seat(says())).judge(mail_of(message))
    assert told(judgement) == [("x", "answered", "counts"), ("structure", "unscanned", "counts")]
    assert defect in judgement.verdicts[1].reason
    assert judgement.verdicts[1].findings[0].name == "AMBIGUOUS_MIME"


@pytest.mark.parametrize("severity", ["note", "suspicious", "spam", "malicious"])
async def test_how_bad_that_is_can_be_chosen(severity):
    verdict = (await panel(seat(says()), rules=Rules(severity)).judge(mail_of(TWO_TYPES))).verdicts[1]
    assert (verdict.outcome, verdict.findings[0].severity) == (Outcome.ANSWERED, Severity[severity.upper()])
    assert verdict.findings[0].detail == "duplicate-content-type"


async def test_a_structure_that_nobody_cares_for_is_not_read():
    mail = mail_of(TWO_TYPES)
    assert told(await panel(seat(says()), rules=Rules("ignore")).judge(mail)) == [("x", "answered", "counts")]
    assert not mail.structure_is_read


async def test_a_structure_that_takes_too_long_is_late(monkeypatch):
    monkeypatch.setattr("verdicts.reading.Reading.step", lambda _self: True)
    judgement = await panel(seat(says()), deadline=0.01).judge(mail_of(letter()))
    assert told(judgement)[-1] == ("structure", "late", "counts")
    assert judgement.unanswered


async def test_a_structure_that_cannot_be_read_has_failed(monkeypatch):
    async def breaks(_self):
        raise RecursionError("deep")

    monkeypatch.setattr("verdicts.mail.Mail.read_structure", breaks)
    assert told(await panel(seat(says())).judge(mail_of(letter())))[-1] == ("structure", "failed", "counts")


async def test_a_structure_is_not_read_when_it_was_said_enough():
    mail = mail_of(TWO_TYPES)
    judgement = await panel(seat(says(BAD)), rules=Rules(stop_at_malicious=True)).judge(mail)
    assert told(judgement) == [("x", "answered", "counts")]
    assert not mail.structure_is_read


async def test_what_is_plain_costs_no_verdict():
    assert told(await panel(seat(says())).judge(mail_of(letter()))) == [("x", "answered", "counts")]


async def test_handling_is_told():
    heard = []
    await panel(seat(says(BAD), shadow=True), seat(says(), "y"), on_verdict=heard.append).judge(MAIL)
    assert [one.handling for one in heard] == [Handling.SHADOW, Handling.COUNTS]

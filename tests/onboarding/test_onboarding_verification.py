"""The state machine of a domain's record: every state, every look, every time; and where no sequence of them leads."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.dns import Said
from relay.dns.authority import Hearing, Told
from relay.onboarding.domains.verification import (
    LONGEST_PROBLEM,
    NEXT,
    PENDING_EVERY,
    SKEW,
    STATES,
    WORRIED_EVERY,
    Limits,
    Look,
    Seen,
    due,
    looked,
    step,
)
from relay.records.verifications import PROVEN, Row

HOUR, DAY = 3_600.0, 86_400.0
LIMITS = Limits(verify=72 * HOUR, lapse=7 * DAY, recheck=DAY)
START = 1_000_000.0
VALUE = "sluice-verification=0123456789abcdefghijABCDEFGHIJ01"
ROW = Row("acme", "acme.example", "west", VALUE, added=START, changed=START)


def after(state, seen, passed, **values):
    return step(replace(ROW, state=state, **values), Look(seen, "why"), START + passed, LIMITS)


@pytest.mark.parametrize(
    ("state", "seen", "passed", "wanted"),
    [
        ("pending", Seen.YES, 0, "verified"),
        ("pending", Seen.YES, 99 * DAY, "verified"),
        ("pending", Seen.NO, 0, "pending"),
        ("pending", Seen.NO, 72 * HOUR - 1, "pending"),
        ("pending", Seen.NO, 72 * HOUR, "failed"),
        ("pending", Seen.UNKNOWN, 0, "pending"),
        ("pending", Seen.UNKNOWN, 99 * DAY, "pending"),
        ("verified", Seen.YES, 99 * DAY, "verified"),
        ("verified", Seen.NO, 0, "lapsing"),
        ("verified", Seen.NO, 99 * DAY, "lapsing"),
        ("verified", Seen.UNKNOWN, 99 * DAY, "verified"),
        ("lapsing", Seen.YES, 0, "verified"),
        ("lapsing", Seen.YES, 99 * DAY, "verified"),
        ("lapsing", Seen.NO, 0, "lapsing"),
        ("lapsing", Seen.NO, 7 * DAY - 1, "lapsing"),
        ("lapsing", Seen.NO, 7 * DAY, "lapsed"),
        ("lapsing", Seen.UNKNOWN, 99 * DAY, "lapsing"),
        ("lapsed", Seen.YES, 0, "verified"),
        ("lapsed", Seen.NO, 99 * DAY, "lapsed"),
        ("lapsed", Seen.UNKNOWN, 99 * DAY, "lapsed"),
        ("failed", Seen.YES, 99 * DAY, "verified"),
        ("failed", Seen.NO, 99 * DAY, "failed"),
        ("failed", Seen.UNKNOWN, 0, "failed"),
    ],
)
def test_every_way(state, seen, passed, wanted):
    row = after(state, seen, passed)
    assert row.state == wanted
    assert row.changed == (START if wanted == state else START + passed)
    assert row.checked == START + passed
    assert row.seen == (START + passed if seen is Seen.YES else 0)
    assert row.problem == "why"
    assert (row.key, row.value, row.added) == (ROW.key, VALUE, START)


def test_the_table_has_only_states_that_there_are():
    assert {state for state, _ in NEXT} <= set(STATES)
    assert {state for pair in NEXT.values() for state in pair} <= set(STATES)
    assert set(PROVEN) <= set(STATES)


@pytest.mark.parametrize("state", ["pending", "lapsing"])
def test_a_clock_that_went_back_lets_the_time_begin_anew(state):
    row = after(state, Seen.NO, -50 * DAY)
    assert (row.state, row.changed, row.checked) == (state, START - 50 * DAY, START - 50 * DAY)
    limit = {"pending": 72 * HOUR, "lapsing": 7 * DAY}[state]
    assert step(row, Look(Seen.NO), row.changed + limit - 1, LIMITS).state == state
    assert step(row, Look(Seen.NO), row.changed + limit, LIMITS).state != state


def test_a_stranger_cannot_make_a_problem_long():
    assert len(step(ROW, Look(Seen.NO, "x" * 9_999), START, LIMITS).problem) == LONGEST_PROBLEM


@pytest.mark.parametrize(
    ("state", "problem", "every"),
    [
        ("pending", "", PENDING_EVERY),
        ("pending", "why", PENDING_EVERY),
        ("verified", "", DAY),
        ("verified", "why", WORRIED_EVERY),
        ("lapsing", "why", WORRIED_EVERY),
        ("lapsed", "why", DAY),
        ("failed", "why", DAY),
    ],
)
def test_when_it_is_time(state, problem, every):
    row = replace(ROW, state=state, problem=problem, checked=START)
    assert due(replace(row, checked=0.0), START, LIMITS)
    assert not due(row, START + every - 1, LIMITS)
    assert due(row, START + every, LIMITS)
    assert not due(row, START - SKEW, LIMITS)  # another node's clock is a little ahead
    assert due(row, START - SKEW - 1, LIMITS)
    assert due(row, START + 60, replace(LIMITS, recheck=60.0))  # never rarer than the operator wants


def test_who_waits_for_name_servers_that_never_answer_is_looked_at_less():
    late = START + LIMITS.verify
    row = replace(ROW, checked=late)
    assert not due(row, late + PENDING_EVERY, LIMITS)
    assert due(row, late + DAY, LIMITS)


OTHERS = ("sluice-verification=x", "sluice-verification=y")


def heard(*told):
    return Hearing(tuple(Told(f"ns{n}", said, records, "why") for n, (said, records) in enumerate(told)))


@pytest.mark.parametrize(
    ("hearing", "seen", "problem"),
    [
        (heard((Said.FOUND, (VALUE,))), Seen.YES, ""),
        (heard((Said.FOUND, ("v=spf1 -all", VALUE, "sluice-verification=other"))), Seen.YES, ""),
        (heard((Said.NO_NAME, ()), (Said.FOUND, (VALUE,)), (Said.NO_ANSWER, ())), Seen.YES, "servers have it: ns0"),
        (heard((Said.FOUND, ("old",)), (Said.FOUND, (VALUE,))), Seen.YES, "not all name servers have it: ns0"),
        (heard((Said.NO_ANSWER, ()), (Said.FOUND, (VALUE,))), Seen.YES, ""),
        (heard((Said.NO_NAME, ())), Seen.NO, "no such name"),
        (heard((Said.NO_RECORD, ()), (Said.NO_ANSWER, ()), (Said.BROKEN, ())), Seen.NO, "no such record"),
        (heard((Said.FOUND, ("v=spf1 -all",))), Seen.NO, "other TXT records stand there (1)"),
        (heard((Said.FOUND, OTHERS)), Seen.NO, "other values stand there (2 of ours)"),
        (heard((Said.FOUND, (f'"{VALUE}"',))), Seen.NO, "no quotes"),
        (heard((Said.FOUND, (f" {VALUE}",))), Seen.NO, "no blanks"),
        (heard((Said.FOUND, (VALUE.upper(),))), Seen.NO, "no other case"),
        (heard((Said.FOUND, (VALUE + "x",))), Seen.NO, "other values"),
        (heard((Said.FOUND, (VALUE[:-1],))), Seen.NO, "other values"),
        (heard((Said.FOUND, (VALUE[20:],))), Seen.NO, "other TXT records"),
        (heard((Said.NO_ANSWER, ())), Seen.UNKNOWN, "nobody can tell: ns0: why"),
        (heard((Said.BROKEN, ()), (Said.NO_ANSWER, ())), Seen.UNKNOWN, "nobody can tell"),
        (heard(), Seen.UNKNOWN, "nobody can tell: no name server answered"),
        (Hearing((), "too far"), Seen.UNKNOWN, "nobody can tell: too far"),
    ],
)  # fmt: skip
def test_what_is_made_of_what_was_heard(hearing, seen, problem):
    look = looked(hearing, VALUE)
    assert look.seen is seen
    assert problem in look.problem
    assert bool(look.problem) is bool(problem)


seconds = st.floats(-30 * DAY, 30 * DAY)
looks = st.lists(st.tuples(st.sampled_from(Seen), seconds), max_size=40)


@given(st.sampled_from(STATES), looks)
def test_no_way_leads_where_none_should(state, steps):
    row, now, ever_seen = replace(ROW, state=state), START, state not in ("pending", "failed")
    for seen, passed in steps:
        now = max(0.0, now + passed)
        before, row = row, step(row, Look(seen), now, LIMITS)
        ever_seen |= seen is Seen.YES
        if row.state in PROVEN:
            assert ever_seen  # never protected without having been seen
        if seen is Seen.YES:
            assert row.state == "verified"  # always, from wherever
        if seen is Seen.UNKNOWN:
            assert row.state == before.state  # nobody knows: nothing changes
        if before.state == "verified":
            assert row.state in PROVEN  # never unprotected in one step
        if row.state == "lapsed" != before.state:
            assert before.state == "lapsing"
            assert now - before.changed >= LIMITS.lapse  # and never without the time that it was warned of
        if row.state == "failed" != before.state:
            assert before.state == "pending"
            assert now - before.changed >= LIMITS.verify
        assert row.changed <= now
        assert row.checked == now


@given(st.lists(st.binary(max_size=300).map(lambda raw: raw.decode("latin-1")), max_size=20), st.booleans())
def test_only_the_very_value_counts(records, there):
    texts = [text for text in records if text != VALUE] + [VALUE] * there
    look = looked(heard((Said.FOUND, tuple(texts))), VALUE)
    assert (look.seen is Seen.YES) is there

"""When a notice is due, and that no two of the same are closer than they may be."""

from itertools import pairwise
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.onboarding import NoticeKind, Notices
from relay.observe import metrics
from relay.onboarding.notices.kinds import KINDS, NEVER, Again, Last, Notice, Reason, is_due

HOUR, DAY = 3_600.0, 86_400.0
NOW = 1_000 * DAY


def due(kind: str, *, changed: float = 0.0, last: Last = NEVER, now: float = NOW, interval: float = DAY) -> bool:
    return is_due(Reason("acme", kind, "acme.example", changed), last, now, interval)


def test_the_kinds_are_the_same_everywhere():
    assert tuple(KINDS) == metrics.NOTICE_KINDS == (*get_args(NoticeKind), "test")
    assert tuple(Notices().kinds) == get_args(NoticeKind)


@pytest.mark.parametrize(
    ("kind", "changed", "last", "answer"),
    [
        # at a change that is news
        ("verified", NOW - HOUR, NEVER, True),
        ("verified", NOW - 3 * DAY, NEVER, False),
        ("failed", NOW - HOUR, Last(NOW - HOUR / 2), False),
        ("verified", NOW - 30 * HOUR, Last(NOW - 25 * HOUR), False),
        ("lapsed", NOW - HOUR, Last(NOW - 2 * DAY), True),
        ("lapsed", NOW - HOUR, Last(NOW - 2 * HOUR), False),
        ("lapsed", NOW - 25 * HOUR, Last(NOW - 26 * HOUR), True),
        # as long as it stands
        ("lapsing", NOW - 5 * DAY, NEVER, True),
        ("lapsing", NOW - 5 * DAY, Last(NOW - DAY), True),
        ("lapsing", NOW - 5 * DAY, Last(NOW - DAY + 1), False),
        # what is counted
        ("unproven", 0.0, NEVER, False),
        ("unproven", 0.0, Last(0.0, 1), True),
        ("unproven", 0.0, Last(NOW - DAY, 1), True),
        ("unproven", 0.0, Last(NOW - DAY, 0), False),
        ("loop", 0.0, Last(NOW - HOUR, 99), False),
        ("next_hop", 0.0, Last(NOW - 9 * DAY, 7), True),
        # once
        ("working", 0.0, NEVER, False),
        ("working", 0.0, Last(0.0, 1), True),
        ("working", 0.0, Last(NOW - 99 * DAY, 1), False),
    ],
)
def test_when_a_notice_is_due(kind, changed, last, answer):
    assert due(kind, changed=changed, last=last) is answer


def test_news_stay_news_for_longer_than_the_interval():
    """Else a change that comes soon after another one would never be told."""
    last = Last(NOW - 10 * DAY)
    assert due("verified", changed=NOW - 9.5 * DAY, last=last, interval=10 * DAY)


@pytest.mark.parametrize("kind", ["verified", "lapsing", "unproven"])
def test_a_clock_that_was_wrong_for_a_moment_does_not_silence_a_year(kind):
    assert due(kind, changed=NOW - HOUR, last=Last(NOW + 365 * DAY, 1)) is True
    assert due(kind, changed=NOW - HOUR, last=Last(NOW + 1, 1)) is False  # another node's clock


steps = st.lists(st.tuples(st.floats(0, 3 * DAY), st.booleans(), st.integers(0, 3)), max_size=60)


@given(st.sampled_from(sorted(KINDS)), steps, st.floats(1, 3 * DAY))
def test_no_two_of_the_same_are_closer_than_the_interval(kind, steps, interval):
    """Whatever changes and is counted, whenever somebody looks."""
    now, changed, last, told, counted = NOW, NOW, NEVER, [], 0
    for passed, change, more in steps:
        now += passed
        changed = now if change else changed
        last = Last(last.sent, last.held + more)
        counted += more
        if due(kind, changed=changed, last=last, now=now, interval=interval):
            told.append((now, last.held))
            last = Last(now)
    assert all(after - before >= interval for (before, _), (after, _) in pairwise(told))
    assert sum(held for _, held in told) + last.held == counted
    if KINDS[kind] is Again.ONCE:
        assert len(told) <= 1


def test_a_notice_has_the_same_name_each_time_it_is_tried():
    reason = Reason("acme", "lapsing", "acme.example", 5.0)
    first, again = Notice(reason, NOW, 3, 7.0), Notice(reason, NOW + 60, 4, 7.0)
    others = [
        Notice(reason, NOW, 3, 8.0),
        Notice(Reason("acme", "lapsing", "acme.example", 6.0), NOW, 3, 7.0),
        Notice(Reason("acme", "lapsing", "acme.example2", 5.0), NOW, 3, 7.0),
        Notice(Reason("acmelapsing", "", "acme.example", 5.0), NOW, 3, 7.0),
    ]
    assert first.id == again.id
    assert len({first.id, *(other.id for other in others)}) == 5

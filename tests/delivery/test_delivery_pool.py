import itertools
import math

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from relay.delivery.actions import Close, Fail, Give, Open, Recall
from relay.delivery.pool import RECALL_AFTER, REOPEN_AFTER, Limits, Pool

LIMITS = Limits(connections=2, max_age=100.0, max_messages=3, max_idle=10.0, hold=5.0)


def holding(limits=LIMITS, now=0.0, **holders):
    """A pool whose connections are held as given: c1="a" means that "a" holds "c1"."""
    pool = Pool(limits)
    for connection, holder in holders.items():
        pool.want(holder)
        assert pool.assign(now) == [Open()]
        pool.opened(connection, now)
        assert pool.assign(now) == [Give(connection, holder)]
    return pool


def test_who_asks_first_gets_a_new_connection():
    pool = Pool(LIMITS)
    assert pool.assign(0) == []
    pool.want("a")
    assert pool.assign(0) == [Open()]
    assert pool.assign(0) == []
    pool.opened("c1", 1)
    assert pool.assign(1) == [Give("c1", "a")]
    assert (pool.open, pool.busy) == (1, 1)


def test_no_more_are_opened_than_wait_and_than_the_limit_allows():
    pool = Pool(LIMITS)
    for waiter in "abc":
        pool.want(waiter)
    assert pool.assign(0) == [Open(), Open()]
    assert repr(pool) == "0 of 2 open: 0 idle, 0 busy (0 resting), 2 opening, 3 waiting"


def test_a_released_connection_goes_to_who_waits_longest():
    pool = holding(c1="a", c2="b")
    pool.want("c")
    pool.want("d")
    assert pool.assign(1) == []
    pool.released("c2", 1)
    assert pool.assign(1) == [Give("c2", "c")]


def test_the_most_recently_used_is_used_again():
    pool = holding(c1="a", c2="b")
    pool.released("c2", 1)
    pool.released("c1", 2)
    pool.want("c")
    assert pool.assign(3) == [Give("c1", "c")]


def test_who_comes_when_nobody_waits_takes_the_most_recently_used_at_once():
    pool = holding(c1="a", c2="b")
    assert pool.take("c", 0) is None
    assert pool.released("c2", 1) == 11.0
    assert pool.released("c1", 2) == 12.0
    assert pool.take("c", 11.0) == "c1"
    assert pool.busy == 1
    assert pool.take("d", 11.0) is None  # c2 was idle for too long
    assert pool.assign(11.0) == [Close("c2")]


def test_nobody_is_overtaken():
    pool = holding(c1="a", c2="b")
    pool.want("c")
    assert pool.released("c1", 1) == 1
    assert pool.take("d", 1) is None
    assert pool.assign(1) == [Give("c1", "c")]


@pytest.mark.parametrize("now", [50.0, 94.0])
def test_it_is_told_when_a_released_one_is_due(now):
    pool = holding(c1="a")
    assert pool.rests("c1", now) == now + LIMITS.hold
    due = min(now + LIMITS.max_idle, LIMITS.max_age)
    assert pool.released("c1", now) == due
    assert pool.due(now) == due


@pytest.mark.parametrize(("now", "closed"), [(9.9, []), (10.0, [Close("c1")])])
def test_idle_ones_are_closed(now, closed):
    pool = holding(c1="a")
    pool.released("c1", 0)
    assert pool.due(0) == 10.0
    assert pool.assign(now) == closed
    assert pool.open == 1 - len(closed)


def test_old_ones_are_closed_but_not_while_they_are_used():
    pool = holding(c1="a")
    assert pool.assign(200) == []
    pool.released("c1", 200)
    assert pool.assign(200) == [Close("c1")]


def test_used_up_ones_are_closed():
    pool = holding(c1="a")
    for _ in range(2):
        pool.released("c1", 0)
        pool.want("b")
        assert pool.assign(0) == [Give("c1", "b")]
    pool.released("c1", 0)
    pool.want("b")
    assert pool.assign(0) == [Close("c1"), Open()]


def test_what_has_rested_longest_is_recalled_when_nothing_else_helps():
    pool = holding(c1="a", c2="b")
    pool.rests("c2", 1.0)
    pool.rests("c1", 2.0)
    pool.want("c")
    assert pool.assign(3.0) == [Recall("c2", "b"), Give("c2", "c")]


def test_resting_is_left_in_peace_at_first_and_while_it_works():
    pool = holding(c1="a", c2="b")
    pool.rests("c1", 1.0)
    pool.want("c")
    assert pool.assign(1.0) == []
    assert pool.due(1.0) == 1.0 + RECALL_AFTER
    pool.works("c1")
    assert pool.assign(2.0) == []
    pool.rests("c1", 3.0)
    assert pool.assign(3.0 + RECALL_AFTER) == [Recall("c1", "a"), Give("c1", "c")]


def test_nothing_is_recalled_while_a_connection_may_be_opened():
    pool = holding(c1="a")
    pool.rests("c1", 0.0)
    pool.want("b")
    assert pool.assign(1.0) == [Open()]
    assert pool.assign(2.0) == []


def test_a_recalled_one_that_is_used_up_is_closed_and_another_opened():
    pool = holding(Limits(1, 100.0, 1, 10.0, 5.0), c1="a")
    pool.rests("c1", 0.0)
    pool.want("b")
    assert pool.assign(1.0) == [Recall("c1", "a"), Close("c1"), Open()]


def test_what_rests_for_longer_than_hold_is_given_back():
    pool = holding(c1="a")
    pool.rests("c1", 1.0)
    assert pool.due(1.0) == 6.0
    assert pool.assign(5.9) == []
    assert pool.assign(6.0) == [Recall("c1", "a")]
    assert pool.busy == 0


def test_who_waits_longest_hears_that_none_can_be_opened():
    pool = Pool(LIMITS)
    for waiter in "abc":
        pool.want(waiter)
    pool.assign(0)
    error = OSError("refused")
    pool.open_failed(error, 0)
    assert pool.assign(0) == [Fail("a", error), Open()]
    pool.open_failed(error, 0)
    assert pool.assign(0) == [Fail("b", error)]


def test_when_others_serve_a_failed_opening_only_means_waiting():
    pool = holding(c1="a")
    pool.want("b")
    assert pool.assign(0) == [Open()]
    pool.open_failed(OSError("too many connections"), 0)
    assert pool.assign(0) == []
    assert pool.due(0) == REOPEN_AFTER
    pool.rests("c1", 0)
    assert pool.assign(RECALL_AFTER) == [Recall("c1", "a"), Give("c1", "b")]
    pool.want("c")
    assert pool.assign(REOPEN_AFTER) == [Open()]


def test_when_the_last_connection_is_lost_the_pause_ends():
    pool = holding(c1="a")
    pool.want("b")
    pool.assign(0)
    pool.open_failed(OSError("too many connections"), 0)
    assert pool.assign(0) == []
    pool.lost("c1")
    assert pool.assign(0) == [Open()]


def test_what_is_lost_is_forgotten_whoever_had_it():
    pool = holding(c1="a", c2="b")
    pool.lost("c1")
    pool.released("c1", 0)
    pool.rests("c1", 0)
    pool.works("c1")
    pool.lost("c1")
    assert pool.connections == ["c2"]
    pool.released("c2", 0)
    pool.released("c2", 0)
    pool.lost("c2")
    assert (pool.open, pool.busy, pool.due(0)) == (0, 0, None)


def test_who_no_longer_waits_gets_nothing():
    pool = Pool(LIMITS)
    pool.want("a")
    pool.assign(0)
    pool.forget("a")
    pool.forget("a")
    pool.opened("c1", 0)
    assert pool.assign(0) == []
    assert pool.open == 1


class PoolMachine(RuleBasedStateMachine):
    """Acts as the shell does, in any order of events, and keeps its own books."""

    def __init__(self):
        super().__init__()
        self.pool = Pool(Limits(connections=3, max_age=40.0, max_messages=4, max_idle=8.0, hold=5.0))
        self.names = itertools.count()
        self.now = 0.0
        self.waiting, self.held, self.alive, self.opening = [], {}, set(), 0
        self.rings = math.inf

    def follow(self, due):
        """What the shell does with the answer of `rests` and `released`."""
        if due <= self.now:
            self.act()
        else:
            self.rings = min(self.rings, due)
            assert self.pool.assign(self.now) == []

    def act(self):
        for action in self.pool.assign(self.now):
            match action:
                case Open():
                    self.opening += 1
                case Give(connection, waiter):
                    assert waiter == self.waiting.pop(0)
                    assert connection in self.alive
                    assert connection not in self.held
                    self.held[connection] = waiter
                case Recall(connection, holder):
                    assert self.held.pop(connection) == holder
                case Close(connection):
                    assert connection not in self.held
                    self.alive.remove(connection)
                case Fail(waiter, _):
                    assert waiter == self.waiting.pop(0)
        assert self.pool.assign(self.now) == []
        due = self.pool.due(self.now)
        self.rings = min(self.rings, math.inf if due is None else due)

    @rule()
    def want(self):
        self.waiting.append(f"w{next(self.names)}")
        self.pool.want(self.waiting[-1])
        self.act()

    @rule()
    def take(self):
        connection = self.pool.take(name := f"w{next(self.names)}", self.now)
        if connection is not None:
            assert not self.waiting
            assert connection in self.alive
            assert connection not in self.held
            self.held[connection] = name
        assert self.pool.assign(self.now) == []

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def forget(self, data):
        waiter = data.draw(st.sampled_from(self.waiting))
        self.waiting.remove(waiter)
        self.pool.forget(waiter)
        self.act()

    @precondition(lambda self: self.opening)
    @rule(works=st.booleans())
    def end_opening(self, works):
        self.opening -= 1
        if works:
            self.alive.add(connection := f"c{next(self.names)}")
            self.pool.opened(connection, self.now)
        else:
            self.pool.open_failed(OSError(), self.now)
        self.act()

    @precondition(lambda self: self.held)
    @rule(data=st.data(), what=st.sampled_from(["rests", "works", "released"]))
    def use(self, data, what):
        connection = data.draw(st.sampled_from(sorted(self.held)))
        if what == "released":
            del self.held[connection]
        if what == "works":
            self.pool.works(connection)
            assert self.pool.assign(self.now) == []
        else:
            self.follow(getattr(self.pool, what)(connection, self.now))

    @precondition(lambda self: self.alive)
    @rule(data=st.data())
    def lose(self, data):
        connection = data.draw(st.sampled_from(sorted(self.alive)))
        self.alive.remove(connection)
        self.held.pop(connection, None)
        self.pool.lost(connection)
        self.act()

    @rule(seconds=st.floats(0.01, 20.0))
    def time_passes(self, seconds):
        """As the shell's one timer lets it pass, which is only ever set to something earlier."""
        end = self.now + seconds
        while self.rings <= end:
            self.now, self.rings = self.rings, math.inf
            self.act()
        self.now = end
        assert self.pool.assign(self.now) == []

    @invariant()
    def books_agree(self):
        pool = self.pool
        assert set(pool.connections) == self.alive
        assert pool.busy == len(self.held)
        assert list(pool.waiting) == self.waiting
        assert pool.opening == self.opening
        assert pool.open + pool.opening <= 3

    @invariant()
    def nobody_waits_in_vain(self):
        if self.waiting:
            assert self.pool.open == self.pool.busy
            assert self.pool.busy or self.pool.opening

    def teardown(self):
        """Whoever waits is served in the end when all others let go."""
        for _ in range(1000):
            if not self.waiting:
                break
            if self.opening:
                self.end_opening(works=True)
            elif self.held:
                connection = next(iter(self.held))
                del self.held[connection]
                self.pool.released(connection, self.now)
                self.act()
        assert not self.waiting


PoolMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestPool = PoolMachine.TestCase

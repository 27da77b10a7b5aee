"""What is kept: like a plain list of all answers, the newest last, of which only so many and so large ones count."""

import math
import tracemalloc

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from verdicts.kept import Kept, size_of
from verdicts.kit import PretendClock

MOST, ROOM = 4, 3_000
KEYS = st.sampled_from("abcdefg")
ANSWERS = st.text(max_size=5) | st.integers(0, ROOM).map(lambda count: "x" * count) | st.tuples(st.text(), st.text())


class KeptMachine(RuleBasedStateMachine):
    """Against a model that keeps everything, and forgets what does not count when it is asked."""

    def __init__(self):
        super().__init__()
        self.clock = PretendClock(0.0)
        self.kept = Kept(self.clock, MOST, ROOM)
        self.model = []  # key, answer, until; what was put or found last stands last

    def forget(self, key):
        self.model = [entry for entry in self.model if entry[0] != key]

    @rule(key=KEYS, answer=ANSWERS, seconds=st.sampled_from((0.0, 1.0, 5.0, math.inf)))
    def put(self, key, answer, seconds):
        self.kept.put(key, answer, seconds)
        self.forget(key)
        if self.cost(key, answer) <= ROOM:
            self.model.append((key, answer, self.clock.now + seconds))
        while len(self.model) > MOST or sum(self.cost(*entry[:2]) for entry in self.model) > ROOM:
            del self.model[0]

    @rule(key=KEYS)
    def get(self, key):
        found = next((entry for entry in self.model if entry[0] == key), None)
        self.forget(key)
        if found and self.clock.now < found[2]:
            self.model.append(found)
            assert self.kept.get(key) == found[1]
        else:
            assert self.kept.get(key) is None

    @rule(seconds=st.sampled_from((0.5, 1.0, 5.0)))
    def time_goes_by(self, seconds):
        self.clock.now += seconds

    @invariant()
    def nothing_else_is_kept(self):
        assert list(self.kept._entries) == [entry[0] for entry in self.model]
        assert self.kept._size == sum(entry.size for entry in self.kept._entries.values()) <= ROOM
        assert len(self.kept) <= MOST

    @staticmethod
    def cost(key, answer):
        return 300 + size_of(key) + size_of(answer)


TestKept = KeptMachine.TestCase
TestKept.settings = settings(max_examples=200, stateful_step_count=30, deadline=None)


@pytest.mark.parametrize("answer", ["x" * 50, ("x" * 500, ("y" * 20,) * 3), b"z" * 5_000, ("\U0001f4a9" * 100,)])
def test_it_takes_no_more_memory_than_it_has_room(answer):
    room = 300_000
    tracemalloc.start()
    try:
        kept = Kept(PretendClock(), 1_000_000, room)
        for number in range(5_000):
            kept.put(f"{number}", copied(answer))
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(kept) > 20
    assert room / 2 < taken < room * 1.1


def copied(answer):
    """With nothing in it that is shared."""
    if isinstance(answer, tuple):
        return tuple([copied(part) for part in answer])
    return (answer + answer[:1])[:-1]


def test_none_is_kept_when_none_is_wanted():
    kept = Kept(PretendClock(), 0)
    kept.put("a", "b")
    assert kept.get("a") is None

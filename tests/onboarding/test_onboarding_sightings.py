"""What is seen in passing: which messages count, and when a next hop fails."""

import pytest

from relay.observe.metrics import NEXT_HOP_FAILURES
from relay.onboarding.notices.sightings import WINDOW, Sightings
from relay.records.model import Record

HOP = "mx.acme.example"


class Clock:
    def __init__(self):
        self.now = 100.0

    def time(self):
        return self.now

    monotonic = time


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def seen(clock):
    return Sightings(clock)


def record(outcome="delivered", proof="ok", reason="", tenant="acme"):
    return Record(id="1", at=7.0, node="mx", outcome=outcome, proof=proof, reason=reason, tenant=tenant, next_hop=HOP)


@pytest.mark.parametrize(
    ("one", "counts"),
    [
        (record(), {}),
        (record(proof="ok, old value"), {}),
        (record("refused", "no loop value", "proof: no loop value"), {("acme", "unproven", ""): 1}),
        (record("delivered", "wrong loop value"), {("acme", "unproven", ""): 1}),
        (record("quarantined", "other tenant id"), {("acme", "unproven", ""): 1}),
        (record("refused", "", "loop"), {("acme", "loop", ""): 1}),
        (record("refused", "", "malformed"), {}),
        (record("refused", "ok", "policy: loop"), {}),
        (record("abandoned", "", "abandoned"), {}),
        (record("sunk", "", tenant=""), {}),
    ],
)
def test_which_messages_count(seen, one, counts):
    seen.saw(one)
    assert seen.take().counts == counts
    assert not seen.take().counts


@pytest.mark.parametrize(
    ("outcome", "proof", "works"),
    [
        ("delivered", "ok", True), ("marked", "ok, old value", True), ("quarantined", "ok", False),
        ("rejected_by_next_hop", "ok", False), ("delivered", "no loop value", False), ("delivered", "", False),
    ],
)  # fmt: skip
def test_it_works_when_mail_with_proof_was_delivered(seen, outcome, proof, works):
    seen.saw(record(outcome, proof))
    seen.saw(record(outcome, proof))
    assert seen.take().working == ({"acme": 7.0} if works else {})
    seen.saw(record(outcome, proof))
    assert not seen.take().working


@pytest.mark.parametrize(
    ("passed", "failed", "fails"),
    [
        (0, 1, False),
        (0, 2, True),
        (1, 2, False),
        (1, 4, False),
        (1, 5, True),
        (45, 5, True),
        (46, 5, False),
        (91, 10, False),
    ],
)
def test_when_a_next_hop_fails(seen, passed, failed, fails):
    seen.hop_failed("acme", HOP, "connect")
    for _ in range(passed):
        seen.saw(record())
    for _ in range(failed - 1):
        seen.saw(record("deferred", "ok", "timeout: no reply in time"))
    assert seen.take().counts == ({("acme", "next_hop", HOP): failed} if fails else {})
    assert seen.failure("acme", HOP) == ("connect" if failed == 1 else "timeout")


def test_each_failure_is_counted_once(seen, clock):
    for _ in range(3):
        seen.hop_failed("acme", HOP, "dns")
    assert seen.take().counts == {("acme", "next_hop", HOP): 3}
    assert seen.take().counts == {}
    seen.hop_failed("acme", HOP, "dns")
    clock.now += WINDOW
    assert seen.take().counts == {("acme", "next_hop", HOP): 1}
    assert seen.failure("acme", HOP) == ""


def test_failures_long_ago_do_not_count_with_those_of_today(seen, clock):
    seen.hop_failed("acme", HOP, "dns")
    clock.now += WINDOW
    seen.hop_failed("acme", HOP, "dns")
    assert seen.take().counts == {}


def test_next_hops_and_tenants_are_looked_at_one_by_one(seen):
    for tenant, hop in (("acme", "one"), ("acme", "two"), ("other", "one")):
        seen.hop_failed(tenant, hop, "tls")
    assert seen.take().counts == {}


@pytest.mark.parametrize("kind", NEXT_HOP_FAILURES)
def test_what_is_not_the_next_hops_fault_does_not_count(seen, kind):
    seen.hop_failed("acme", HOP, kind)
    seen.hop_failed("acme", HOP, kind)
    assert bool(seen.take()) is (kind not in {"no_connection", "changed"})


@pytest.mark.parametrize("reason", ["overloaded", "policy: unscanned", "records: disk full", "reply_timeout"])
def test_what_we_defer_ourselves_does_not_count(seen, reason):
    for _ in range(9):
        seen.saw(record("deferred", "ok", reason))
    assert not seen.take()


def test_what_could_not_be_remembered_is_taken_again(seen):
    seen.saw(record("refused", "", "loop"))
    seen.saw(record())
    taken = seen.take()
    seen.saw(record("refused", "", "loop"))
    seen.put_back(taken)
    assert seen.take().counts == {("acme", "loop", ""): 2}
    seen.put_back(taken)
    assert seen.take().working == {"acme": 7.0}

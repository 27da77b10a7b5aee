"""What the records of a day mean, as tables, and once out of a database."""

import time

import pytest

from relay.onboarding.doctor import mail as subject
from relay.onboarding.doctor.clock import Clocks
from relay.onboarding.doctor.result import Topic
from relay.records import lately
from relay.records.lately import Fact
from relay.records.model import Record, to_values
from relay.records.schema import scans
from relay.records.store import Store
from relay.tenants.model import Tenant

TENANT = Tenant.model_validate({"name": "acme", "loop_values": ["hunter2hunter2"]})
TOPIC = Topic("mail.x", "acme", "acme")


def fact(outcome="delivered", proof="ok", reason="", reply="250 2.6.0 queued"):
    return Fact(1.0, outcome, proof, reason, reply)


UNPROVED = fact("refused", "no loop value", "proof: no loop value", "550 5.7.1 no")
LOOP = fact("refused", "", "loop", "554 5.4.6 loop")


@pytest.mark.parametrize(
    ("last", "count", "state"), [(None, 0, "warning"), (100.0, 0, "warning"), (100.0, 5, "ok"), (-50.0, 5, "ok")]
)
def test_whether_mail_comes(last, count, state):
    result = subject.seen(TOPIC, None if last is None else 1000.0 - last, count, 1000.0)
    assert str(result.state) == state


def test_how_long_ago_and_how_many():
    assert subject.seen(TOPIC, 0.0, 1234, 3661.0).found == "the last message came 1:01:01 ago, 1,234 in the last day"
    assert "1,000,000 or more" in subject.seen(TOPIC, 0.0, lately.COUNTED, 1.0).found


@pytest.mark.parametrize(
    ("facts", "refused", "state"),
    [
        ([fact()] * 3, [], "ok"),
        ([fact()] * 3 + [LOOP], [], "ok"),
        ([fact(), fact(proof="ok, old value")], [], "warning"),
        ([fact(), UNPROVED], [UNPROVED], "warning"),
        ([fact()], [UNPROVED], "warning"),
        ([UNPROVED], [UNPROVED], "failed"),
        ([fact(proof="wrong loop value")] * 2, [], "failed"),
        ([fact(), fact(proof="wrong loop value")], [], "warning"),
    ],
)
def test_by_which_proof(facts, refused, state):
    assert str(subject.proved(TOPIC, facts, refused).state) == state


def test_proofs_are_counted():
    facts = [fact(), fact(), fact(proof="ok, old value"), UNPROVED]
    told = subject.proved(TOPIC, facts, [UNPROVED] * lately.MOST).found
    assert told == (
        "of the newest 4 messages: 2 ok, 1 ok, old value, 1 no loop value; "
        "refused in the last day for lack of proof: 2,000 or more"
    )


@pytest.mark.parametrize(("loops", "count", "state"), [(0, 9, "ok"), (1, 1000, "warning"), (50, 1000, "failed")])
def test_loops(loops, count, state):
    assert str(subject.looped(TOPIC, loops, count).state) == state


BUSY = fact("rejected_by_next_hop", reply="451 4.7.500 Server busy. Please try again later from [192.0.2.1]. (AS77712)")
UNREACHABLE = fact("deferred", reason="connect: 192.0.2.1: no connection in time", reply="451 4.4.1 later")


@pytest.mark.parametrize(
    ("failures", "count", "state", "told", "remedy"),
    [
        ([], 9, "ok", "took everything", ""),
        ([BUSY], 1000, "warning", "1: 1 451 4.7.500", "inbound connector"),
        ([UNREACHABLE], 1000, "warning", "1 connect", "hop.opens"),
        ([BUSY, UNREACHABLE, BUSY], 9, "failed", "3: 2 451 4.7.500, 1 connect", "hop.opens"),
        ([fact("rejected_by_next_hop", reply="")], 9, "failed", "1: 1 ", "sluice scans show"),
    ],
)
def test_what_the_next_hop_did_not_take(failures, count, state, told, remedy):
    result = subject.handed(TOPIC, failures, count)
    assert (str(result.state), told in result.found, remedy in result.remedy) == (state, True, True)


@pytest.mark.parametrize(
    ("kind", "word"),
    [
        ("550 5.7.128", "twice"), ("451 4.7.500", "throttles"), ("451 4.7.699", "throttles"),
        ("451 4.7.850", "suspects"), ("550 5.7.606", "banned"), ("550 5.7.649", "banned"),
        ("550 5.7.64", "inbound connector"), ("554 5.4.14", "loop"), ("550 5.7.509", "ARC"),
        ("550 5.4.1", "recipient"), ("550 5.1.10", "recipient"), ("550 5.1.1", "recipient"),
        ("550 5.7.1", "scans show"), ("552 5.3.4", "such messages"), ("", "scans show"),
    ],
)  # fmt: skip
def test_what_exchange_means(kind, word):
    assert word in subject._remedy(kind)


@pytest.fixture
def store(tmp_path):
    made = Store(f"sqlite:///{tmp_path / 'sluice.db'}")
    made.migrate()
    yield made
    made.close()


def keep(store, *facts):
    now = time.time()
    records = [
        Record(**({"id": str(number), "at": now - 10, "node": "n", "outcome": "delivered", "tenant": "acme"} | one))
        for number, one in enumerate(facts)
    ]
    with store.writing() as connection:
        store.insert_once(connection, scans, [to_values(record) for record in records])


async def test_nothing_yet(store, gathered, states):
    assert states(await gathered(subject.mail(store, TENANT, Clocks()))) == {"mail.seen": "warning"}


async def test_a_good_day(store, gathered, states):
    keep(store, *[{"proof": "ok"}] * 5, {"tenant": "other", "outcome": "refused", "reason": "loop"})
    assert states(await gathered(subject.mail(store, TENANT, Clocks()))) == {
        "mail.seen": "ok", "mail.proof": "ok", "mail.loops": "ok", "mail.hop": "ok",
    }  # fmt: skip


async def test_a_bad_day(store, gathered, states):
    keep(
        store,
        {"proof": "ok"},
        {"outcome": "refused", "proof": "no loop value", "reason": "proof: no loop value"},
        {"outcome": "refused", "reason": "loop"},
        {
            "outcome": "rejected_by_next_hop",
            "proof": "ok",
            "reply": "550 5.7.64 TenantAttribution; Relay Access Denied",
        },
        {"outcome": "refused", "reason": "loop", "at": time.time() - 90_000},
    )
    results = await gathered(subject.mail(store, TENANT, Clocks()))
    assert states(results) == {
        "mail.seen": "ok", "mail.proof": "warning", "mail.loops": "failed", "mail.hop": "failed",
    }  # fmt: skip
    assert results[2].found == "1 loops in the last day"


async def test_records_of_the_future_are_heard_of(store, gathered):
    clocks = Clocks()
    keep(store, {"at": time.time() + 9_000})
    await gathered(subject.mail(store, TENANT, clocks))
    assert [result.id for result in clocks.results(time.time())] == ["clock.offset", "clock.records"]


async def test_records_that_cannot_be_read(tmp_path, gathered, states):
    gone = Store(f"sqlite:///{tmp_path / 'none.db'}")
    assert states(await gathered(subject.mail(gone, TENANT, Clocks()))) == {"mail.seen": "cannot tell"}
    gone.close()

"""Domains are proved, warned of and suspended by what real name servers say, whatever several nodes do at a time."""

import asyncio
import sqlite3
import time
from contextlib import contextmanager
from dataclasses import replace

import pytest
import structlog
from doubles.bad_names import bad_names, says
from doubles.real_internet import real_internet, zone
from doubles.real_named import put_txt

from relay.dns import Resolver, Said
from relay.dns.authority import Authority, Hearing, Told
from relay.errors import StoreFailed
from relay.observe import metrics
from relay.onboarding.domains.verification import STATES, Limits
from relay.onboarding.domains.verifying import AT_MOST, AT_ONCE, Event, Verifier, announce
from relay.records import tenants, verifications
from relay.records.store import Store
from relay.records.verifications import Row

HOUR, DAY = 3_600.0, 86_400.0
LIMITS = Limits(verify=72 * HOUR, lapse=7 * DAY, recheck=DAY)
START = 1_000_000.0
ONE, TWO, BAD = "127.0.0.13", "127.0.0.14", "127.0.0.15"
VALUE, EAST = "sluice-verification=west", "sluice-verification=east"
ROW = Row("acme", "acme.example", "west", VALUE, added=START, changed=START)
DELEGATIONS = {"acme.example": (ONE, TWO), "half.example": (ONE, BAD), "bad.example": (BAD,)}


@pytest.fixture(scope="module")
def net(tmp_path_factory):
    zones = {
        ONE: {"acme.example": zone(ONE, TWO), "half.example": zone(ONE, BAD)},
        TWO: {"acme.example": zone(ONE, TWO)},
    }
    with real_internet(tmp_path_factory.mktemp("names"), DELEGATIONS, zones) as net:
        yield net


@pytest.fixture
def publish(net):
    """Make these the TXT records of a name, at both servers of acme.example or at some."""

    def change(*texts, name="_sluice.acme.example.", zone="acme.example", at=(ONE, TWO)):
        for address in at:
            put_txt(f"{address}:{net.port}", zone, name, *texts)

    change()
    return change


@pytest.fixture
def stores(tmp_path):
    """Two nodes' ways to one database."""
    made = [Store(f"sqlite:///{tmp_path / 'sluice.db'}") for _ in range(2)]
    made[0].migrate()
    yield made
    for store in made:
        store.close()


@pytest.fixture
def store(stores):
    return stores[0]


class Node:
    """A verifier with a clock of its own, and what it told and logged."""

    def __init__(self, store, authority):
        self.now, self.events, self.store = START, [], store
        self.verifier = Verifier(store, authority, "_sluice", LIMITS, lambda: self.now, [self.events.append, announce])

    @property
    def kinds(self):
        return [event.kind for event in self.events]

    async def recheck(self, now):
        self.now = now
        with structlog.testing.capture_logs() as self.lines:
            await self.verifier.recheck()
        return verifications.load(self.store)


@pytest.fixture
def node(store, net):
    keep(store, ROW)
    return Node(store, asker(net))


def asker(net, seconds=2.0):
    return Authority(Resolver([net.resolver], seconds), port=net.port, private=True, attempt=0.5)


def keep(store, *rows):
    with store.writing() as connection:
        verifications.keep(store, connection, rows)


async def test_the_life_of_a_proof(node, publish, store):
    before = tenants.revision(store)
    (row,) = await node.recheck(START)
    assert (row.state, node.events) == ("pending", [])
    assert "record is not there" in row.problem

    publish("v=spf1 -all", VALUE)
    (row,) = await node.recheck(START + 300)
    assert (row.state, row.problem, row.seen, row.checked) == ("verified", "", START + 300, START + 300)
    assert node.events == [Event("verified", row)]
    assert node.lines[0] | {"event": "domain verified", "log_level": "info", "domain": "acme.example"} == node.lines[0]
    assert tenants.revision(store) == before + 1

    publish("v=spf1 -all")
    gone = START + 300 + DAY
    (row,) = await node.recheck(gone)
    assert (row.state, row.changed) == ("lapsing", gone)
    assert node.lines[0] | {"event": "domain lapsing", "log_level": "warning", "region": "west"} == node.lines[0]
    assert verifications.proven(store) == {("acme", "acme.example")}
    assert tenants.revision(store) == before + 1
    assert (await node.recheck(gone + 7 * DAY - 1))[0].state == "lapsing"

    (row,) = await node.recheck(gone + 7 * DAY + HOUR)
    assert row.state == "lapsed"
    assert node.lines[0]["log_level"] == "warning"
    assert verifications.proven(store) == set()
    assert tenants.revision(store) == before + 2

    publish(VALUE)
    (row,) = await node.recheck(gone + 9 * DAY)
    assert row.state == "verified"
    assert tenants.revision(store) == before + 3
    assert node.kinds == ["verified", "lapsing", "lapsed", "verified"]


async def test_a_record_that_never_comes_fails_and_may_still_come(node, publish):
    assert (await node.recheck(START + 72 * HOUR))[0].state == "failed"
    publish(VALUE)
    assert (await node.recheck(START + 99 * HOUR))[0].state == "verified"
    assert node.kinds == ["failed", "verified"]


async def test_when_nobody_can_tell_nothing_changes(store, net):
    rows = [replace(ROW, tenant=state, domain="bad.example", state=state) for state in STATES]
    keep(store, *rows)
    node = Node(store, asker(net, 0.8))
    async with bad_names(BAD, net.port):
        first = await node.recheck(START + 99 * DAY)
        again = await node.recheck(START + 101 * DAY)
    assert {row.tenant: (row.state, row.changed) for row in again} == {state: (state, START) for state in STATES}
    assert [event.kind for event in node.events] == ["unknown"] * 5
    assert first[0].problem.startswith("nobody can tell: ns15.servers.example (127.0.0.15): no connection by TCP")
    assert {row.problem for row in first + again} == {first[0].problem}
    assert node.lines == []  # told once, and not at every look


async def test_nobody_can_tell_is_logged_once(store, net):
    keep(store, replace(ROW, domain="bad.example", state="verified"))
    node = Node(store, asker(net, 0.8))
    async with bad_names(BAD, net.port):
        await node.recheck(START)
    assert [(line["event"], line["log_level"]) for line in node.lines] == [("domain unknown", "warning")]


async def test_a_silent_server_beside_one_that_answers_is_no_excuse(store, net):
    keep(store, replace(ROW, domain="half.example", state="verified"))
    node = Node(store, asker(net))
    async with bad_names(BAD, net.port, says(f'"{VALUE}"')):
        (row,) = await node.recheck(START)
    assert (row.state, row.problem) == ("verified", "not all name servers have it: ns13.servers.example (127.0.0.13)")
    async with bad_names(BAD, net.port):
        (row,) = await node.recheck(START + HOUR)
    assert row.state == "lapsing"


async def test_a_server_that_lags_behind_is_told(node, publish):
    publish(VALUE, at=(TWO,))
    (row,) = await node.recheck(START)
    assert row.state == "verified"
    assert "not all name servers have it: ns13" in row.problem


async def test_regions_are_proved_each_by_its_own_value(store, node, publish):
    keep(store, ROW, replace(ROW, region="east", value=EAST))
    publish(EAST)
    rows = {row.region: row for row in await node.recheck(START)}
    assert (rows["east"].state, rows["west"].state) == ("verified", "pending")
    assert "other values stand there (1 of ours)" in rows["west"].problem
    publish(EAST, "another", VALUE)
    assert {row.state for row in await node.recheck(START + 300)} == {"verified"}
    assert [event.row.region for event in node.events] == ["east", "west"]


async def test_rows_are_looked_at_when_it_is_time(store, net, publish):
    keep(store, ROW)
    asked = []

    class Counting:
        async def txt(self, name):
            asked.append(name)
            return await asker(net).txt(name)

    node = Node(store, Counting())
    publish(VALUE)
    for passed in (0, 1, 299, 86_399, 86_400, 86_401):
        await node.recheck(START + passed)
    assert asked == ["_sluice.acme.example"] * 2
    await node.recheck(START - HOUR)  # the clock was set back
    assert len(asked) == 3


async def test_of_several_nodes_one_looks(stores):
    rows = [replace(ROW, tenant=f"t{n}", domain=f"d{n}.example") for n in range(8)]
    keep(stores[0], *rows)
    asked = []

    class Counting:
        async def txt(self, name):
            asked.append(name)
            await asyncio.sleep(0.01)
            return THERE

    nodes = [Node(store, Counting()) for store in stores]
    await asyncio.gather(*(node.verifier.recheck() for node in nodes))
    assert sorted(asked) == [f"_sluice.{row.domain}" for row in rows]
    told = [event.row.domain for node in nodes for event in node.events]
    assert sorted(told) == [row.domain for row in rows]
    assert {row.state for row in verifications.load(stores[0])} == {"verified"}


@contextmanager
def meanwhile(store, hearing, work):
    """A node whose name servers take their time, in which `work` is done."""

    class Slow:
        async def txt(self, _name):
            work()
            return hearing

    yield Node(store, Slow())


GONE = Hearing((Told("ns", Said.NO_NAME),))
THERE = Hearing((Told("ns", Said.FOUND, (VALUE,)),))


async def test_what_an_operator_found_meanwhile_is_not_undone(store):
    keep(store, ROW)
    found = replace(ROW, state="verified", changed=START + 5, checked=START + 5)
    with meanwhile(store, GONE, lambda: verifications.put(store, found)) as node:
        assert await node.recheck(START + 72 * HOUR) == [found]
    assert node.events == []


async def test_one_that_lapses_anew_meanwhile_has_its_whole_time(store):
    keep(store, replace(ROW, state="lapsing"))
    anew = replace(ROW, state="lapsing", changed=START + 8 * DAY)
    with meanwhile(store, GONE, lambda: verifications.put(store, anew)) as node:
        assert await node.recheck(START + 9 * DAY) == [anew]
    assert node.events == []


async def test_a_domain_that_was_removed_meanwhile_does_not_come_back(store):
    keep(store, ROW)
    with meanwhile(store, THERE, lambda: keep(store)) as node:
        assert await node.recheck(START) == []
    assert node.events == []
    assert tenants.revision(store) == 0


async def test_a_domain_that_was_removed_and_came_back_has_a_value_of_its_own(store):
    keep(store, ROW)
    new = replace(ROW, value="sluice-verification=new")

    def anew():
        keep(store)
        keep(store, new)

    with meanwhile(store, THERE, anew) as node:
        assert await node.recheck(START) == [new]


async def test_a_notice_that_fails_stops_nobody(store, net, publish):
    publish(VALUE)
    keep(store, ROW, replace(ROW, domain="half.example", state="verified"))

    def broken(_event):
        raise RuntimeError("no notices today")

    verifier = Verifier(store, asker(net), "_sluice", LIMITS, lambda: START, [broken, announce])
    with structlog.testing.capture_logs() as lines:
        await verifier.recheck()
    assert [row.state for row in verifications.load(store)] == ["verified", "lapsing"]
    assert [line["error"] for line in lines if line["event"] == "event not told"] == ["no notices today"] * 2


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        (
            "_sluice.acme.example.acme.example.",
            "stands at _sluice.acme.example.acme.example: the provider adds the domain",
        ),
        ("acme.example.", "stands at acme.example itself: it belongs to _sluice.acme.example"),
    ],
)
async def test_an_operator_is_told_where_the_record_went_astray(node, publish, name, problem):
    publish(VALUE, name=name)
    try:
        (checked,) = await node.verifier.verify([ROW])
    finally:
        publish(name=name)
    assert checked.row.state == "pending"
    assert problem in checked.row.problem
    assert verifications.load(node.store) == [checked.row]


async def test_an_operator_need_not_wait_until_it_is_time(node, publish):
    await node.recheck(START)
    publish(VALUE)
    (checked,) = await node.verifier.verify(verifications.load(node.store))
    assert checked.row.state == "verified"
    assert checked.hearing.records == (VALUE,)
    assert node.kinds == ["verified"]


async def test_states_are_counted(store, net, publish):
    publish(VALUE)
    keep(store, ROW, replace(ROW, region="east", value=EAST), replace(ROW, domain="half.example", state="lapsed"))
    await Node(store, asker(net)).recheck(START)
    told = {state: metrics.DOMAINS.labels(state)._value.get() for state in ("pending", "verified", "lapsed", "failed")}
    assert told == {"pending": 1, "verified": 1, "lapsed": 1, "failed": 0}


class Names:
    """Servers that know nothing, and what they were asked; some domain makes them break."""

    def __init__(self, breaks=()):
        self.asked, self.breaks = [], breaks

    async def txt(self, name):
        self.asked.append(name.removeprefix("_sluice."))
        await asyncio.sleep(0)
        if self.asked[-1] in self.breaks:
            raise IndexError("nobody thought of this")
        return GONE


def many(tenant, count, **more):
    return [replace(ROW, tenant=tenant, domain=f"d{n}.{tenant}.example", **more) for n in range(count)]


async def test_a_locked_database_leaves_no_looks_behind_and_mail_its_threads(store, tmp_path):
    keep(store, *many("acme", 200))
    other = Store(f"sqlite:///{tmp_path / 'sluice.db'}", busy=0.3)
    lock = sqlite3.connect(tmp_path / "sluice.db", isolation_level=None)
    lock.execute("BEGIN IMMEDIATE")
    before, node = asyncio.all_tasks(), Node(other, Names())
    round_ = asyncio.create_task(node.verifier.recheck())
    await asyncio.sleep(0.1)
    begun = time.monotonic()
    await asyncio.to_thread(lambda: None)
    assert time.monotonic() - begun < 0.2
    with pytest.raises(StoreFailed):
        await round_
    assert asyncio.all_tasks() - before - {round_} == set()
    lock.close()
    other.close()


async def test_a_domain_that_breaks_the_look_stops_no_other(store):
    keep(store, *many("acme", AT_ONCE + 5))
    names = Names(["d0.acme.example"])
    node = Node(store, names)
    rows = await node.recheck(START)
    assert len(names.asked) == AT_ONCE + 5
    assert sum(row.problem != "" for row in rows) == AT_ONCE + 4
    told = [line["domain"] for line in node.lines if line["event"] == "domain cannot be looked at"]
    assert told == ["d0.acme.example"]


async def test_many_domains_of_one_tenant_keep_no_other_waiting(store):
    keep(store, *many("acme", AT_MOST + 10), *many("zeta", 3))
    names = Names()
    await Node(store, names).recheck(START)
    assert len(names.asked) == AT_MOST
    assert {f"d{n}.zeta.example" for n in range(3)} <= set(names.asked[:6])
    later = Names()
    await Node(store, later).recheck(START + 1)
    assert sorted([*names.asked, *later.asked]) == sorted(row.domain for row in verifications.load(store))

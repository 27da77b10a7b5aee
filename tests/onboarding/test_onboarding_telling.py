"""Looking, claiming, sending and giving back, on a real database; ways that do what the test says."""

import asyncio
from dataclasses import replace

import pytest
from sqlalchemy import insert, update

from relay.errors import ConfigurationError, StoreFailed
from relay.observe.metrics import NOTICES
from relay.onboarding.notices import telling
from relay.onboarding.notices.kinds import KINDS, Rules
from relay.onboarding.notices.options import Options
from relay.onboarding.notices.sending import Sent
from relay.onboarding.notices.sightings import Sightings
from relay.onboarding.notices.telling import Teller, build
from relay.onboarding.notices.texts import Templates
from relay.records import notices, tenants, verifications
from relay.records.model import Record, to_row
from relay.records.schema import scans
from relay.records.schema import verifications as table
from relay.records.store import Store
from relay.records.verifications import Row
from relay.tools import SystemClock

DAY = 86_400.0
ACME = {
    "name": "acme",
    "loop_values": ["a loop value"],
    "contacts": ["ann@acme.example"],
    "domain": [{"name": "acme.example", "next_hop": "127.0.0.1"}],
}


class Clock:
    def __init__(self):
        self.now = 1_000 * DAY

    def time(self):
        return self.now

    def monotonic(self):
        return self.now


class Way:
    """Says what it is told to; `result` may be an error, or an event to wait for."""

    def __init__(self, name="mail", result="sent"):
        self.name, self.result, self.attempts, self.reached = name, result, [], asyncio.Event()

    def serves(self, tenant):
        return bool(tenant.contacts)

    async def send(self, attempt):
        self.attempts.append(attempt)
        self.reached.set()
        if isinstance(self.result, Exception):
            raise self.result
        if isinstance(self.result, asyncio.Event):
            await self.result.wait()
            return Sent("sent")
        return Sent(self.result)

    async def close(self):
        self.closed = True

    def told(self):
        return [(one.notice.reason.kind, one.notice.count) for one in self.attempts]


@pytest.fixture
def store(tmp_path):
    made = Store(f"sqlite:///{tmp_path / 'sluice.db'}")
    made.migrate()
    tenants.replace(made, [ACME])
    yield made
    made.close()


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def make(store, clock):
    """A Teller with these ways, and its sightings."""

    def made(*ways, kinds=tuple(KINDS)):
        seen = Sightings(clock)
        rules = Rules(kinds, DAY, 60.0, "_sluice", 7.0)
        return Teller(store, seen, ways, Templates(), rules, "mx1.relay.example", clock), seen

    return made


def unproven(count=1, tenant="acme"):
    record = Record(id="1", at=1.0, node="mx", outcome="refused", tenant=tenant, proof="no loop value")
    return [record] * count


def proved(at, **more):
    return Record(
        **{"id": str(at), "node": "mx", "outcome": "delivered", "tenant": "acme", "proof": "ok", "at": at} | more
    )


async def see(teller, seen, *records):
    for record in records:
        seen.saw(record)
    await teller.remember()


async def test_fifty_are_told_once_and_the_next_notice_tells_how_many_were_held(make, clock):
    way = Way()
    teller, seen = make(way)
    await see(teller, seen, *unproven(1))
    await teller.look()
    for _ in range(7):
        clock.now += 3_600
        await see(teller, seen, *unproven(7))
        await teller.look()
    assert way.told() == [("unproven", 1)]
    clock.now += DAY
    await teller.look()
    await teller.look()
    assert way.told() == [("unproven", 1), ("unproven", 49)]
    assert way.attempts[1].notice.since == 1_000 * DAY


async def test_of_two_nodes_one_tells(make, clock):
    free = asyncio.Event()
    ways = Way(result=free), Way(result=free)
    (one, seen), (other, also) = (make(way) for way in ways)
    await see(one, seen, *unproven(20))
    await see(other, also, *unproven(30))
    looks = asyncio.gather(one.look(), other.look())
    while not (ways[0].attempts or ways[1].attempts):
        await asyncio.sleep(0)
    free.set()
    await looks
    assert ways[0].told() + ways[1].told() == [("unproven", 50)]


async def test_what_nobody_took_comes_again_later_and_later(make, clock):
    way = Way(result="postponed")
    teller, seen = make(way)
    await see(teller, seen, *unproven(3))
    tries = []
    for minute in range(300):
        before = len(way.attempts)
        await teller.look()
        tries += [minute] if len(way.attempts) > before else []
        clock.now += 60
    assert tries == [0, 1, 3, 7, 15, 31, 63, 123, 183, 243]
    assert {one.notice.id for one in way.attempts} == {way.attempts[0].notice.id}
    await see(teller, seen, *unproven(2))
    way.result = "sent"
    clock.now += 3_600
    await teller.look()
    assert way.told()[-1] == ("unproven", 5)


async def test_what_was_refused_for_good_does_not_come_again(make, clock):
    way = Way(result="dropped")
    teller, seen = make(way)
    await see(teller, seen, *unproven(3))
    await teller.look()
    await teller.look()
    assert way.told() == [("unproven", 3)]


async def test_one_way_does_not_wait_for_another(make):
    mail, hook = Way("mail", "postponed"), Way("webhook")
    teller, seen = make(mail, hook)
    await see(teller, seen, *unproven(3))
    await teller.look()
    await teller.look()
    assert (mail.told(), hook.told()) == ([("unproven", 3)], [("unproven", 3)])


async def test_a_way_that_breaks_is_told_and_does_no_more_harm(make, store):
    broken, hook = Way("mail", ValueError("no")), Way("webhook")
    teller, seen = make(broken, hook)
    dropped = NOTICES.labels("unproven", "dropped")._value.get()
    await see(teller, seen, *unproven())
    await teller.look()
    assert hook.told() == [("unproven", 1)]
    assert NOTICES.labels("unproven", "dropped")._value.get() == dropped + 1


@pytest.mark.parametrize("begun", [False, True])
async def test_a_node_that_stops_gives_back_what_nobody_can_have(make, store, begun):
    way = Way(result=asyncio.Event())
    teller, seen = make(way)
    await see(teller, seen, *unproven(3))
    look = asyncio.create_task(teller.look())
    await way.reached.wait()
    way.attempts[0].begun = begun
    look.cancel()
    with pytest.raises(asyncio.CancelledError):
        await look
    (row,) = notices.load(store)
    assert (row.sent == 0.0, row.held) == ((False, 0) if begun else (True, 3))


async def test_it_works_is_told_once(make, store, clock):
    way = Way()
    for _ in range(3):  # the process starts again
        teller, seen = make(way)
        await see(teller, seen, proved(clock.now), proved(clock.now))
        await teller.look()
        clock.now += 99 * DAY
    assert way.told() == [("working", 1)]


@pytest.mark.parametrize(
    ("earlier", "told"),
    [({}, False), ({"at": 1_000 * DAY - 60}, True), ({"proof": "no loop value"}, True), ({"tenant": "other"}, True)],
)
async def test_who_has_had_mail_for_long_is_not_told_that_it_works(make, store, clock, earlier, told):
    way = Way()
    teller, seen = make(way)
    with store.writing() as connection:
        connection.execute(insert(scans).values(to_row(proved(**{"at": clock.now - 2 * DAY} | earlier))))
    await see(teller, seen, proved(clock.now))
    await teller.look()
    assert bool(way.attempts) is told


@pytest.mark.parametrize(("contacts", "kinds"), [([], tuple(KINDS)), (["ann@acme.example"], ("loop",))])
async def test_what_nobody_is_told_is_not_counted_either(make, store, contacts, kinds):
    tenants.replace(store, [ACME | {"contacts": contacts}])
    way = Way()
    teller, seen = make(way, kinds=kinds)
    await see(teller, seen, *unproven(3), proved(5.0))
    await teller.look()
    assert (notices.load(store), way.attempts) == ([], [])


async def test_tenants_are_read_again_when_they_have_changed(make, store):
    tenants.replace(store, [])
    way = Way()
    teller, seen = make(way)
    await see(teller, seen, *unproven(3))
    tenants.replace(store, [ACME])
    await see(teller, seen, *unproven(2))
    await teller.look()
    assert way.told() == [("unproven", 2)]


def proof_is(store, state, now):
    with store.writing() as connection:
        connection.execute(update(table).values(state=state, changed=now))


async def test_a_domain_on_its_way(make, store, clock):
    """Verified, gone, again there, gone for good."""
    way = Way()
    teller, _ = make(way)
    row = Row("acme", "acme.example", "primary", "sluice-verification=x", added=clock.now)
    with store.writing() as connection:
        verifications.keep(store, connection, [row])
    for days, state in (
        (0, "pending"),
        (1, "verified"),
        (9, "verified"),
        (1, "lapsing"),
        (1.5, "verified"),
        (5, "lapsing"),
    ):
        clock.now += days * DAY
        proof_is(store, state, clock.now)
        await teller.look()
        await teller.look()
    for _ in range(14):
        clock.now += DAY / 2
        await teller.look()
    proof_is(store, "lapsed", clock.now)
    await teller.look()
    told = [one.notice.reason.kind for one in way.attempts]
    assert told == ["verified", "verified", "lapsing", "verified", *["lapsing"] * 8, "lapsed"]
    assert {frozenset(one.own) for one in way.attempts} == {frozenset({"acme.example"})}


async def test_nothing_is_forgotten_while_the_database_fails(make, store, monkeypatch):
    way = Way()
    teller, seen = make(way)
    for record in [*unproven(3), proved(5.0)]:
        seen.saw(record)
    with monkeypatch.context() as patched:
        patched.setattr(notices, "count", lambda *_: (_ for _ in ()).throw(StoreFailed(None, "records")))
        with pytest.raises(StoreFailed):
            await teller.remember()
    await teller.remember()
    await teller.look()
    assert sorted(way.told()) == [("unproven", 3), ("working", 1)]


async def test_a_database_that_fails_is_not_asked_for_every_notice(make, store, monkeypatch):
    asked = []

    def claim(*arguments):
        asked.append(arguments)
        raise StoreFailed(None, "records")

    names = [f"t{number}" for number in range(50)]
    tenants.replace(store, [ACME | {"name": name, "domain": []} for name in names])
    way = Way()
    teller, seen = make(way)
    await see(teller, seen, *(one for name in names for one in unproven(1, name)))
    with monkeypatch.context() as patched:
        patched.setattr(notices, "claim", claim)
        with pytest.raises(StoreFailed):
            await teller.look()
    assert len(asked) <= 2 * telling.AT_ONCE
    await teller.look()
    assert len(way.attempts) == 50


async def test_one_look_sends_only_so_many(make, store, monkeypatch):
    monkeypatch.setattr(telling, "MOST", 3)
    tenants.replace(store, [ACME | {"name": f"t{number}", "domain": []} for number in range(5)])
    way = Way()
    teller, seen = make(way)
    await see(teller, seen, *(one for number in range(5) for one in unproven(1, f"t{number}")))
    await teller.look()
    assert len(way.attempts) == 3
    await teller.look()
    assert len(way.attempts) == 5


async def test_connections_are_closed_when_nothing_is_sent_any_more(make):
    way = Way(result=asyncio.Event())
    teller, seen = make(way)
    await see(teller, seen, *unproven())
    look = asyncio.create_task(teller.look())
    await way.reached.wait()
    close = asyncio.create_task(teller.close())
    await asyncio.sleep(0)
    assert not hasattr(way, "closed")
    way.result.set()
    await look
    await close
    assert way.closed


# What the operator chose.

OPTIONS = Options(None, None, None, None, list(KINDS), 24.0, 60.0, None, "_sluice", 7.0)


def built(**chosen):
    return build(replace(OPTIONS, **chosen), None, None, "mx1", SystemClock(), lambda: None)


def test_nothing_is_told_by_default():
    assert built() is None


async def test_what_is_chosen_makes_the_ways(tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("  sixteen letters.\n")
    teller = built(sender="a@b.example", server="mx.example:2525", webhook="http://127.0.0.1:1/", secret=secret)
    mail, hook = teller._ways
    assert (str(mail._sender), str(mail._server), hook._secret) == (
        "a@b.example",
        "mx.example:2525",
        b"sixteen letters.",
    )
    assert str(built(sender="Slüice <a@b.example>")._ways[0]._sender) == "Slüice <a@b.example>"


@pytest.mark.parametrize(
    ("chosen", "wrong"),
    [
        ({"webhook": "https://a.example/"}, "notices.webhook: needs secret, a file"),
        ({"secret": "short"}, "notices.secret: .*short has less than 16 characters"),
        ({"secret": "none"}, "notices.secret: .*none cannot be read: No such file or directory"),
        ({"server": "smtp.office365.com"}, "notices.server: smtp.office365.com cannot be a next hop"),
        ({"templates": "none"}, "notices.templates: .*none cannot be read"),
        ({"templates": "."}, "notices.templates: short: no notice has this name"),
    ],
)
def test_what_is_wrong_is_told(tmp_path, chosen, wrong):
    (tmp_path / "short").write_text("fifteen letters")
    files = {name: tmp_path / value for name, value in chosen.items() if name in ("secret", "templates")}
    with pytest.raises(ConfigurationError, match=wrong):
        built(**chosen | files)

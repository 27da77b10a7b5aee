"""When an old loop value may go: the new one is in use, and nobody has used the old one for days."""

import pytest
from sqlalchemy import insert

from relay.errors import Unusable
from relay.onboarding import rotation, tenancy
from relay.onboarding.rotation import Rotation, why_not
from relay.records import rotations, tenants
from relay.records.model import Record, to_row
from relay.records.schema import scans
from relay.records.store import Store
from relay.tenants.model import Tenant

DAY = 86_400.0
START = 100 * DAY


@pytest.mark.parametrize(
    ("old", "new", "days", "reason"),
    [
        (None, None, 9, "no message with the new value has come yet"),
        (None, 1, 2.9, "less than 3 days ago"),
        (None, 1, 3, None),
        (2, 1, 4.9, "less than 3 days ago"),
        (2, 1, 5, None),
        (2, None, 50, "no message with the new value has come yet"),
    ],
)
def test_the_old_value_goes_when_nobody_uses_it(old, new, days, reason):
    seen = [None if day is None else START + day * DAY for day in (old, new)]
    told = why_not(Rotation(START, *seen), 3, START + days * DAY)
    assert (told is None) if reason is None else (reason in told)


def test_without_a_rotation_nothing_ends():
    assert why_not(None, 3, START) == "no rotation goes on"


@pytest.fixture
def store(tmp_path):
    made = Store(f"sqlite:///{tmp_path / 'sluice.db'}")
    made.migrate()
    yield made
    made.close()


@pytest.fixture
def acme(store):
    """A tenant in the midst of a rotation."""
    documents = tenancy.with_new_value(tenancy.added([], {}, "acme", {}), {}, "acme")
    tenants.replace(store, documents)
    with store.writing() as connection:
        rotations.begin(connection, "acme", START)
    return Tenant.model_validate(documents[0])


def message(store, at, proof, tenant="acme"):
    record = Record(id=f"{tenant}{at}{proof}", at=at, node="mx", outcome="delivered", tenant=tenant, proof=proof)
    with store.writing() as connection:
        connection.execute(insert(scans).values(to_row(record)))


def values(store):
    return tenants.load(store)[1][0]["loop_values"]


def test_what_was_seen_is_the_tenants_own_and_since_the_beginning(store, acme):
    assert rotation.look(store, acme) == Rotation(START, None, None)
    message(store, START - 1, "ok")
    message(store, START + 3, "ok", tenant="other")
    message(store, START + 2, "wrong loop value")
    assert rotation.look(store, acme) == Rotation(START, None, None)
    for at in (5, 9, 7):
        message(store, START + at, "ok, old value")
    message(store, START + 6, "ok")
    assert rotation.look(store, acme) == Rotation(START, START + 9, START + 6)


def test_the_service_ends_what_is_unused(store, acme):
    message(store, START + DAY, "ok, old value")
    message(store, START + DAY, "ok")
    rotation.end_unused(store, 3, START + 3.9 * DAY)
    assert len(values(store)) == 2
    before = tenants.revision(store)
    rotation.end_unused(store, 3, START + 4 * DAY)
    assert values(store) == list(acme.loop_values[:1])
    assert tenants.revision(store) == before + 1
    assert rotations.started(store) == {}
    rotation.end_unused(store, 3, START + 9 * DAY)
    assert tenants.revision(store) == before + 1


def test_an_old_value_that_a_file_brought_is_not_ended_by_what_was_seen(store, acme):
    with store.writing() as connection:
        rotations.end(connection, "acme")
    with pytest.raises(Unusable, match="its old value is a tenant file's"):
        rotation.end(store, acme, 3, START + 9 * DAY)
    rotation.end_unused(store, 3, START + 9 * DAY)
    assert values(store) == list(acme.loop_values)
    rotation.end(store, acme, 0, START)
    assert values(store) == list(acme.loop_values[:1])


def test_an_operator_may_insist(store, acme):
    with pytest.raises(Unusable, match="acme: no message with the new value has come yet"):
        rotation.end(store, acme, 3, START + 9 * DAY)
    rotation.end(store, acme, 0, START)
    assert values(store) == list(acme.loop_values[:1])


def test_a_rotation_that_was_begun_anew_meanwhile_goes_on(store, acme, monkeypatch):
    """Of the values that were looked at, the second is unused; of those that are there now, it is in use."""
    again = [{**tenants.load(store)[1][0], "loop_values": ["newest-of-all", acme.loop_values[0]]}]
    real = tenants.edit

    def faster(*given):
        with store.writing() as connection:
            tenants._put(connection, again)
        return real(*given)

    message(store, START + DAY, "ok")
    monkeypatch.setattr(tenants, "edit", faster)
    rotation.end_unused(store, 3, START + 10 * DAY)
    assert tenants.load(store)[1] == again


def test_a_rotation_is_forgotten_with_its_values(store, acme):
    """Values that a file brings later are others: in use may be the second, whatever was seen since the rotation."""

    def apply(*values):
        tenants.edit(store, lambda documents: [{**documents[0], "loop_values": list(values)}])

    apply(acme.loop_values[1])
    apply("of-another-rotation", acme.loop_values[1])
    message(store, START + 8 * DAY, "ok")
    rotation.end_unused(store, 3, START + 10 * DAY)
    assert tenants.load(store)[1][0]["loop_values"] == ["of-another-rotation", acme.loop_values[1]]


def test_a_rotation_goes_on_when_other_values_are_set(store, acme):
    tenants.edit(store, lambda documents: [{**documents[0], "notices": False}])
    assert rotation.look(store, acme) == Rotation(START, None, None)

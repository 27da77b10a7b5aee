"""Rows of the domains' proofs: who claims them, when the tenants' revision grows, which are kept."""

from dataclasses import replace

import pytest

from relay.records import rotations, tenants, verifications
from relay.records.verifications import Row

ROW = Row("acme", "acme.example", "west", "sluice-verification=x", added=1.0, changed=1.0)
EAST = replace(ROW, region="east")


def keep(store, *rows):
    with store.writing() as connection:
        verifications.keep(store, connection, rows)


def states(store):
    return {(row.domain, row.region): row.state for row in verifications.load(store)}


def test_rows_that_are_there_stay_as_they_are(store):
    keep(store, ROW)
    verifications.put(store, replace(ROW, state="verified", seen=5.0, problem="none"))
    keep(store, replace(ROW, value="sluice-verification=other"), EAST)
    assert verifications.load(store, "acme") == [EAST, replace(ROW, state="verified", seen=5.0, problem="none")]
    assert verifications.load(store, "other") == []


@pytest.mark.parametrize(
    ("before", "after", "grows"),
    [
        ("pending", "verified", True), ("verified", "lapsing", False), ("lapsing", "lapsed", True),
        ("lapsing", "verified", False), ("lapsed", "verified", True), ("pending", "failed", False),
    ],
)  # fmt: skip
def test_nodes_look_again_when_protection_changes(store, before, after, grows):
    keep(store, replace(ROW, state=before))
    revision = tenants.revision(store)
    verifications.put(store, replace(ROW, state=after))
    assert tenants.revision(store) == revision + grows
    assert verifications.proven(store) == ({("acme", "acme.example")} if after in ("verified", "lapsing") else set())


def test_what_was_removed_meanwhile_does_not_come_back(store):
    verifications.put(store, replace(ROW, state="verified"))
    assert verifications.load(store) == []
    assert tenants.revision(store) == 0


def test_one_of_many_claims_a_look(store):
    keep(store, ROW)
    assert verifications.claim(store, ROW, 9.0)
    assert not verifications.claim(store, ROW, 10.0)
    assert verifications.load(store)[0].checked == 9.0


def test_a_domain_that_went_takes_its_rows_along(store):
    keep(store, ROW, replace(ROW, domain="other.example"))
    keep(store, replace(ROW, domain="other.example"))
    assert states(store) == {("other.example", "west"): "pending"}


def test_the_old_regions_proof_counts_until_the_new_one_is_there(store):
    keep(store, replace(ROW, state="verified"))
    keep(store, EAST)
    assert states(store) == {("acme.example", "west"): "verified", ("acme.example", "east"): "pending"}
    verifications.put(store, replace(EAST, state="verified"))
    keep(store, EAST)
    assert states(store) == {("acme.example", "east"): "verified"}


def test_what_belongs_to_a_tenant_goes_with_it(store):
    tenants.replace(store, [{"name": "acme"}, {"name": "other"}])
    with store.writing() as connection:
        for name in ("acme", "other"):
            rotations.begin(connection, name, 5.0)
        rotations.begin(connection, "acme", 6.0)
    assert rotations.started(store) == {"acme": 6.0, "other": 5.0}
    tenants.replace(store, [{"name": "other"}])
    assert rotations.started(store) == {"other": 5.0}

"""What tenants were told: counted, claimed by one alone, given back."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import insert, text

from relay.errors import StoreFailed
from relay.records import notices, queries, tenants
from relay.records.model import Record, to_row
from relay.records.notices import Row
from relay.records.schema import scans

KEY = ("acme", "mail unproven", "")
OTHER = ("acme", "webhook unproven", "")


def test_what_is_counted_adds_up(store) -> None:
    notices.count(store, {KEY: 2})
    notices.count(store, {KEY: 3, OTHER: 1})
    assert notices.load(store) == [Row(*KEY, 0.0, 5), Row(*OTHER, 0.0, 1)]
    assert notices.load(store, "other") == []


def test_first_rows_are_made_once(store) -> None:
    first = Row("acme", "mail working", "", 7.0, 0)
    notices.count(store, {}, [first])
    notices.count(store, {}, [first._replace(sent=0.0, held=1)])
    assert notices.load(store, "acme") == [first]


def test_a_claim_takes_what_is_held_and_is_one_alone(store) -> None:
    notices.count(store, {KEY: 5})
    assert notices.claim(store, KEY, 0.0, 100.25) == 5
    assert notices.claim(store, KEY, 0.0, 101.0) is None
    assert notices.load(store) == [Row(*KEY, 100.25, 0)]
    notices.count(store, {KEY: 2})
    assert notices.claim(store, KEY, 100.25, 200.0) == 2


def test_a_claim_needs_no_row(store) -> None:
    assert notices.claim(store, KEY, 0.0, 100.0) == 0
    assert notices.claim(store, KEY, 0.0, 101.0) is None


def test_what_is_given_back_is_as_before_and_what_came_meanwhile_stays(store) -> None:
    notices.count(store, {KEY: 5})
    notices.claim(store, KEY, 0.0, 100.0)
    notices.count(store, {KEY: 1})
    notices.give_back(store, KEY, 99.0, 0.0, 5)
    assert notices.load(store) == [Row(*KEY, 100.0, 1)]
    notices.give_back(store, KEY, 100.0, 0.0, 5)
    assert notices.load(store) == [Row(*KEY, 0.0, 6)]


def test_of_many_who_claim_at_once_one_gets_it(store) -> None:
    notices.count(store, {KEY: 5})
    with ThreadPoolExecutor(4) as threads:
        claims = list(threads.map(lambda n: claim_patiently(store, float(n + 1)), range(8)))
    assert [held for held in claims if held is not None] == [5]


def claim_patiently(store, now: float) -> int | None:
    """The lock is busy for others at times; the fixture's store does not wait for it."""
    while True:
        try:
            return notices.claim(store, KEY, 0.0, now)
        except StoreFailed:
            continue


def test_a_removed_tenants_rows_go(store) -> None:
    tenants.replace(store, [{"name": "acme"}])
    notices.count(store, {KEY: 5, ("other", "mail loop", ""): 1})
    tenants.replace(store, [{"name": "acme"}])
    assert [row.key for row in notices.load(store)] == [KEY]


@pytest.mark.parametrize(
    ("proof", "outcome", "at", "tenant", "answer"),
    [
        ("ok", "delivered", 9.0, "acme", True),
        ("ok, old value", "marked", 9.0, "acme", True),
        ("ok", "delivered", 10.0, "acme", False),
        ("ok", "delivered", 9.0, "other", False),
        ("ok", "quarantined", 9.0, "acme", False),
        ("no loop value", "delivered", 9.0, "acme", False),
        ("", "delivered", 9.0, "acme", False),
    ],
)
def test_whether_mail_came_with_proof_before(store, proof, outcome, at, tenant, answer) -> None:
    record = Record(id="1", at=at, node="mx", outcome=outcome, tenant=tenant, proof=proof)
    with store.writing() as connection:
        connection.execute(insert(scans).values(to_row(record)))
    assert queries.came_with_proof(store, "acme", 10.0) is answer


def test_only_so_many_messages_are_looked_at(store, monkeypatch) -> None:
    monkeypatch.setattr(queries, "LOOKED_AT", 2)
    rows = [to_row(Record(id=str(at), at=at, node="mx", outcome="delivered", tenant="acme")) for at in (2.0, 3.0)]
    good = to_row(Record(id="1", at=1.0, node="mx", outcome="delivered", tenant="acme", proof="ok"))
    with store.writing() as connection:
        connection.execute(insert(scans), [good, *rows])
    assert not queries.came_with_proof(store, "acme", 10.0)
    assert queries.came_with_proof(store, "acme", 3.0)
    with store.reading() as connection:
        where = "WHERE tenant = 'acme' AND at < 5 ORDER BY at DESC LIMIT 2"
        plan = connection.execute(text(f"EXPLAIN QUERY PLAN SELECT proof FROM scans {where}"))
        assert "scans_tenant_at" in " ".join(row.detail for row in plan)

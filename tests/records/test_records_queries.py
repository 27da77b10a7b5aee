import pytest
from sqlalchemy import text

from relay.records import queries
from relay.records.model import Record, to_values
from relay.records.schema import scans
from relay.records.store import Store


def keep(store: Store, *records: Record) -> None:
    with store.writing() as connection:
        store.insert_once(connection, scans, [to_values(record) for record in records])


def record(number: int, **facts: str) -> Record:
    return Record(**({"id": f"{number:04}", "at": float(number), "node": "n", "outcome": "delivered"} | facts))


def test_the_newest_come_first(store) -> None:
    keep(store, *(record(number) for number in (3, 1, 2)), record(9, at=3.0))
    assert [found.id for found in queries.scans(store, 10)] == ["0009", "0003", "0002", "0001"]
    assert [found.id for found in queries.scans(store, 2)] == ["0009", "0003"]


@pytest.mark.parametrize(("limit", "found"), [(-1, 0), (0, 0), (5, 5), (10**30, 7)])
def test_the_limit_is_bounded(store, monkeypatch, limit, found) -> None:
    monkeypatch.setattr(queries, "MOST", 7)
    keep(store, *(record(number) for number in range(9)))
    assert len(queries.scans(store, limit)) == found


def test_of_one_tenant_or_outcome(store) -> None:
    keep(store, record(1, tenant="a"), record(2, tenant="b"), record(3, tenant="a", outcome="marked"))
    assert [found.id for found in queries.scans(store, 9, tenant="a")] == ["0003", "0001"]
    assert [found.id for found in queries.scans(store, 9, outcome="marked")] == ["0003"]
    assert [found.id for found in queries.scans(store, 9, "a", "delivered")] == ["0001"]
    assert queries.scans(store, 9, tenant="' OR 1=1 --") == []


def test_one_record(store) -> None:
    whole = record(5, tenant="a", recipients=["x@y"], verdicts=[{"engine": "e"}], seconds={"read": 0.5}, would=None)
    keep(store, whole)
    found = queries.scan(store, "0005")
    assert found == whole
    assert found.quarantine_id is None
    assert queries.scan(store, "nothing") is None


def test_expiry_goes_by_chunks(store, monkeypatch) -> None:
    monkeypatch.setattr(queries, "CHUNK", 3)
    keep(store, *(record(number) for number in range(20)))
    assert queries.expire(store, 9.0) == 9
    assert queries.expire(store, 9.0) == 0
    assert [found.id for found in queries.scans(store, 100)][-1] == "0009"


@pytest.mark.parametrize(
    ("where", "index"), [("", "scans_at"), ("WHERE tenant = 'a'", "scans_tenant_at"), ("WHERE at < 5", "scans_at")]
)
def test_questions_use_an_index(store, where, index) -> None:
    with store.reading() as connection:
        plan = connection.execute(text(f"EXPLAIN QUERY PLAN SELECT id FROM scans {where} ORDER BY at DESC LIMIT 5"))
        assert index in " ".join(row.detail for row in plan)

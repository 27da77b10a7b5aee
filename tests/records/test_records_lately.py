import pytest
from sqlalchemy import text

from relay.errors import StoreFailed
from relay.records import lately, probe
from relay.records.model import Record, to_values
from relay.records.schema import TROUBLE, scans
from relay.records.store import Store


def keep(store: Store, *facts: dict) -> None:
    records = [
        Record(**({"id": f"{number:05}", "at": float(number), "node": "n", "outcome": "delivered"} | one))
        for number, one in enumerate(facts)
    ]
    with store.writing() as connection:
        store.insert_once(connection, scans, [to_values(record) for record in records])


def test_the_last_message_of_one_and_of_all(store):
    keep(store, {"tenant": "a"}, {"tenant": "a"}, {"tenant": "b"})
    assert (lately.last(store, "a"), lately.last(store, "b"), lately.last(store, "c")) == (1.0, 2.0, None)
    assert lately.last(store) == 2.0


def test_messages_are_counted_up_to_a_limit(store, monkeypatch):
    keep(store, *[{"tenant": "a"}] * 9, {"tenant": "b"})
    assert (lately.count(store, "a", 0.0), lately.count(store, "a", 3.0), lately.count(store, "a", 99.0)) == (9, 6, 0)
    monkeypatch.setattr(lately, "COUNTED", 4)
    assert lately.count(store, "a", 0.0) == 4


def test_the_newest_and_the_troubles_come_newest_first_up_to_a_limit(store, monkeypatch):
    outcomes = [
        "refused",
        "delivered",
        "deferred",
        "marked",
        "rejected_by_next_hop",
        "quarantined",
        "sunk",
        "abandoned",
    ]
    keep(store, *({"tenant": "a", "outcome": outcome} for outcome in outcomes), {"tenant": "b", "outcome": "refused"})
    assert [fact.outcome for fact in lately.newest(store, "a", 0.0)] == outcomes[::-1]
    assert [fact.outcome for fact in lately.troubles(store, "a", 0.0)] == [
        "rejected_by_next_hop",
        "deferred",
        "refused",
    ]
    assert [fact.at for fact in lately.troubles(store, "a", 2.0)] == [4.0, 2.0]
    monkeypatch.setattr(lately, "MOST", 2)
    assert [fact.at for fact in lately.troubles(store, "a", 0.0)] == [4.0, 2.0]
    assert [fact.at for fact in lately.newest(store, "a", 0.0)] == [7.0, 6.0]


def test_a_fact_is_what_the_record_says(store):
    keep(store, {"tenant": "a", "outcome": "refused", "proof": "ok", "reason": "loop", "reply": "554 5.4.6 no"})
    assert lately.newest(store, "a", 0.0) == [lately.Fact(0.0, "refused", "ok", "loop", "554 5.4.6 no")]


@pytest.mark.parametrize(
    ("query", "index"),
    [
        ("SELECT at FROM scans WHERE tenant = ? ORDER BY at DESC LIMIT 1", "COVERING INDEX scans_tenant_at"),
        ("SELECT at FROM scans WHERE tenant = ? AND at >= 5 LIMIT 9", "COVERING INDEX scans_tenant_at"),
        ("SELECT reply FROM scans WHERE tenant = ? AND at >= 5 ORDER BY at DESC LIMIT 9", "scans_tenant_at"),
        (
            f"SELECT reply FROM scans WHERE tenant = ? AND at >= 5 AND {TROUBLE} ORDER BY at DESC LIMIT 9",
            "scans_trouble (tenant=? AND at>?)",
        ),
    ],
)
def test_each_question_has_its_index(store, query, index):
    with store.reading() as connection:
        plan = connection.execute(text(f"EXPLAIN QUERY PLAN {query.replace('?', chr(39) + 'a' + chr(39))}"))
        told = " ".join(row.detail for row in plan)
    assert index in told
    assert "TEMP B-TREE" not in told


def test_the_schema_that_is_there_and_the_one_that_should_be(store, tmp_path):
    there, wanted = probe.schema(store)
    assert there == wanted == Store.newest()
    (tmp_path / "empty.db").touch()
    empty = Store(f"sqlite:///{tmp_path / 'empty.db'}")
    assert probe.schema(empty) == (None, wanted)
    empty.close()


def test_a_rehearsal_leaves_nothing(store):
    keep(store, {"tenant": "a"})
    probe.rehearse(store)
    assert lately.last(store) == 0.0
    with store.reading() as connection:
        assert connection.execute(text("SELECT count(*) FROM scans")).scalar_one() == 1


def test_a_rehearsal_that_cannot_write_says_so(store, url):
    other = Store(url, busy=0.05)
    with store.writing(), pytest.raises(StoreFailed):
        probe.rehearse(other)
    other.close()


def test_a_database_in_this_process_has_no_clock_of_its_own(store):
    assert probe.clock(store) is None

import asyncio
import threading

import pytest
from sqlalchemy import text

from relay.records import history as asking
from relay.records import queries
from relay.records.history import History
from relay.records.model import Record, to_values
from relay.records.schema import scans
from relay.records.store import Store
from verdicts.kit import PretendClock


def keep(store, *facts):
    records = [
        Record(id=str(number), at=1.0, node="n", **{"outcome": "delivered"} | one) for number, one in enumerate(facts)
    ]
    with store.writing() as connection:
        store.insert_once(connection, scans, [to_values(record) for record in records])


@pytest.fixture
def clock():
    return PretendClock()


@pytest.fixture
def history(store, clock):
    made = History(store, clock)
    yield made
    made.close()


async def test_it_counts_what_was_delivered(store, history):
    ann = {"tenant": "acme", "sender": "ann@sender.example"}
    others = [{"outcome": name} for name in ("marked", "quarantined", "deferred", "rejected_by_next_hop")]
    more = [{"tenant": "other"}, {"sender": "bob@sender.example"}, *others]
    keep(store, ann, ann, *(ann | one for one in more))
    assert await history.messages("acme", "ann@sender.example") == 2
    assert await history.messages("acme", "nobody@sender.example") == 0


async def test_an_answer_is_given_again_for_a_minute(store, history, clock):
    ann = {"tenant": "acme", "sender": "ann@sender.example"}
    assert await history.messages("acme", "ann@sender.example") == 0
    keep(store, ann)
    clock.now += 59
    assert await history.messages("acme", "ann@sender.example") == 0
    clock.now += 1
    assert await history.messages("acme", "ann@sender.example") == 1


async def test_answers_that_are_kept_are_bounded(store, clock, monkeypatch):
    monkeypatch.setattr(asking, "REMEMBERED", 3)
    history = History(store, clock)
    for number in range(10):
        await history.messages("acme", f"{number}@sender.example")
    assert [sender for _, sender in history._known._entries] == [f"{number}@sender.example" for number in (7, 8, 9)]
    history.close()


async def test_the_count_is_bounded(store, history, monkeypatch):
    monkeypatch.setattr(queries, "COUNTED", 3)
    keep(store, *[{"tenant": "a", "sender": "b"}] * 5)
    assert await history.messages("a", "b") == 3


async def test_a_database_that_fails_is_an_oserror(tmp_path, clock):
    store = Store(f"sqlite:///{tmp_path / 'nothing.db'}")
    history = History(store, clock)
    with pytest.raises(OSError, match="the records cannot be read"):
        await history.messages("acme", "ann@sender.example")
    history.close()
    store.close()


async def test_a_database_that_hangs_holds_neither_the_loop_nor_more_questions_than_may_wait(history, monkeypatch):
    free = threading.Event()
    monkeypatch.setattr(asking, "WAITING", 3)
    monkeypatch.setattr(queries, "delivered", lambda *_: free.wait(20) and 7)
    asked = [asyncio.create_task(history.messages("acme", str(number))) for number in range(5)]
    await asyncio.sleep(0)
    with pytest.raises(OSError, match="faster than they answer"):
        await history.messages("acme", "one too many")
    asked[4].cancel()  # who gives up makes room
    await asyncio.wait([asked[4]])
    asked[4] = asyncio.create_task(history.messages("acme", "in its place"))
    await asyncio.sleep(0)
    free.set()
    assert await asyncio.gather(*asked) == [7] * 5


def test_the_question_uses_its_index(store):
    query = "SELECT id FROM scans WHERE tenant = 'a' AND sender = 'b' AND outcome = 'delivered' LIMIT 5"
    with store.reading() as connection:
        plan = connection.execute(text(f"EXPLAIN QUERY PLAN {query}"))
        assert "scans_tenant_sender" in " ".join(row.detail for row in plan)

import resource
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from prometheus_client import REGISTRY
from sqlalchemy import event

from relay.errors import StoreFailed
from relay.records import queries
from relay.records import writer as writing
from relay.records.model import Record
from relay.records.store import Store
from relay.records.writer import Writer
from relay.replies import Reply


def record(number: int = 1, **facts: object) -> Record:
    return Record(**({"id": f"{number:06}", "at": float(number), "node": "n", "outcome": "delivered"} | facts))


def logged() -> float:
    return REGISTRY.get_sample_value("sluice_records_logged_total") or 0.0


@pytest.fixture
def writer(store) -> Iterator[Callable[..., Writer]]:
    made: list[Writer] = []

    def make(backlog: int = 1000, patience: float = 30.0) -> Writer:
        made.append(Writer(store, backlog, patience=patience))
        return made[-1]

    yield make
    for one in made:
        one.close(20)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("BEGIN EXCLUSIVE")
    try:
        yield
    finally:
        connection.close()


def test_what_is_put_is_written(store, writer, told) -> None:
    before, one = logged(), writer()
    written = [record(number, sender=f"{number}@x") for number in range(50)]
    for each in written:
        one.put(each)
    one.close(20)
    assert queries.scans(store, 100) == written[::-1]
    assert (one.failing, told.lines, logged()) == (None, [], before)
    assert REGISTRY.get_sample_value("sluice_records_backlog") == 0


def test_neighbours_are_committed_together(store, writer, monkeypatch) -> None:
    monkeypatch.setattr(writing, "GROUP", 100)
    commits: list[object] = []
    event.listen(store._engine, "commit", commits.append)
    hold = threading.Event()
    monkeypatch.setattr(store, "insert_once", held(store.insert_once, hold))
    one = writer()
    for number in range(1000):
        one.put(record(number))
    hold.set()
    one.close(20)
    assert len(queries.scans(store, 2000)) == 1000
    assert len(commits) <= 13  # ten full groups, at most one small one before and after, and the question above


def held(real: Callable, hold: threading.Event) -> Callable:
    def insert(*args: object) -> None:
        hold.wait()
        real(*args)

    return insert


def test_records_come_one_after_the_other_too(store, writer, monkeypatch) -> None:
    commits, real = threading.Semaphore(0), store.writing

    @contextmanager
    def told_when_done() -> Iterator[object]:
        with real() as connection:
            yield connection
        commits.release()

    monkeypatch.setattr(store, "writing", told_when_done)
    one = writer()
    for number in range(3):
        one.put(record(number))
        assert commits.acquire(timeout=20)
        assert queries.scan(store, f"{number:06}") is not None


def test_a_record_that_repeats_is_no_failure(store, writer, told) -> None:
    one = writer()
    one.put(record(1, sender="first"))
    one.put(record(1, sender="second"))
    one.put(record(2))
    one.close(20)
    again = writer()
    again.put(record(2))
    again.put(record(3))
    again.close(20)
    assert [found.id for found in queries.scans(store, 9)] == ["000003", "000002", "000001"]
    assert queries.scan(store, "000001").sender == "first"
    assert told.lines == []


@pytest.mark.usefixtures("hurry")
def test_a_short_lock_loses_nothing(store, writer, tmp_path, told) -> None:
    one = writer()
    with locked(tmp_path / "sluice.db"):
        for number in range(20):
            one.put(record(number))
        told.wait("database fails")
        assert "locked" in one.failing
    told.wait("database works again")
    assert one.failing is None
    one.close(20)
    assert len(queries.scans(store, 100)) == 20
    assert told.of("record") == []


@pytest.mark.usefixtures("hurry")
def test_a_long_lock_sends_records_to_the_log_whole(store, writer, tmp_path, told) -> None:
    before, one = logged(), writer(patience=0.1)
    whole = record(
        1,
        tenant="acme",
        recipients=["b@acme.example"],
        verdicts=[{"engine": "e", "findings": [{"name": "GTUBE"}]}],
        seconds={"read": 0.25},
        reply="250 2.6.0 ok",
    )
    with locked(tmp_path / "sluice.db"):
        one.put(whole)
        (line,) = map(dict, told.wait("record"))
        assert one.failing
    assert line.pop("log_level") == "error"  # written at every level that can be set
    assert line.pop("event") == "record"
    assert Record(**line) == whole
    assert logged() == before + 1
    told.wait("database works again")  # by itself, without another record
    assert one.failing is None
    one.put(record(2))
    one.close(20)
    assert [found.id for found in queries.scans(store, 9)] == ["000002"]


@pytest.mark.usefixtures("hurry")
def test_all_that_waited_too_long_goes_at_once(store, writer, told, monkeypatch) -> None:
    hold, tries = threading.Event(), []

    def failing() -> None:
        hold.wait()
        tries.append(len(told.of("record")))
        raise StoreFailed(Reply(451, ()), "records", "gone")

    monkeypatch.setattr(writing, "GROUP", 10)
    monkeypatch.setattr(store, "writing", failing)
    one = writer(patience=0.0)
    for number in range(100):
        one.put(record(number))
    hold.set()
    assert [line["id"] for line in told.wait("record", 100)] == [f"{number:06}" for number in range(100)]
    assert {made for made in tries if made < 100} == {0}  # one try was enough for all of them


@pytest.mark.usefixtures("hurry")
def test_over_the_backlog_goes_to_the_log(writer, tmp_path, told) -> None:
    one = writer(backlog=50)
    with locked(tmp_path / "sluice.db"):
        one.put(record(0))
        told.wait("database fails")
        for number in range(1, 200):
            one.put(record(number))
        assert len(told.of("record")) in (149, 150)  # one may be in hand
    one.close(20)


def test_a_lock_never_holds_up_the_mail(store, url, tmp_path) -> None:
    patient = Store(url, busy=60)
    one = Writer(patient, 100_000)
    with locked(tmp_path / "sluice.db"):
        slowest = 0.0
        for number in range(2000):
            began = time.perf_counter()
            one.put(record(number))
            slowest = max(slowest, time.perf_counter() - began)
    assert slowest < 5.0
    one.close(20)
    patient.close()
    assert len(queries.scans(store, 5000)) == 2000


@pytest.mark.usefixtures("hurry")
@pytest.mark.parametrize("gone", ["file", "folder", "table"])
def test_a_database_that_went_away(store, tmp_path, told, gone) -> None:
    one = Writer(store, 100, patience=0.05)
    one.put(record(1))
    if gone == "table":
        with store.writing() as connection:
            connection.exec_driver_sql("DROP TABLE scans")
    else:
        for path in tmp_path.glob("sluice.db*"):
            path.unlink()
    if gone == "folder":
        tmp_path.rename(tmp_path.with_name("elsewhere"))
    one.put(record(2))
    told.wait("record")  # the first may be told alone, and a database that lacks one table works for the next look
    one.close(20)
    assert told.of("database fails")
    assert "000002" in [line["id"] for line in told.of("record")]
    assert not (tmp_path / "sluice.db").exists() or gone == "table"


@pytest.mark.usefixtures("hurry")
def test_a_database_that_is_readonly(store, writer, told) -> None:
    def connected(connection: sqlite3.Connection, _record: object) -> None:
        connection.execute("PRAGMA query_only=1")

    event.listen(store._engine, "connect", connected)
    store.close()
    one = writer(patience=0.05)
    one.put(record(1))
    assert told.wait("record")[0]["id"] == "000001"
    assert "readonly" in one.failing


@pytest.mark.usefixtures("hurry")
def test_a_full_disk(store, writer, told) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    one = writer(patience=0.05)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
    try:
        one.put(record(1))
        assert told.wait("record")[0]["id"] == "000001"
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    told.wait("database works again")
    one.put(record(2))
    one.close(20)
    assert queries.scan(store, "000002") is not None


@pytest.mark.usefixtures("hurry")
def test_a_driver_that_misbehaves_does_not_end_the_thread(store, writer, told, monkeypatch) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(store, "insert_once", lambda *_: 1 / 0)
        one = writer(patience=0.05)
        one.put(record(1))
        told.wait("record")
        assert "ZeroDivisionError" in one.failing or one.failing is None
    one.put(record(2))
    one.close(20)
    assert queries.scan(store, "000002") is not None


@pytest.mark.usefixtures("hurry")
def test_closing_does_not_wait_for_patience(writer, tmp_path, told) -> None:
    one = writer(patience=3600.0)
    with locked(tmp_path / "sluice.db"):
        for number in range(10):
            one.put(record(number))
        told.wait("database fails")
        one.close(20)
        assert not one._thread.is_alive()
        assert len(told.of("record")) == 10


def test_closing_while_the_database_hangs(store, told, monkeypatch) -> None:
    hold, began = threading.Event(), threading.Event()

    def hang(*_: object) -> None:
        began.set()
        hold.wait()
        raise ZeroDivisionError

    monkeypatch.setattr(store, "insert_once", hang)
    monkeypatch.setattr(writing, "STUCK", 0.0)
    one = Writer(store, 100)
    one.put(record(1))
    assert began.wait(20)
    assert one.failing == "the database does not answer"
    one.put(record(2))
    one.close(0.01)
    assert [line["id"] for line in told.of("record")] == ["000001", "000002"]
    hold.set()
    one.close(20)


def test_what_comes_after_the_end_goes_to_the_log(writer, told) -> None:
    one = writer()
    one.close(20)
    one.close(20)
    one.put(record(1))
    assert [line["id"] for line in told.of("record")] == ["000001"]


def test_a_log_that_fails_does_not_reach_the_mail(writer, monkeypatch) -> None:
    before, one = logged(), writer(backlog=0)

    class Broken:
        def error(self, *_: object, **__: object) -> None:
            raise OSError("no log")

    monkeypatch.setattr(writing, "log", Broken())
    one.put(record(1))
    assert logged() == before + 1

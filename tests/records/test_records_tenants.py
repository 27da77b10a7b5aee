from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from relay.errors import StoreFailed
from relay.records import tenants
from relay.records.store import Connection, Store

names = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=10)
document = st.fixed_dictionaries(
    {"name": names, "loop_values": st.lists(names), "policy": st.dictionaries(names, st.floats(0))}
)
documents = st.lists(document, unique_by=lambda one: one["name"], max_size=5)


def test_at_first_there_are_none(store) -> None:
    assert tenants.load(store) == (0, [])
    assert tenants.revision(store) == 0


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(first=documents, second=documents)
def test_what_is_put_is_loaded(store, first, second) -> None:
    before = tenants.revision(store)
    for turn, given_documents in enumerate((first, second), 1):
        tenants.replace(store, given_documents)
        revision, loaded = tenants.load(store)
        assert revision == tenants.revision(store) == before + turn
        assert sorted(loaded, key=lambda d: d["name"]) == sorted(given_documents, key=lambda d: d["name"])


def test_a_failed_change_changes_nothing(store) -> None:
    tenants.replace(store, [{"name": "a"}])
    with pytest.raises(StoreFailed):
        tenants.replace(store, [{"name": "b"}, {"name": "b"}])
    assert tenants.load(store) == (1, [{"name": "a"}])


def test_a_document_without_name_is_our_own_mistake(store) -> None:
    with pytest.raises(KeyError):
        tenants.replace(store, [{}])
    assert tenants.load(store) == (0, [])


def test_revision_and_documents_belong_together(url, store) -> None:
    def change(turn: int) -> None:
        own = Store(url)
        for _ in range(10):
            tenants.replace(own, [{"name": f"{turn}"}])
        own.close()

    with ThreadPoolExecutor(4) as threads:
        changes = [threads.submit(change, turn) for turn in range(3)]
        seen: dict[int, list] = {}
        while not all(done.done() for done in changes):
            revision, loaded = tenants.load(store)
            assert seen.setdefault(revision, loaded) == loaded
            assert len(loaded) == (revision > 0)
        for done in changes:
            done.result()
    assert tenants.revision(store) == 30


def test_a_lost_revision_is_no_revision(store) -> None:
    with store.writing() as connection:
        connection.execute(text("DELETE FROM revision"))
    for ask in (tenants.load, tenants.revision):
        with pytest.raises(StoreFailed):
            ask(store)


def test_a_power_cut_does_not_undo_what_tenants_have_been_told(store) -> None:
    """SQLite syncs its log at each commit then (2, FULL); records are worth less (1, NORMAL)."""
    told: list[int] = []

    def look(connection: Connection, _documents: object) -> None:
        told.append(connection.exec_driver_sql("PRAGMA synchronous").scalar_one())

    tenants.edit(store, lambda _: [{"name": "acme"}], look)
    with store.writing() as connection:
        look(connection, None)
    assert told == [2, 1]

import fcntl
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import URL, text

from relay.errors import StoreFailed
from relay.records import tenants
from relay.records.schema import metadata, scans
from relay.records.store import Store


def test_the_migrations_lead_to_the_schema(store) -> None:
    with store.reading() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        assert compare_metadata(context, metadata) == []
        assert context.get_current_revision() == "0004"


def test_a_database_of_the_first_schema_is_brought_up_to_date(url, monkeypatch) -> None:
    upgrade = command.upgrade
    store = Store(url)
    with monkeypatch.context() as patched:
        patched.setattr(command, "upgrade", lambda config, _head: upgrade(config, "0001"))
        store.migrate()
    with store.writing() as connection:
        connection.execute(text("""INSERT INTO tenants (name, document) VALUES ('acme', '{"name": "acme"}')"""))
    store.migrate()
    assert tenants.load(store) == (0, [{"name": "acme"}])
    with store.reading() as connection:
        assert MigrationContext.configure(connection).get_current_revision() == "0004"
    store.close()


def test_migrating_again_changes_nothing(store, url) -> None:
    tenants.replace(store, [{"name": "acme"}])
    store.migrate()
    other = Store(url)
    other.migrate()
    assert tenants.load(other) == (1, [{"name": "acme"}])
    other.close()


def test_several_processes_migrate_at_once(tmp_path) -> None:
    path = tmp_path / "new" / "sluice.db"
    code = "import sys; from relay.records.store import Store; s = Store(sys.argv[1]); sys.stdin.read(); s.migrate()"
    command = [sys.executable, "-W", "error", "-c", code, f"sqlite:///{path}"]
    root = str(Path(__file__).parents[2])
    children = [subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, cwd=root) for _ in range(4)]
    for child in children:
        child.stdin.close()  # now
    for child in children:
        problem = child.stderr.read()
        child.stderr.close()
        assert (child.wait(), problem) == (0, b"")
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT id, n FROM revision").fetchall() == [(1, 0)]
    connection.close()


def test_migrating_waits_for_its_turn(url, tmp_path, monkeypatch) -> None:
    seen: list[tuple[str, int, bool]] = []

    def flock(descriptor: int, how: int) -> None:
        seen.append((os.readlink(f"/proc/self/fd/{descriptor}"), how, (tmp_path / "sluice.db").exists()))

    monkeypatch.setattr(fcntl, "flock", flock)
    store = Store(url)
    store.migrate()
    store.close()
    assert seen == [(str(tmp_path), fcntl.LOCK_EX, False)]


def test_who_will_write_need_not_fear_that_another_was_faster(store, url) -> None:
    other = Store(url, busy=0.01)
    with store.writing() as connection:
        assert connection.execute(text("SELECT n FROM revision")).scalar() == 0
        with pytest.raises(StoreFailed, match="locked"):
            tenants.replace(other, [])
        connection.execute(text("UPDATE revision SET n = 7"))
    assert tenants.revision(other) == 7
    other.close()


def test_a_broken_migration_leaves_nothing(url, monkeypatch) -> None:
    from alembic import op

    store = Store(url)
    with monkeypatch.context() as patched:
        patched.setattr(op, "bulk_insert", lambda *_: store._engine.raw_connection().execute("nonsense"))
        with pytest.raises(sqlite3.OperationalError):
            store.migrate()
    with store.reading() as connection:
        assert connection.execute(text("SELECT count(*) FROM sqlite_master")).scalar() == 0
    store.migrate()
    assert tenants.revision(store) == 0
    store.close()


def test_a_newer_schema_is_refused(store) -> None:
    with store.writing() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(StoreFailed, match="9999"):
        store.migrate()


def test_the_file_is_for_us_alone(store, tmp_path) -> None:
    tenants.replace(store, [])
    files = list(tmp_path.glob("sluice.db*"))
    assert len(files) == 3  # with WAL and its index
    assert {path.stat().st_mode & 0o777 for path in files} == {0o600}


def test_the_pragmas(store) -> None:
    with store.reading() as connection:
        values = [connection.execute(text(f"PRAGMA {name}")).scalar() for name in ("journal_mode", "synchronous")]
        assert values == ["wal", 1]
        assert connection.execute(text("PRAGMA busy_timeout")).scalar() == 50


def test_odd_names_of_files(tmp_path) -> None:
    for name in ("a b%20c.db", "ä?#&.db", "%(here)s.db"):
        store = Store(URL.create("sqlite", database=str(tmp_path / name)).render_as_string())
        store.migrate()
        assert (tmp_path / name).exists()
        assert tenants.revision(store) == 0
        store.close()


def test_a_database_that_is_not_there_is_never_made_by_asking(url, tmp_path) -> None:
    store = Store(url)
    with pytest.raises(StoreFailed, match="unable to open"):
        tenants.load(store)
    assert list(tmp_path.iterdir()) == []
    store.close()


def test_a_deleted_database_is_noticed(store, tmp_path) -> None:
    assert tenants.revision(store) == 0
    (tmp_path / "sluice.db").unlink()
    for ask in (tenants.revision, tenants.load, lambda s: tenants.replace(s, [])):
        with pytest.raises(StoreFailed):
            ask(store)


def test_an_exchanged_database_is_noticed(store, tmp_path) -> None:
    tenants.replace(store, [{"name": "old"}])
    other = Store(f"sqlite:///{tmp_path / 'other.db'}")
    other.migrate()
    tenants.replace(other, [{"name": "new"}])
    other.close()
    for path in tmp_path.glob("sluice.db*"):
        path.unlink()
    (tmp_path / "other.db").rename(tmp_path / "sluice.db")
    assert tenants.load(store)[1] == [{"name": "new"}]


@pytest.mark.parametrize(
    "url", ["nonsense", "nosuch://x/y", "sqlite:////dev/null/x/y.db", "sqlite:////proc/nowhere/sluice.db"]
)
def test_a_database_that_cannot_be(url) -> None:
    with pytest.raises(StoreFailed) as raised:
        Store(url).migrate()
    assert raised.value.reply.code == 451


def test_a_file_that_is_no_database(url, tmp_path) -> None:
    (tmp_path / "sluice.db").write_bytes(b"no database " * 1000)
    store = Store(url)
    with pytest.raises(StoreFailed, match="not a database"):
        store.migrate()
    store.close()


def test_errors_tell_no_values(store) -> None:
    with pytest.raises(StoreFailed) as raised, store.writing() as connection:
        connection.execute(scans.insert().values(id="1", sender="secret@example"))
    assert "secret" not in str(raised.value)
    assert "NOT NULL" in str(raised.value)
    with pytest.raises(StoreFailed) as raised:
        tenants.replace(store, [{"name": "a", "loop_values": ["secret"], "strange": object()}])
    assert "secret" not in str(raised.value)


def test_a_failed_transaction_changes_nothing(store) -> None:
    def broken() -> None:
        with store.writing() as connection:
            connection.execute(text("UPDATE revision SET n = 9"))
            raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        broken()
    assert tenants.revision(store) == 0

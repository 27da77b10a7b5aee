"""The database: one engine, transactions that read, transactions that write, migrations. All of it blocks."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from itertools import chain
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection, Table, create_engine, make_url
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from relay import replies
from relay.errors import StoreFailed
from relay.records import sqlite as sqlite_rules

__all__ = ["Connection", "Store"]

BUSY_SECONDS = 5.0
"""How long a transaction waits for another process's lock (SQLite)."""
ROWS = 64
"""Rows of one INSERT. Drivers keep statements, one for each number of rows that occurred."""
_MIGRATIONS = Path(__file__).parent / "migrations"


@contextmanager
def _door() -> Iterator[None]:
    """Foreign errors become StoreFailed; the detail tells neither statements nor values."""
    try:
        yield
    except DBAPIError as error:
        raise StoreFailed(replies.LOCAL_FAILURE, "records", f"{type(error).__name__}: {error.orig}") from error
    except (SQLAlchemyError, CommandError, ImportError, OSError) as error:
        raise StoreFailed(replies.LOCAL_FAILURE, "records", f"{type(error).__name__}: {error}") from error


class Store:
    """A database by its SQLAlchemy URL. Connects when it is used; made anew in each process, never carried over a fork.

    Everything raises StoreFailed, and nothing else, when the database fails.
    """

    def __init__(self, url: str, *, busy: float = BUSY_SECONDS) -> None:
        with _door():
            parsed = make_url(url)
            self._file = sqlite_rules.file_of(parsed)
            if self._file is not None:
                parsed = sqlite_rules.only_existing(parsed, self._file)
            is_sqlite = parsed.get_backend_name() == "sqlite"
            arguments = sqlite_rules.ARGUMENTS if is_sqlite else {}
            self._engine = create_engine(parsed, hide_parameters=True, connect_args=arguments)
        self._writing = self._engine.execution_options(writes=True)
        self._lasting = self._engine.execution_options(writes=True, lasting=True)
        if is_sqlite:
            sqlite_rules.prepare(self._engine, busy, self._file)

    def close(self) -> None:
        """Close the connections that are not in use."""
        self._engine.dispose()

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A transaction that sees one state of the database. Raises StoreFailed."""
        with _door(), self._engine.begin() as connection:
            yield connection

    @contextmanager
    def writing(self, *, lasting: bool = False) -> Iterator[Connection]:
        """A transaction that may write; committed at the end. Raises StoreFailed.

        `lasting`: a power cut does not undo it, for what others have been told to rely on. SQLite's other transactions
        outlive the process, but may be undone with the last moments of the machine.
        """
        with _door(), (self._lasting if lasting else self._writing).begin() as connection:
            yield connection

    def insert_once(self, connection: Connection, table: Table, rows: Sequence[Sequence[Any]]) -> None:
        """Insert `rows`, the values of all columns as a driver takes them, but for those that are there already.

        Many rows with each statement: for each of them a driver gives the interpreter away and must get it back, and
        the thread that serves mail waits for it.
        """
        for at in range(0, len(rows), ROWS):
            part = rows[at : at + ROWS]
            connection.exec_driver_sql(self._insert(table, len(part)), tuple(chain.from_iterable(part)))

    def _insert(self, table: Table, count: int) -> str:
        """INSERT of `count` rows, as SQLite and PostgreSQL both understand it."""
        dialect = self._engine.dialect
        quote = dialect.identifier_preparer.quote
        names = [quote(column.name) for column in table.columns]
        row = "(" + ", ".join(["?" if dialect.paramstyle == "qmark" else "%s"] * len(names)) + ")"
        values = ", ".join([row] * count)
        return f"INSERT INTO {quote(table.name)} ({', '.join(names)}) VALUES {values} ON CONFLICT DO NOTHING"  # noqa: S608

    @staticmethod
    def newest() -> str | None:
        """The schema that `migrate` leads to."""
        return ScriptDirectory.from_config(_configured()).get_current_head()

    def migrate(self) -> None:
        """Bring the schema up to date, from nothing or from an older one; safe for several processes at once.

        Raises StoreFailed, also when the schema is newer than this program.
        """
        config = _configured()
        made = nullcontext() if self._file is None else sqlite_rules.made(self._file)
        with _door(), made, self.writing() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, "head")


def _configured() -> Config:
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    return config

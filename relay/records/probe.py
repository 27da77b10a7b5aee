"""Questions about the database itself. Nothing stays changed. They block, and raise StoreFailed."""

import datetime as dt
import secrets

from alembic.runtime.migration import MigrationContext
from sqlalchemy import func, select

from relay.records.model import Record, to_values
from relay.records.schema import scans
from relay.records.store import Store


def schema(store: Store) -> tuple[str | None, str | None]:
    """The schema that is there (None: no tables), and the one that this program makes."""
    with store.reading() as connection:
        return MigrationContext.configure(connection).get_current_revision(), store.newest()


def rehearse(store: Store) -> None:
    """Write a record, and take it back."""
    record = Record(id=f"doctor-{secrets.token_hex(16)}", at=0.0, node="doctor", outcome="abandoned")
    with store.writing() as connection:
        store.insert_once(connection, scans, [to_values(record)])
        connection.rollback()


def clock(store: Store) -> float | None:
    """What time the database server thinks it is, in seconds since the epoch; None where it runs in this process."""
    with store.reading() as connection:
        if connection.dialect.name == "sqlite":
            return None
        now: dt.datetime = connection.execute(select(func.current_timestamp())).scalar_one()
    return now.timestamp()

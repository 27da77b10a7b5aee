"""When a tenant last heard of something, and how much was counted since. All of it blocks and raises StoreFailed.

Several processes, on several nodes, look at the same rows: whoever claims a notice sends it, and nobody else does.
"""

from collections.abc import Collection, Mapping
from typing import NamedTuple

from sqlalchemy import ColumnElement, and_, select, update

from relay.records.schema import notices as table
from relay.records.store import Store

Key = tuple[str, str, str]
"""Tenant, kind, subject."""


class Row(NamedTuple):
    """The last notice of a kind about a subject."""

    tenant: str
    kind: str
    subject: str
    sent: float = 0.0
    """Seconds since the epoch; 0 when none was sent."""
    held: int = 0
    """How many messages were counted since, and not told."""

    @property
    def key(self) -> Key:
        """What it is found by."""
        return self.tenant, self.kind, self.subject


def load(store: Store, tenant: str | None = None) -> list[Row]:
    """All rows, or those of one tenant."""
    query = select(table).order_by(table.c.tenant, table.c.kind, table.c.subject)
    if tenant is not None:
        query = query.where(table.c.tenant == tenant)
    with store.reading() as connection:
        return [Row(row.tenant, row.kind, row.subject, row.sent, row.held) for row in connection.execute(query)]


def count(store: Store, counts: Mapping[Key, int], first: Collection[Row] = ()) -> None:
    """Add to what is held; `first` are rows that are made where there are none, and left alone where there are."""
    with store.writing() as connection:
        store.insert_once(connection, table, [*first, *(Row(*key) for key in counts)])
        for key, more in sorted(counts.items()):  # in one order, lest two processes wait for each other
            connection.execute(update(table).where(_is(key)).values(held=table.c.held + more))


def claim(store: Store, key: Key, sent: float, now: float) -> int | None:
    """Take it on to send a notice: `sent` becomes `now`, and what was held is given back and is no more.

    None when the row does not say `sent` any more: then somebody else was faster.
    """
    with store.writing() as connection:
        store.insert_once(connection, table, [Row(*key)])
        held = connection.execute(select(table.c.held).where(_is(key), table.c.sent == sent).with_for_update()).scalar()
        if held is not None:
            connection.execute(update(table).where(_is(key)).values(sent=now, held=0))
    return held


def give_back(store: Store, key: Key, now: float, sent: float, held: int) -> None:
    """Undo a claim of `now`: it was not sent."""
    with store.writing() as connection:
        connection.execute(
            update(table).where(_is(key), table.c.sent == now).values(sent=sent, held=table.c.held + held)
        )


def _is(key: Key) -> ColumnElement[bool]:
    tenant, kind, subject = key
    return and_(table.c.tenant == tenant, table.c.kind == kind, table.c.subject == subject)

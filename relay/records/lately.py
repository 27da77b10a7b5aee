"""What came lately for a tenant: bounded questions, each by an index, however many records there are. They block, and
raise StoreFailed.
"""

from typing import NamedTuple

from sqlalchemy import Select, func, select

from relay.records.schema import TROUBLE
from relay.records.schema import scans as table
from relay.records.store import Store

COUNTED = 1_000_000
"""Messages that are counted; they are counted in the index, some millions in a second."""
MOST = 2_000
"""Messages that are looked at."""


class Fact(NamedTuple):
    """What is told of one message; see `model.Record`."""

    at: float
    outcome: str
    proof: str
    reason: str
    reply: str


def last(store: Store, tenant: str | None = None) -> float | None:
    """When the newest message came, for this tenant or for any; None for never."""
    query = select(table.c.at).order_by(table.c.at.desc()).limit(1)
    if tenant is not None:
        query = query.where(table.c.tenant == tenant)
    with store.reading() as connection:
        return connection.execute(query).scalar_one_or_none()


def count(store: Store, tenant: str, since: float) -> int:
    """How many messages came for the tenant since then; COUNTED at most."""
    some = select(table.c.at).where(table.c.tenant == tenant, table.c.at >= since).limit(COUNTED)
    with store.reading() as connection:
        return connection.execute(select(func.count()).select_from(some.subquery())).scalar_one()


def newest(store: Store, tenant: str, since: float) -> list[Fact]:
    """The newest MOST messages for the tenant since then, newest first."""
    return _facts(store, _of(tenant, since))


def troubles(store: Store, tenant: str, since: float) -> list[Fact]:
    """The newest MOST of them that were deferred, refused, or rejected by the next hop."""
    return _facts(store, _of(tenant, since).where(TROUBLE))


def _of(tenant: str, since: float) -> Select[tuple[float, str, str, str, str]]:
    query = select(table.c.at, table.c.outcome, table.c.proof, table.c.reason, table.c.reply)
    return query.where(table.c.tenant == tenant, table.c.at >= since).order_by(table.c.at.desc()).limit(MOST)


def _facts(store: Store, query: Select[tuple[float, str, str, str, str]]) -> list[Fact]:
    with store.reading() as connection:
        rows = connection.execute(query).all()
    return [Fact(row.at, row.outcome, row.proof, row.reason, row.reply) for row in rows]

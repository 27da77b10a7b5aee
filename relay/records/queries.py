"""Questions to the records. They block, and raise StoreFailed."""

from sqlalchemy import delete, func, select

from relay.records.model import Record, from_row
from relay.records.schema import scans as table
from relay.records.store import Store

MOST = 10_000
"""Records that one question may bring."""
COUNTED = 1000
"""Messages of one sender that are counted: whoever has sent so many is well known."""
LOOKED_AT = 1000
"""Messages of a tenant among which one with proof is looked for: whose mail comes with proof has one among them."""
CHUNK = 1000
"""Rows deleted in one transaction, so that writers need not wait long."""


def scans(store: Store, limit: int, tenant: str | None = None, outcome: str | None = None) -> list[Record]:
    """The newest `limit` records (at most MOST), newest first, of one tenant or one outcome when given."""
    query = select(table).order_by(table.c.at.desc(), table.c.id.desc()).limit(max(0, min(limit, MOST)))
    if tenant is not None:
        query = query.where(table.c.tenant == tenant)
    if outcome is not None:
        query = query.where(table.c.outcome == outcome)
    with store.reading() as connection:
        return [from_row(row) for row in connection.execute(query).mappings()]


def scan(store: Store, record_id: str) -> Record | None:
    """One record; None when there is none."""
    with store.reading() as connection:
        row = connection.execute(select(table).where(table.c.id == record_id)).mappings().first()
    return None if row is None else from_row(row)


def delivered(store: Store, tenant: str, sender: str) -> int:
    """How many messages of the envelope sender were delivered to the tenant, unmarked; COUNTED at most."""
    known = select(table.c.id).where(table.c.tenant == tenant, table.c.sender == sender, table.c.outcome == "delivered")
    with store.reading() as connection:
        return connection.execute(select(func.count()).select_from(known.limit(COUNTED).subquery())).scalar_one()


def last_proved(store: Store, tenant: str, proof: str, since: float) -> float | None:
    """When the tenant's newest message with that `proof` came, if that was not before `since`; None when none did."""
    query = select(table.c.at).where(table.c.tenant == tenant, table.c.at >= since, table.c.proof == proof)
    with store.reading() as connection:
        return connection.execute(query.order_by(table.c.at.desc()).limit(1)).scalar_one_or_none()


def came_with_proof(store: Store, tenant: str, before: float) -> bool:
    """Whether one of the tenant's newest LOOKED_AT messages from before `before` came with proof and was delivered."""
    of_it = table.c.tenant == tenant, table.c.at < before
    newest = (
        select(table.c.proof, table.c.outcome).where(*of_it).order_by(table.c.at.desc()).limit(LOOKED_AT).subquery()
    )
    proved = newest.c.proof.startswith("ok"), newest.c.outcome.in_(("delivered", "marked"))
    with store.reading() as connection:
        return connection.execute(select(newest.c.proof).where(*proved).limit(1)).first() is not None


def expire(store: Store, before: float) -> int:
    """Delete the records from before `before` (seconds since the epoch); returns how many they were."""
    oldest = select(table.c.id).where(table.c.at < before).order_by(table.c.at).limit(CHUNK)
    expired, last = 0, CHUNK
    while last == CHUNK:
        with store.writing() as connection:
            last = connection.execute(delete(table).where(table.c.id.in_(oldest))).rowcount
        expired += last
    return expired

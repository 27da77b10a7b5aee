"""Since when tenants have a new loop value beside their old one. All of it blocks and raises StoreFailed."""

from sqlalchemy import Connection, delete, insert, select

from relay.records.schema import rotations as table
from relay.records.store import Store


def started(store: Store) -> dict[str, float]:
    """When each rotation that goes on was begun (seconds since the epoch), by the tenant's name."""
    with store.reading() as connection:
        return {row.tenant: row.started for row in connection.execute(select(table))}


def begin(connection: Connection, tenant: str, now: float) -> None:
    """The tenant has a new value since `now`, in a transaction that writes."""
    end(connection, tenant)
    connection.execute(insert(table).values(tenant=tenant, started=now))


def end(connection: Connection, tenant: str) -> None:
    """The tenant's old values are gone."""
    connection.execute(delete(table).where(table.c.tenant == tenant))

"""How far the proof of each domain is, by tenant, domain and region. All of it blocks and raises StoreFailed."""

from collections.abc import Iterable
from dataclasses import astuple, dataclass, fields

from sqlalchemy import ColumnElement, Connection, delete, select, update

from relay.records.schema import verifications as table
from relay.records.store import Store
from relay.records.tenants import touch

PREFIX = "sluice-verification="
"""What every value begins with."""
PENDING = "pending"
PROVEN = ("verified", "lapsing")
"""States in which a domain is protected: its record is there, or it went away only lately."""


@dataclass(frozen=True, slots=True)
class Row:
    """One record that a domain's DNS should have; times are seconds since the epoch, 0 for never."""

    tenant: str
    domain: str
    region: str
    value: str
    """What the TXT record says. Not a secret: it is there to be published."""
    state: str = PENDING
    added: float = 0.0
    changed: float = 0.0
    """When it came into its state."""
    checked: float = 0.0
    """When the DNS was asked last."""
    seen: float = 0.0
    """When the record was there last."""
    problem: str = ""
    """What the last look found wrong, for people."""

    @property
    def key(self) -> tuple[str, str, str]:
        """Tenant, domain and region."""
        return self.tenant, self.domain, self.region


_NAMES = tuple(field.name for field in fields(Row))


def load(store: Store, tenant: str | None = None) -> list[Row]:
    """All rows, or those of one tenant, by tenant, domain and region."""
    query = select(table).order_by(table.c.tenant, table.c.domain, table.c.region)
    if tenant is not None:
        query = query.where(table.c.tenant == tenant)
    with store.reading() as connection:
        return [Row(**row) for row in connection.execute(query).mappings()]


def proven(store: Store) -> set[tuple[str, str]]:
    """Tenant and domain of all that are proved, in whichever region."""
    query = select(table.c.tenant, table.c.domain).where(table.c.state.in_(PROVEN)).distinct()
    with store.reading() as connection:
        return {(row.tenant, row.domain) for row in connection.execute(query)}


def put(store: Store, row: Row, before: Row | None = None) -> bool:
    """Write what became of `row`, if it is still there, and as it was in `before`; whether it was.

    Who looked at the DNS for seconds must not undo what another node, or an operator, found meanwhile. When the
    domain's protection may have changed, the tenants' revision grows with it, so that running nodes look.
    """
    there = _is(row.key)
    if before is not None:
        there &= (table.c.value == before.value) & (table.c.state == before.state) & (table.c.changed == before.changed)
    values = {name: getattr(row, name) for name in _NAMES if name not in ("tenant", "domain", "region")}
    with store.writing() as connection:
        state = connection.execute(select(table.c.state).where(there)).scalar_one_or_none()
        written = connection.execute(update(table).where(there).values(values)).rowcount == 1
        if written and (state in PROVEN) != (row.state in PROVEN):
            touch(connection)
    return written


def claim(store: Store, row: Row, now: float) -> bool:
    """Whether the look at `row` is ours: of several nodes that have seen it, one gets it."""
    mine = update(table).where(_is(row.key), table.c.checked == row.checked).values(checked=now)
    with store.writing() as connection:
        return connection.execute(mine).rowcount == 1


def keep(store: Store, connection: Connection, wanted: Iterable[Row]) -> None:
    """Make the rows those of `wanted`, in a transaction that writes: what is there already stays as it is.

    Rows of a region that is not wanted any more stay until another region has proved the domain: who moves a tenant
    to another environment must not take away its protection.
    """
    rows = {row.key: row for row in wanted}
    found = connection.execute(select(table.c.tenant, table.c.domain, table.c.region, table.c.state))
    there = {(row.tenant, row.domain, row.region): row.state for row in found}
    store.insert_once(connection, table, [astuple(row) for key, row in rows.items() if key not in there])
    owned = {key[:2] for key in rows}
    proved = {key[:2] for key, state in there.items() if key in rows and state in PROVEN}
    for key in there.keys() - rows.keys():
        if key[:2] not in owned or key[:2] in proved:
            connection.execute(delete(table).where(_is(key)))


def _is(key: tuple[str, str, str]) -> ColumnElement[bool]:
    tenant, domain, region = key
    return (table.c.tenant == tenant) & (table.c.domain == domain) & (table.c.region == region)

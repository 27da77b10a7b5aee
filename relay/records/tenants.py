"""The tenants' documents (what `tenants.model.Tenant` says as plain data) and the revision that tells of a change.

Every change is one transaction that has read what it changes: of two operators at once, neither undoes the other.

All of it blocks and raises StoreFailed; a database that is not there is never taken for one without tenants.
"""

from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import Connection, delete, insert, select, true, update

from relay import replies
from relay.errors import StoreFailed
from relay.records.schema import notices, rotations
from relay.records.schema import revision as revisions
from relay.records.schema import tenants as table
from relay.records.store import Store


def load(store: Store) -> tuple[int, list[dict[str, Any]]]:
    """The revision and the documents that belong to it, by name."""
    # One statement, so that both are of one state in every database and isolation level.
    query = select(revisions.c.n, table.c.name, table.c.document)
    query = query.select_from(revisions.outerjoin(table, true())).order_by(table.c.name)
    with store.reading() as connection:
        rows = connection.execute(query).all()
    return _one([row.n for row in rows]), [row.document for row in rows if row.name is not None]


def revision(store: Store) -> int:
    """The revision of the tenants; cheap, for asking often."""
    with store.reading() as connection:
        return _one(list(connection.scalars(select(revisions.c.n))))


Document = dict[str, Any]


def replace(store: Store, documents: Sequence[Document]) -> None:
    """Put `documents`, each with a "name" of its own, in place of all that were there: all of them or none."""
    with store.writing(lasting=True) as connection:
        touch(connection)  # first: concurrent changes wait here
        _put(connection, documents)


def edit(
    store: Store,
    change: Callable[[Sequence[Document]], Sequence[Document]],
    besides: Callable[[Connection, Sequence[Document]], None] | None = None,
) -> tuple[Sequence[Document], Sequence[Document]]:
    """Put what `change` makes of the documents in their place, all of them or none: what was there, and what is now.

    `besides` writes in the same transaction what depends on them. Where nothing changes, the revision stays.
    """
    with store.writing(lasting=True) as connection:
        touch(connection, 0)  # first: concurrent changes wait here
        before = [row.document for row in connection.execute(select(table.c.document).order_by(table.c.name))]
        after = change(before)
        if list(after) != before:
            touch(connection)
            _put(connection, after)
            _forget_rotations(connection, before, after)
        if besides is not None:
            besides(connection, after)
    return before, after


def touch(connection: Connection, by: int = 1) -> None:
    """Make running nodes look at the tenants again."""
    connection.execute(update(revisions).values(n=revisions.c.n + by))


def _put(connection: Connection, documents: Sequence[Document]) -> None:
    connection.execute(delete(table))
    if documents:
        rows = [{"name": document["name"], "document": document} for document in documents]
        connection.execute(insert(table), rows)
    for other in (rotations, notices):
        connection.execute(delete(other).where(other.c.tenant.not_in(select(table.c.name))))


def _forget_rotations(connection: Connection, before: Sequence[Document], after: Sequence[Document]) -> None:
    """Of tenants whose loop values are others now: by an old rotation, the value that is in use could seem unused."""
    values = {document["name"]: document.get("loop_values") for document in before}
    for document in after:
        if document.get("loop_values") != values.get(document["name"]):
            connection.execute(delete(rotations).where(rotations.c.tenant == document["name"]))


def _one(found: list[int]) -> int:
    if not found:
        raise StoreFailed(replies.LOCAL_FAILURE, "records", "the tenants' revision is not there")
    return found[0]

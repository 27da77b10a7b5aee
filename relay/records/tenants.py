"""The tenants' documents (what `tenants.model.Tenant` says as plain data) and the revision that tells of a change.

All of it blocks and raises StoreFailed; a database that is not there is never taken for one without tenants.
"""

from typing import Any

from sqlalchemy import delete, insert, select, true, update

from relay import replies
from relay.errors import StoreFailed
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


def replace(store: Store, documents: list[dict[str, Any]]) -> None:
    """Put `documents`, each with a "name" of its own, in place of all that were there: all of them or none."""
    with store.writing() as connection:
        connection.execute(update(revisions).values(n=revisions.c.n + 1))  # first: concurrent changes wait here
        connection.execute(delete(table))
        if documents:
            rows = [{"name": document["name"], "document": document} for document in documents]
            connection.execute(insert(table), rows)


def _one(found: list[int]) -> int:
    if not found:
        raise StoreFailed(replies.LOCAL_FAILURE, "records", "the tenants' revision is not there")
    return found[0]

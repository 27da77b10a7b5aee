"""What every part of control needs: its errors, the opened store, how times are told."""

import datetime as dt
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from config.settings import Settings
from relay.errors import NotFound, Unusable
from relay.records.store import Store

__all__ = ["NotFound", "Plain", "Unusable", "has_records", "iso", "opened"]

Plain = dict[str, Any]


@contextmanager
def opened(settings: Settings) -> Iterator[Store]:
    """The database of the records, made or brought up to date if need be. Raises StoreFailed."""
    settings.node.state.mkdir(parents=True, exist_ok=True)
    store = Store(settings.records_url)
    try:
        store.migrate()
        yield store
    finally:
        store.close()


def has_records(settings: Settings) -> bool:
    """Whether there is a database; asking one in a file that is not there would make it."""
    return settings.records.url is not None or (settings.node.state / "sluice.db").exists()


def iso(at: float) -> str:
    """Seconds since the epoch as ISO 8601 in UTC."""
    moment = dt.datetime.fromtimestamp(at, dt.UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")

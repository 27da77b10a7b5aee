"""What SQLite needs to serve several processes: one file for us alone, WAL, real transactions, a watch on the file.

https://sqlite.org/wal.html, https://sqlite.org/pragma.html; transactions as SQLAlchemy's page on pysqlite tells.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import URL, Connection, Engine, event
from sqlalchemy.exc import DisconnectionError


def file_of(url: URL) -> Path | None:
    """The database's file; None when `url` names another kind of database or a URI of the operator's own."""
    if url.get_backend_name() != "sqlite" or not url.database or url.database.startswith((":memory:", "file:")):
        return None
    return Path(url.database).absolute()


def only_existing(url: URL, file: Path) -> URL:
    """`url` such that connecting never makes the file: a database that went away is an error and not an empty one."""
    return url.set(database=f"file:{quote(str(file))}").update_query_dict({"mode": "rw", "uri": "true"})


@contextmanager
def made(file: Path) -> Iterator[None]:
    """Make the file, readable for us alone, and keep other processes from migrating it. Raises OSError."""
    file.parent.mkdir(0o700, parents=True, exist_ok=True)
    folder = os.open(file.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        with suppress(FileExistsError):
            os.close(os.open(file, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
        yield
    finally:
        os.close(folder)


ARGUMENTS = {"isolation_level": None}
"""For sqlite3.connect: `prepare` has SQLAlchemy say BEGIN, and not Python's sqlite3 whenever it thinks fit."""


def prepare(engine: Engine, busy: float, file: Path | None) -> None:
    """Set up each connection of `engine`; `busy` is how many seconds it waits for another's lock."""

    def connected(connection: Any, record: Any) -> None:
        for pragma in (f"busy_timeout={int(busy * 1000)}", "journal_mode=WAL", "synchronous=NORMAL"):
            connection.execute(f"PRAGMA {pragma}")
        record.info["file"] = _identity(file)

    def taken(_connection: Any, record: Any, _proxy: Any) -> None:
        if record.info["file"] != _identity(file):
            raise DisconnectionError("the database's file is another one, or gone")

    def begin(connection: Connection) -> None:
        # A transaction that reads first and then writes cannot wait for a lock; one that will write says so at once.
        options = connection.get_execution_options()
        if options.get("writes"):
            connection.exec_driver_sql(f"PRAGMA synchronous={'FULL' if options.get('lasting') else 'NORMAL'}")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if options.get("writes") else "BEGIN")

    event.listen(engine, "connect", connected)
    event.listen(engine, "checkout", taken)
    event.listen(engine, "begin", begin)


def _identity(file: Path | None) -> tuple[int, int] | None:
    if file is None:
        return None
    try:
        status = file.stat()
    except OSError:
        return (0, 0)
    return status.st_dev, status.st_ino

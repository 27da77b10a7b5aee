"""Whether the database answers, is up to date and takes writes; whether folders do, and have room. Nothing is left."""

import os
import pwd
import secrets
import time
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path

from relay.errors import StoreFailed
from relay.onboarding.doctor.clock import Clocks
from relay.onboarding.doctor.result import Result, Topic
from relay.onboarding.doctor.run import apart
from relay.quarantine import disk
from relay.records import probe
from relay.records.store import Store

GIB = 1_073_741_824
LITTLE = 5
"""Percent of a file system: less is told."""
_WHERE = "see records.url, and whether the database runs"


async def database(store: Store, clocks: Clocks) -> AsyncIterator[Result]:
    """Whether the database answers, is of this version's schema, and takes writes; `clocks` hears of its time."""
    topic = Topic("store.reachable", "records")
    begun = time.time()
    try:
        there, wanted = await apart(lambda: probe.schema(store))
        said = await apart(lambda: probe.clock(store))
    except StoreFailed as error:
        yield topic.failed(error.detail, _WHERE)
        return
    yield topic.ok(f"it answered within {time.time() - begun:.2f} seconds")
    clocks.heard("the database", said, begun, time.time())
    topic = Topic("store.schema", "records")
    if there == wanted:
        yield topic.ok(f"schema {there}")
    elif there is None:
        yield topic.failed("it has no tables", "start the relay, or store a tenant: both make them")
        return
    else:
        yield topic.failed(f"its schema is {there}, this program's is {wanted}", "restart the relays with one version")
        return
    yield await _written(Topic("store.writable", "records"), lambda: probe.rehearse(store))


async def _written(topic: Topic, work: Callable[[], None]) -> Result:
    begun = time.monotonic()
    try:
        await apart(work)
    except StoreFailed as error:
        return topic.failed(error.detail, "see that its disk is not full, and that we may write there")
    except OSError as error:
        return topic.failed(f"{error.filename or ''}: {error.strerror or error}".lstrip(": "), _allowed())
    return topic.ok(f"written, synced and taken back within {time.monotonic() - begun:.2f} seconds")


def _allowed() -> str:
    return f"let the user that the relay runs as write there; this was tried as {_user(os.geteuid())}"


def _user(number: int) -> str:
    with suppress(KeyError):
        return pwd.getpwuid(number).pw_name
    return f"user {number}"


async def folder(topic: Topic, path: Path) -> AsyncIterator[Result]:
    """Whether files can be written in `path`, or where it will be made; they are removed again."""
    there = existing(path)
    yield await _written(topic, lambda: _rehearse(there))
    yield await apart(lambda: _owner(Topic("folder.owner", topic.subject), there))


def existing(path: Path) -> Path:
    """`path`, or the nearest folder above it that is there."""
    while not os.path.lexists(path) and path.parent != path:
        path = path.parent
    return path


def _rehearse(path: Path) -> None:
    """Do there what keeping a message does. Raises OSError."""
    file = path / f".doctor-{secrets.token_hex(8)}"
    try:
        disk.write_file(file, [b"sluice doctor was here, and is gone\n"])
        disk.sync_folder(path)
    finally:
        disk.remove(file)


def _owner(topic: Topic, path: Path) -> Result:
    """Whether we are the user whose folder it is: else others' rights were tried, and not the relay's."""
    try:
        owner = path.stat().st_uid
    except OSError as error:
        return topic.unknown(str(error.strerror))
    if owner == os.geteuid():
        return topic.ok(f"it is {_user(owner)}'s")
    return topic.warning(
        f"it is {_user(owner)}'s, and this was tried as {_user(os.geteuid())}",
        f"run sluice doctor as the user that the relay runs as ({_user(owner)}?)",
    )


async def space(path: Path, largest: int) -> AsyncIterator[Result]:
    """Whether the file system of `path` has room. `largest`: bytes of the largest message."""
    there = existing(path)
    topic = Topic("disk.free", str(path))
    try:
        state = await apart(lambda: os.statvfs(there))
    except OSError as error:
        yield topic.unknown(str(error.strerror))
        return
    yield roomy(topic, state.f_bavail * state.f_frsize, state.f_blocks * state.f_frsize, largest)
    if state.f_files and state.f_favail * 100 < state.f_files * LITTLE:
        yield topic.warning(
            f"{state.f_favail:,} files are left of {state.f_files:,}", "delete files, or move the folder"
        )


def roomy(topic: Topic, free: int, whole: int, largest: int) -> Result:
    """What so many bytes free of so many mean."""
    told = f"{free / GIB:.1f} GiB of {whole / GIB:.1f} GiB are free"
    if free < 2 * largest:
        return topic.failed(f"{told}: not enough for the largest message", "make room, or move the folder")
    if free < GIB or free * 100 < whole * LITTLE:
        return topic.warning(told, "make room: smaller quarantine.keep_days or records.keep_days, or another disk")
    return topic.ok(told)

"""Databases and folders, well and unwell; nothing is left in them."""

import errno
import os
import sqlite3
import subprocess
import sys
import time

import pytest
from alembic import command

from relay.onboarding.doctor import stores as subject
from relay.onboarding.doctor.clock import Clocks
from relay.onboarding.doctor.result import Topic
from relay.quarantine import disk
from relay.records import probe
from relay.records.store import Store

GIB = subject.GIB
TOPIC = Topic("folder.writable", "f")


@pytest.fixture
def opened(tmp_path):
    """A database in a file of that name."""
    made = []

    def opened(name="sluice.db"):
        made.append(Store(f"sqlite:///{tmp_path / name}", busy=0.05))
        return made[-1]

    yield opened
    for store in made:
        store.close()


@pytest.fixture
def looked(gathered, states):
    async def looked(store):
        return states(await gathered(subject.database(store, Clocks())))

    return looked


async def test_a_database_that_is_well(opened, looked, tmp_path):
    store = opened()
    store.migrate()
    assert await looked(store) == {"store.reachable": "ok", "store.schema": "ok", "store.writable": "ok"}
    with sqlite3.connect(tmp_path / "sluice.db") as connection:
        assert connection.execute("SELECT count(*) FROM scans").fetchone() == (0,)
    connection.close()


async def test_no_database(opened, looked, tmp_path):
    assert await looked(opened()) == {"store.reachable": "failed"}
    assert not (tmp_path / "sluice.db").exists()


async def test_a_file_that_is_no_database(opened, looked, tmp_path):
    (tmp_path / "sluice.db").write_bytes(b"x" * 10_000)
    assert await looked(opened()) == {"store.reachable": "failed"}


async def test_a_database_without_tables(opened, looked, tmp_path):
    (tmp_path / "sluice.db").touch()
    assert await looked(opened()) == {"store.reachable": "ok", "store.schema": "failed"}


async def test_a_database_of_an_earlier_version(opened, looked, monkeypatch):
    upgrade, store = command.upgrade, opened()
    with monkeypatch.context() as patched:
        patched.setattr(command, "upgrade", lambda config, _head: upgrade(config, "0001"))
        store.migrate()
    assert await looked(store) == {"store.reachable": "ok", "store.schema": "failed"}
    with store.reading():
        assert probe.schema(store)[0] == "0001"  # it was not brought up to date


async def test_a_database_of_a_later_version(opened, looked, tmp_path):
    store = opened()
    store.migrate()
    with sqlite3.connect(tmp_path / "sluice.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    assert await looked(store) == {"store.reachable": "ok", "store.schema": "failed"}


async def test_a_database_that_takes_no_writes(opened, looked, tmp_path):
    store = opened()
    store.migrate()
    blocker = sqlite3.connect(tmp_path / "sluice.db", isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")
    assert (await looked(store))["store.writable"] == "failed"
    blocker.close()


async def test_a_server_tells_its_time(opened, gathered, monkeypatch):
    store, clocks = opened(), Clocks()
    store.migrate()
    monkeypatch.setattr(probe, "clock", lambda _: time.time() + 600)
    await gathered(subject.database(store, clocks))
    (result,) = clocks.results(time.time())
    assert (str(result.state), "by the database" in result.found) == ("warning", True)


def tree(path):
    return sorted(path.rglob("*"))


@pytest.mark.parametrize("there", ["whole", "parent", "nothing"])
async def test_a_folder_that_takes_files(gathered, states, tmp_path, there):
    folder = tmp_path / "state" / "quarantine" / "tmp"
    if there != "nothing":
        (folder if there == "whole" else folder.parent).mkdir(parents=True)
    before = tree(tmp_path)
    assert states(await gathered(subject.folder(TOPIC, folder))) == {"folder.writable": "ok", "folder.owner": "ok"}
    assert tree(tmp_path) == before


async def test_a_file_where_a_folder_should_be(gathered, states, tmp_path):
    (tmp_path / "state").touch()
    assert states(await gathered(subject.folder(TOPIC, tmp_path / "state")))["folder.writable"] == "failed"


async def test_a_dangling_link(gathered, states, tmp_path):
    (tmp_path / "state").symlink_to(tmp_path / "none")
    assert states(await gathered(subject.folder(TOPIC, tmp_path / "state")))["folder.writable"] == "failed"


@pytest.mark.parametrize("step", ["write_file", "sync_folder"])
async def test_a_disk_that_is_full_or_broken(gathered, states, tmp_path, monkeypatch, step):
    def fails(path, *_):
        path.touch() if step == "write_file" else None
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    monkeypatch.setattr(disk, step, fails)
    results = await gathered(subject.folder(TOPIC, tmp_path))
    assert states(results)["folder.writable"] == "failed"
    assert "No space left" in results[0].found
    assert tree(tmp_path) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
async def test_a_folder_of_somebody_else(gathered, states, tmp_path):
    os.chown(tmp_path, 65534, 65534)
    results = await gathered(subject.folder(TOPIC, tmp_path))
    assert states(results)["folder.owner"] == "warning"
    assert results[1].found == "it is nobody's, and this was tried as root"
    os.chown(tmp_path, 12345, 12345)
    assert (await gathered(subject.folder(TOPIC, tmp_path)))[1].found.startswith("it is user 12345's")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another")
def test_a_folder_that_others_may_not_write(tmp_path):
    """Asked as another user, in a process of its own."""
    tmp_path.chmod(0o755)
    code = (
        "import sys, os, asyncio; from pathlib import Path\n"
        "from relay.onboarding.doctor import stores; from relay.onboarding.doctor.result import Topic\n"
        "os.setegid(65534); os.seteuid(65534)\n"
        "async def main():\n"
        "    async for result in stores.folder(Topic('f', 'f'), Path(sys.argv[1])): print(result.state, result.found)\n"
        "asyncio.run(main())\n"
    )
    ran = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)
    first, second = ran.stdout.splitlines()
    assert first == f"failed {first.partition(' ')[2]}"
    assert "Permission denied" in first
    assert second == "warning it is root's, and this was tried as nobody"


@pytest.mark.parametrize(
    ("free", "whole", "state"),
    [
        (500 * GIB, 1000 * GIB, "ok"),
        (2 * GIB, 20 * GIB, "ok"),
        (0.5 * GIB, 5 * GIB, "warning"),
        (20 * GIB, 1000 * GIB, "warning"),
        (90_000_000, GIB, "failed"),
        (0, 0, "failed"),
    ],
)
def test_room(free, whole, state):
    assert str(subject.roomy(TOPIC, int(free), int(whole), 48_000_000).state) == state


async def test_the_room_of_a_folder_that_is_not_there_yet(gathered, tmp_path):
    (result, *_) = await gathered(subject.space(tmp_path / "a" / "b", 0))
    assert "GiB are free" in result.found
    assert result.subject == str(tmp_path / "a" / "b")


async def test_few_files_left(gathered, tmp_path, monkeypatch):
    real = os.statvfs(tmp_path)
    few = os.statvfs_result((*real[:5], 1000, 10, 10, *real[8:10]))
    monkeypatch.setattr(os, "statvfs", lambda _: few)
    assert [result.found for result in await gathered(subject.space(tmp_path, 0))][1:] == ["10 files are left of 1,000"]

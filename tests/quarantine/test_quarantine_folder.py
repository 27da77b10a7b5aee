import asyncio
import os
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from quarantine_kit import BODY, HOSTILE, NOW
from structlog.testing import capture_logs

from relay.errors import StoreFailed
from relay.quarantine import disk
from relay.quarantine.entry import Damaged
from relay.quarantine.folder import Folder
from relay.quarantine.ids import NoSuchEntry

DAY = 86_400


async def test_what_is_kept_is_shown(folder, entry, pieces, tmp_path) -> None:
    kept = entry()
    assert await folder.keep(kept, pieces) == kept.id
    assert folder.show(kept.id) == kept
    assert b"".join(folder.pieces(kept.id)) == BODY
    assert folder.list(10) == [kept]
    assert folder.count() == 1
    home = tmp_path / "quarantine" / "2023-11-14" / kept.id
    assert {path.name for path in home.iterdir()} == {"message.eml", "entry.json"}


async def test_nobody_else_may_read_it(folder, entry, pieces, tmp_path) -> None:
    before = os.umask(0)
    try:
        await folder.keep(entry(), pieces)
    finally:
        os.umask(before)
    root = tmp_path / "quarantine"
    modes = {path.stat().st_mode & 0o777 for path in [root, *root.rglob("*")] if path.is_dir()}
    assert modes == {0o700}
    assert {path.stat().st_mode & 0o777 for path in root.rglob("*") if path.is_file()} == {0o600}


async def test_the_newest_come_first(folder, entry, pieces) -> None:
    kept = [entry(NOW + hours * 3600) for hours in (5, 1, 30, 2, 0)]
    for one in kept:
        await folder.keep(one, pieces)
    newest = sorted(kept, key=lambda one: -one.at)
    assert folder.list(100) == newest
    assert folder.list(2) == newest[:2]
    assert folder.list(0) == []


async def test_an_empty_quarantine(folder) -> None:
    assert (folder.list(5), folder.count(), folder.expire(NOW)) == ([], 0, 0)


async def test_a_deleted_entry_is_gone_for_everyone(folder, entry, pieces, litter) -> None:
    one = await folder.keep(entry(), pieces)
    reading = folder.pieces(one)
    first = next(reading)
    folder.delete(one)
    assert first + b"".join(reading) == BODY  # who reads already reads to the end
    for ask in (folder.show, folder.pieces, folder.delete, lambda i: folder.mark_released(i, "250")):
        with pytest.raises(NoSuchEntry):
            ask(one)
    assert litter() == []


@pytest.mark.parametrize("name", HOSTILE)
async def test_hostile_names_lead_nowhere(folder, entry, pieces, name, litter) -> None:
    await folder.keep(entry(), pieces)
    before = litter()
    for ask in (folder.show, folder.pieces, folder.delete, lambda i: folder.mark_released(i, "250")):
        with pytest.raises(NoSuchEntry):
            ask(name)
    with pytest.raises(NoSuchEntry):
        await folder.keep(entry(id=name), pieces)
    assert litter() == before


async def test_release_is_remembered(folder, entry, pieces, litter) -> None:
    kept = entry()
    await folder.keep(kept, pieces)
    folder.mark_released(kept.id, "250 2.0.0 ok")
    assert folder.show(kept.id) == replace(kept, released="250 2.0.0 ok")
    assert b"".join(folder.pieces(kept.id)) == BODY
    assert [path.rpartition("/")[2] for path in litter()] == ["entry.json", "message.eml"]


@pytest.mark.parametrize("name", ["writev", "fsync", "rename"])
async def test_a_failed_release_mark_leaves_the_entry(folder, entry, pieces, litter, monkeypatch, *, name) -> None:
    kept = entry()
    await folder.keep(kept, pieces)

    def fail(*_: object) -> None:
        raise OSError(5, "injected")

    with monkeypatch.context() as patched:
        patched.setattr(os, name, fail)
        with pytest.raises(StoreFailed):
            folder.mark_released(kept.id, "250 ok")
    assert folder.show(kept.id) == kept
    assert len(litter()) == 2


async def test_a_tmp_that_went_away_is_made_again(folder, entry, pieces, tmp_path) -> None:
    one = await folder.keep(entry(), pieces)
    (tmp_path / "quarantine/tmp").rmdir()
    folder.mark_released(one, "250 ok")
    (tmp_path / "quarantine/tmp").rmdir()
    folder.delete(one)
    assert folder.count() == 0


@pytest.mark.parametrize("damage", ["garbage", "gone", "folder", "another"])
async def test_one_damaged_entry_does_not_break_the_list(folder, entry, pieces, tmp_path, damage) -> None:
    good, bad = entry(), entry(NOW + 1)
    for one in (good, bad):
        await folder.keep(one, pieces)
    path = tmp_path / "quarantine/2023-11-14" / bad.id / "entry.json"
    if damage == "garbage":
        path.write_bytes(path.read_bytes()[:50])
    elif damage == "another":
        path.write_bytes(path.read_bytes().replace(bad.id.encode(), good.id.encode()))
    else:
        path.unlink()
        if damage == "folder":
            path.mkdir()
    with capture_logs() as told:
        assert folder.list(10) == [good]
    assert [(line["event"], line["id"]) for line in told] == [("entry cannot be read", bad.id)]
    with pytest.raises((Damaged, NoSuchEntry, StoreFailed)):
        folder.show(bad.id)
    assert b"".join(folder.pieces(bad.id)) == BODY
    folder.delete(bad.id)
    assert folder.count() == 1


async def test_strange_files_are_no_entries(folder, entry, pieces, tmp_path) -> None:
    kept = entry()
    await folder.keep(kept, pieces)
    root = tmp_path / "quarantine"
    (root / "note.txt").touch()
    (root / "2023-11-14/lost+found").mkdir()
    (root / "2023-11-15").mkdir()
    (root / "2023-11-15" / kept.id).mkdir()  # another day than its identifier tells
    assert (folder.list(10), folder.count()) == ([kept], 1)


async def test_expiry_takes_what_is_older(folder, entry, pieces, tmp_path) -> None:
    ages = [0, 10, DAY - 100, DAY + 100, 3 * DAY]
    kept = [entry(NOW - age) for age in ages]
    for one in kept:
        await folder.keep(one, pieces)
    assert folder.expire(NOW - DAY) == 2
    assert folder.list(10) == kept[:3]
    assert sorted(path.name for path in (tmp_path / "quarantine").iterdir()) == ["2023-11-13", "2023-11-14", "tmp"]
    assert folder.expire(NOW - DAY) == 0
    assert folder.expire(NOW + 10 * DAY) == 3
    assert [path.name for path in (tmp_path / "quarantine").iterdir()] == ["tmp"]


async def test_old_leftovers_are_swept(folder, entry, pieces, tmp_path) -> None:
    await folder.keep(entry(), pieces)
    work = tmp_path / "quarantine/tmp"
    for name in ("old", "new"):
        (work / name).mkdir()
        (work / name / "message.eml").touch()
        (work / f"{name}-file").touch()
    long_ago = time.time() - 3700
    os.utime(work / "old", (long_ago, long_ago))
    os.utime(work / "old-file", (long_ago, long_ago))
    assert folder.expire(NOW - DAY) == 0
    assert sorted(path.name for path in work.iterdir()) == ["new", "new-file"]


async def test_too_few_bytes_are_not_kept(folder, entry, pieces, litter) -> None:
    with pytest.raises(StoreFailed) as raised:
        await folder.keep(entry(size=len(BODY) + 1), pieces)
    assert raised.value.reply.code == 451
    assert raised.value.reason == "quarantine"
    assert (litter(), folder.list(5)) == ([], [])


@pytest.mark.parametrize("problem", [OSError(5, "draft"), ValueError("closed"), MemoryError()])
async def test_bytes_that_break_off_are_not_kept(folder, entry, litter, problem) -> None:
    def pieces():
        yield BODY[:5]
        raise problem

    with pytest.raises((StoreFailed, ValueError, MemoryError)):
        await folder.keep(entry(), pieces)
    assert (litter(), folder.list(5)) == ([], [])


async def test_an_identifier_used_twice_harms_nothing(folder, entry, pieces) -> None:
    kept = entry()
    await folder.keep(kept, pieces)
    with pytest.raises(StoreFailed):
        await folder.keep(replace(kept, subject="other"), pieces)
    assert folder.show(kept.id) == kept
    assert b"".join(folder.pieces(kept.id)) == BODY


async def test_a_quarantine_that_cannot_be(tmp_path, entry, pieces) -> None:
    (tmp_path / "file").touch()
    folder = Folder(tmp_path / "file" / "quarantine")
    with pytest.raises(StoreFailed):
        await folder.keep(entry(), pieces)
    for ask in (lambda: folder.list(1), folder.count, lambda: folder.expire(NOW)):
        with pytest.raises(StoreFailed):
            ask()
    folder.close()


async def test_many_at_once_by_several_processes(tmp_path, entry, pieces) -> None:
    folders = [Folder(tmp_path / "quarantine") for _ in range(3)]  # they share nothing but the disk, as processes do
    kept = [entry(NOW + number) for number in range(30)]
    await asyncio.gather(*(folders[number % 3].keep(one, pieces) for number, one in enumerate(kept)))
    assert folders[0].list(100) == kept[::-1]
    ids = {one.id for one in kept}

    def delete(turn: int) -> int:
        try:
            folders[turn % 3].delete(kept[turn // 6].id)
        except NoSuchEntry:
            return 0
        return 1

    with ThreadPoolExecutor(8) as threads:
        lists = [threads.submit(folders[0].list, 100) for _ in range(10)]
        assert sum(threads.map(delete, range(180))) == 30  # each was deleted by one of six
    for listed in lists:
        assert {one.id for one in listed.result()} <= ids
    assert folders[1].count() == 0
    for folder in folders:
        folder.close()


async def test_keeping_does_not_block_the_loop(folder, entry) -> None:
    loop, going = asyncio.get_running_loop(), asyncio.Event()
    release = asyncio.Event()

    def pieces():
        loop.call_soon_threadsafe(going.set)
        asyncio.run_coroutine_threadsafe(release.wait(), loop).result()
        yield BODY

    task = asyncio.create_task(folder.keep(entry(), pieces))
    await going.wait()
    assert folder.list(5) == []  # what is being written is not listed
    release.set()
    await task
    assert folder.count() == 1


@settings(max_examples=60, deadline=None)
@given(st.lists(st.binary(max_size=50), max_size=40), st.integers(1, 7), st.integers(1, 60))
def test_bytes_are_written_exactly(tmp_path_factory, chunks, pieces_at_once, bytes_at_once) -> None:
    path = Path(tmp_path_factory.mktemp("disk")) / "file"
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(disk, "BATCH_PIECES", pieces_at_once)
        patched.setattr(disk, "BATCH_BYTES", bytes_at_once)
        patched.setattr(disk, "READ_BYTES", 7)
        size = disk.write_file(path, iter(chunks))
        assert b"".join(disk.read_file(path)) == b"".join(chunks)
    assert size == sum(map(len, chunks))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.binary(max_size=50), max_size=40), st.integers(1, 9))
def test_a_kernel_that_takes_little_is_asked_again(tmp_path_factory, chunks, little) -> None:
    path = Path(tmp_path_factory.mktemp("disk")) / "file"

    def short(descriptor: int, pieces: list[bytes]) -> int:
        return os.write(descriptor, b"".join(pieces)[:little])

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(os, "writev", short)
        disk.write_file(path, chunks)
    assert path.read_bytes() == b"".join(chunks)


def test_a_kernel_that_takes_nothing_is_a_failure(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(os, "writev", lambda *_: 0)
    with pytest.raises(OSError, match="nothing was written"):
        disk.write_file(tmp_path / "file", [b"x"])

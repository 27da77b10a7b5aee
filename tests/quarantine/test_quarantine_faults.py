"""Crash safety: whatever fails, and wherever the process is killed, an entry is there whole or not at all."""

import errno
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from quarantine_kit import BODY, NOW

from relay.errors import StoreFailed
from relay.quarantine.folder import Folder

CALLS = ("open", "close", "writev", "fsync", "rename", "mkdir")
STEPS = {"open": 8, "close": 8, "writev": 2, "fsync": 8, "rename": 1, "mkdir": 4}
"""How often `keep` makes each call in a new folder; checked below, so that the table over all of them is whole."""
FAULTS = [(name, turn, False) for name in CALLS for turn in range(STEPS[name])]
LASTING = [(name, turn, True) for name in ("writev", "fsync", "rename", "mkdir") for turn in range(STEPS[name])]
"""Without open and close nothing can be removed; see the test of leftovers."""


class Calls:
    """Stands before functions of `os`: notes them, and makes the turns of them that `fails` names fail."""

    def __init__(self, patched: pytest.MonkeyPatch, **fails: range) -> None:
        self.made: list[tuple[str, str]] = []
        for name in CALLS:
            patched.setattr(os, name, self._standing(name, getattr(os, name), fails.get(name, range(0))))

    def _standing(self, name: str, real: Callable, fails: range) -> Callable:
        turns = iter(range(100_000))

        def call(first, *rest, **more):
            self.made.append((name, place(first)))
            if next(turns) in fails:
                if name == "close":
                    real(first)
                raise OSError(errno.EIO, "injected")
            return real(first, *rest, **more)

        return call


def place(thing: object) -> str:
    return os.readlink(f"/proc/self/fd/{thing}") if isinstance(thing, int) else str(thing)


async def test_the_table_covers_every_call(folder, entry, pieces, monkeypatch) -> None:
    with monkeypatch.context() as patched:
        calls = Calls(patched)
        await folder.keep(entry(), pieces)
    names = [name for name, _ in calls.made]
    assert {name: names.count(name) for name in CALLS} == STEPS


@pytest.mark.parametrize(("name", "turn", "lasting"), FAULTS + LASTING)
async def test_a_failing_step_is_451_and_leaves_nothing(
    folder, entry, pieces, litter, monkeypatch, *, name, turn, lasting
) -> None:
    with monkeypatch.context() as patched:
        Calls(patched, **{name: range(turn, 10_000 if lasting else turn + 1)})
        with pytest.raises(StoreFailed) as raised:
            await folder.keep(entry(), pieces)
    assert (raised.value.reply.code, raised.value.reply.enhanced) == (451, "4.3.0")
    assert raised.value.reason == "quarantine"
    assert (litter(), folder.list(5), folder.count()) == ([], [], 0)
    kept = await folder.keep(entry(), pieces)  # and the next one is kept
    assert b"".join(folder.pieces(kept)) == BODY


@pytest.mark.parametrize("turn", range(STEPS["open"]))
async def test_what_cannot_even_be_removed_is_not_half_listed(
    folder, entry, pieces, monkeypatch, tmp_path, *, turn
) -> None:
    with monkeypatch.context() as patched:
        Calls(patched, open=range(turn, 10_000))
        with pytest.raises(StoreFailed):
            await folder.keep(entry(), pieces)
    assert folder.list(5) == []
    leftovers = list((tmp_path / "quarantine").glob("tmp/*"))
    for path in leftovers:
        os.utime(path, (1.0, 1.0))
    folder.expire(NOW - 86_400)
    assert not list((tmp_path / "quarantine").glob("tmp/*"))


async def test_a_late_failure_that_cannot_be_renamed_away(folder, entry, pieces, litter, monkeypatch) -> None:
    with monkeypatch.context() as patched:
        Calls(patched, fsync=range(6, 7), rename=range(1, 10_000))
        with pytest.raises(StoreFailed):
            await folder.keep(entry(), pieces)
    assert (litter(), folder.list(5)) == ([], [])


async def test_the_order_is_what_makes_it_safe(folder, entry, pieces, monkeypatch, tmp_path) -> None:
    one = entry()
    with monkeypatch.context() as patched:
        calls = Calls(patched)
        await folder.keep(one, pieces)
    root, work, day = tmp_path / "quarantine", tmp_path / f"quarantine/tmp/{one.id}", "2023-11-14"
    assert [(name, path) for name, path in calls.made if name not in ("open", "close")] == [
        ("mkdir", str(root)),
        ("fsync", str(tmp_path)),
        ("mkdir", str(root / "tmp")),
        ("fsync", str(root)),
        ("mkdir", str(work)),
        ("writev", str(work / "message.eml")),
        ("fsync", str(work / "message.eml")),
        ("writev", str(work / "entry.json")),
        ("fsync", str(work / "entry.json")),
        ("fsync", str(work)),
        ("mkdir", str(root / day)),
        ("fsync", str(root)),
        ("rename", str(work)),
        ("fsync", str(root / day)),
        ("fsync", str(root)),
    ]


async def test_a_known_day_is_synced_all_the_same(folder, entry, pieces, monkeypatch, tmp_path) -> None:
    await folder.keep(entry(), pieces)
    with monkeypatch.context() as patched:
        calls = Calls(patched)
        await folder.keep(entry(), pieces)
    root = tmp_path / "quarantine"
    after = calls.made[[name for name, _ in calls.made].index("rename") + 1 :]
    assert [path for name, path in after if name == "fsync"] == [str(root / "2023-11-14"), str(root)]


CHILD = """
import asyncio, os, sys
sys.path[:0] = {path!r}
from quarantine_kit import BODY, NOW
from pathlib import Path
from relay.quarantine.entry import Entry
from relay.quarantine.folder import Folder
from relay.quarantine.ids import new_id

def stop_at(name, turn):
    real, turns = getattr(os, name), iter(range(1000))
    def call(*given, **more):
        if next(turns) == turn:
            print("here", flush=True)
            sys.stdin.read()
        return real(*given, **more)
    setattr(os, name, call)

def pieces():
    yield BODY[:1000]
    yield BODY[1000:]

async def main():
    folder = Folder(Path(sys.argv[1]))
    if sys.argv[2]:
        stop_at(sys.argv[2], int(sys.argv[3]))
    while True:
        id = new_id(NOW)
        await folder.keep(Entry(id=id, at=NOW, tenant="t", session={{}}, sender="s", recipients=[], size=len(BODY),
                                next_hop="h:25"), pieces)
        print(id, flush=True)

asyncio.run(main())
"""


@contextmanager
def child(path: Path, name: str = "", turn: int = 0) -> Iterator[subprocess.Popen[bytes]]:
    code = CHILD.format(path=[str(Path(__file__).parent), str(Path(__file__).parents[2])])
    command = [sys.executable, "-c", code, str(path), name, str(turn)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            yield process
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait()


@pytest.mark.parametrize(
    ("name", "turn", "there"),
    [("writev", 0, 0), ("writev", 1, 0), ("fsync", 4, 0), ("rename", 0, 0), ("fsync", 6, 1)],
)
def test_killed_in_the_middle(folder, tmp_path, name, turn, there) -> None:
    with child(tmp_path / "quarantine", name, turn) as process:
        assert process.stdout.readline() == b"here\n"
    listed = folder.list(10)
    assert len(listed) == folder.count() == there
    for one in listed:
        assert b"".join(folder.pieces(one.id)) == BODY
    for path in (tmp_path / "quarantine").glob("tmp/*"):
        os.utime(path, (time.time() - 4000,) * 2)
    folder.expire(NOW - 86_400)
    assert not list((tmp_path / "quarantine").glob("tmp/*"))
    assert folder.count() == there


def test_killed_under_load(folder, tmp_path) -> None:
    with child(tmp_path / "quarantine") as process:
        promised = [process.stdout.readline().decode().strip() for _ in range(25)]
    listed = {one.id for one in folder.list(10_000)}
    assert set(promised) <= listed
    assert all(b"".join(folder.pieces(one)) == BODY for one in listed)


@contextmanager
def full_disk(path: Path, size: int) -> Iterator[None]:
    """A disk of `size` bytes at `path`; where mounting is not allowed, the same limit on each file."""
    path.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(path)]
    if subprocess.run(mount, capture_output=True).returncode == 0:
        try:
            yield
        finally:
            subprocess.run(["umount", "-l", str(path)], check=True)
        return
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


async def test_a_full_disk(tmp_path, entry, pieces) -> None:
    disk = tmp_path / "disk"
    big = [bytes(100_000)] * 5
    with full_disk(disk, 262_144):
        folder = Folder(disk / "quarantine")
        with pytest.raises(StoreFailed) as raised:
            await folder.keep(entry(size=500_000), lambda: big)
        assert any(text in raised.value.detail for text in ("No space left", "File too large"))
        assert not [path for path in disk.rglob("*") if path.is_file()]
        kept = await folder.keep(entry(), pieces)  # room for a small one
        assert b"".join(folder.pieces(kept)) == BODY
        folder.close()

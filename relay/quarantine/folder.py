"""The quarantine as a folder: `<folder>/<day>/<id>/message.eml` and `entry.json`.

An entry is written below `<folder>/tmp`, synced, and renamed into its day, so it is there whole or not at all. Several
processes may share the folder: each change is one rename, and who comes second hears NoSuchEntry. All methods but
`keep` block. An OSError becomes StoreFailed.
"""

import asyncio
import builtins
import re
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import structlog

from relay import replies
from relay.errors import StoreFailed
from relay.quarantine import disk
from relay.quarantine.entry import Damaged, Entry, from_json, to_json
from relay.quarantine.ids import NoSuchEntry, day_of, is_id, new_id, time_of

MESSAGE, ENTRY, WORK = "message.eml", "entry.json", "tmp"
THREADS = 4
"""Writers of one process; they are the quarantine's own, so that a hanging disk holds up nothing else."""
LEFTOVER_SECONDS = 3600.0
"""Age at which what lies in `tmp` can only be the leftover of a crash."""

_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")

log = structlog.get_logger("quarantine")


@contextmanager
def _door() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StoreFailed(replies.LOCAL_FAILURE, "quarantine", str(error)) from error


class Folder:
    """Withheld messages below `path`, which is made when the first one comes."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._work = path / WORK
        self._threads = ThreadPoolExecutor(THREADS, "quarantine")

    def close(self) -> None:
        """End the threads; a running `keep` is finished."""
        self._threads.shutdown(wait=False)

    async def keep(self, entry: Entry, pieces: Callable[[], Iterable[bytes]]) -> str:
        """Keep a message; returns its identifier when bytes and evidence will survive a power cut.

        `pieces` is called in another thread and must yield `entry.size` bytes. Raises StoreFailed (451), and then
        nothing is left. It cannot be cancelled once it has begun: the bytes must stay readable until it returns.
        """
        home = self._home(entry.id)
        with _door():
            await asyncio.get_running_loop().run_in_executor(self._threads, self._keep, entry, home, pieces)
        return entry.id

    def show(self, entry_id: str) -> Entry:
        """One entry. Raises NoSuchEntry; Damaged when its file cannot be understood; StoreFailed."""
        path = self._home(entry_id) / ENTRY
        with _door():
            try:
                entry = from_json(path.read_bytes())
            except FileNotFoundError:
                raise NoSuchEntry(entry_id) from None
        if entry.id != entry_id:
            raise Damaged("the entry has another's identifier")
        return entry

    def pieces(self, entry_id: str) -> Iterator[bytes]:
        """The bytes of a message, read as they are taken. Raises NoSuchEntry at once, StoreFailed at once or later."""
        path = self._home(entry_id) / MESSAGE
        with _door():
            if not path.is_file():
                raise NoSuchEntry(entry_id)
        return self._pieces(path)

    def mark_released(self, entry_id: str, reply: str) -> None:
        """Remember what the next hop said. Raises NoSuchEntry, Damaged, StoreFailed."""
        entry = replace(self.show(entry_id), released=reply)
        draft, home = self._work / new_id(entry.at), self._home(entry_id)
        with _door():
            disk.make_folder(self._work)
            try:
                disk.write_file(draft, [to_json(entry)])
                draft.rename(home / ENTRY)
                disk.sync_folder(home)
            except FileNotFoundError:  # deleted meanwhile
                raise NoSuchEntry(entry_id) from None
            finally:
                disk.remove(draft)

    def delete(self, entry_id: str) -> None:
        """Delete a message and its evidence. Raises NoSuchEntry, StoreFailed."""
        home = self._home(entry_id)
        with _door():
            self._delete(entry_id, home)
            with suppress(FileNotFoundError):  # the day has expired meanwhile
                disk.sync_folder(home.parent)

    def expire(self, before: float) -> int:
        """Delete what came before `before` (seconds since the epoch), and leftovers of crashes.

        Returns how many entries it deleted. Raises StoreFailed.
        """
        expired = 0
        with _door():
            for day in self._days():
                if day <= day_of(before):
                    expired += self._expire_day(day, before)
            self._sweep(time.time() - LEFTOVER_SECONDS)
        return expired

    def count(self) -> int:
        """How many entries there are. Raises StoreFailed."""
        with _door():
            return sum(len(self._ids(day)) for day in self._days())

    def list(self, limit: int) -> builtins.list[Entry]:
        """The newest `limit` entries, newest first; one that cannot be read is told in the log and skipped.

        Raises StoreFailed.
        """
        entries: builtins.list[Entry] = []
        with _door():
            for entry_id in (entry_id for day in reversed(self._days()) for entry_id in reversed(self._ids(day))):
                if len(entries) >= limit:
                    break
                entries += self._shown(entry_id)
        return entries

    def _home(self, entry_id: str) -> Path:
        """Where an entry lies: the identifier tells the day. Raises NoSuchEntry for what is not an identifier."""
        return self._path / day_of(time_of(entry_id)) / entry_id

    def _keep(self, entry: Entry, home: Path, pieces: Callable[[], Iterable[bytes]]) -> None:
        work = self._work / entry.id
        disk.make_folder(self._work)
        work.mkdir(0o700)
        try:
            _write_entry(work, entry, pieces())
            disk.make_folder(home.parent)
            work.rename(home)
        except BaseException:
            disk.remove(work)
            raise
        try:
            disk.sync_folder(home.parent)
            # Always, not only for a new day: another process may have made the day, and not have synced it yet.
            disk.sync_folder(self._path)
        except BaseException:
            self._withdraw(entry.id, home)
            raise

    def _withdraw(self, entry_id: str, home: Path) -> None:
        with suppress(NoSuchEntry, OSError):
            self._delete(entry_id, home)
        disk.remove(home)

    def _delete(self, entry_id: str, home: Path) -> None:
        """Out of its day first, so that nobody lists half an entry."""
        work = self._work / entry_id
        disk.make_folder(self._work)
        try:
            home.rename(work)
        except FileNotFoundError:
            raise NoSuchEntry(entry_id) from None
        disk.remove(work)

    def _pieces(self, path: Path) -> Iterator[bytes]:
        with _door():
            yield from disk.read_file(path)

    def _shown(self, entry_id: str) -> builtins.list[Entry]:
        try:
            return [self.show(entry_id)]
        except NoSuchEntry as error:
            problem: Exception = error
        except (Damaged, StoreFailed) as error:
            problem = error
        if self._home(entry_id).exists():  # else it was deleted meanwhile
            log.warning("entry cannot be read", id=entry_id, problem=str(problem))
        return []

    def _days(self) -> builtins.list[str]:
        return [name for name in _names(self._path) if _DAY.fullmatch(name)]

    def _ids(self, day: str) -> builtins.list[str]:
        return [name for name in _names(self._path / day) if is_id(name) and day_of(time_of(name)) == day]

    def _expire_day(self, day: str, before: float) -> int:
        expired = 0
        for entry_id in self._ids(day):
            if time_of(entry_id) < before:
                with suppress(NoSuchEntry):  # another process was faster
                    self._delete(entry_id, self._home(entry_id))
                    expired += 1
        if day < day_of(before):
            with suppress(OSError):  # something else lies there
                (self._path / day).rmdir()
        return expired

    def _sweep(self, before: float) -> None:
        for name in _names(self._work):
            path = self._work / name
            with suppress(FileNotFoundError):
                if path.stat().st_mtime < before:
                    disk.remove(path)


def _write_entry(work: Path, entry: Entry, pieces: Iterable[bytes]) -> None:
    size = disk.write_file(work / MESSAGE, pieces)
    if size != entry.size:
        raise OSError(f"{size} bytes came of {entry.size}")
    disk.write_file(work / ENTRY, [to_json(entry)])
    disk.sync_folder(work)


def _names(path: Path) -> list[str]:
    """The names in a folder, sorted; none when it is not there."""
    try:
        return sorted(child.name for child in path.iterdir())
    except FileNotFoundError:
        return []

"""What this node remembers of Microsoft's lists: one file in the state folder, read with care and written whole.

All of it blocks. Several processes use the file, and who changes it holds a lock on the folder.
"""

import errno
import fcntl
import os
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field, TypeAdapter, ValidationError

from relay.intake.microsoft import INSTANCES, Published, date_of
from relay.onboarding.ranges.guards import impossible

NAME = "microsoft-ranges.json"
PATIENCE = 5.0
"""Seconds that a lock is waited for; it is held for milliseconds."""
HOUR = 3_600.0
"""Seconds: Microsoft is asked at most once in each."""


def _possible(published: Published) -> Published:
    """`published` if it is a list that can be. Raises ValueError."""
    date_of(published.version)
    if reason := impossible(published.networks):
        raise ValueError(reason)
    return published


Usable = Annotated[Published, AfterValidator(_possible)]
Moment = Annotated[float, Field(ge=0, allow_inf_nan=False)]


@dataclass(frozen=True, slots=True)
class Held:
    """A list that waits for an operator's yes, and since when."""

    published: Usable
    since: Moment


@dataclass(frozen=True, slots=True)
class Cloud:
    """What is remembered of one cloud. Times are seconds since the epoch, 0 when it never happened."""

    asked: Moment = 0.0
    """When Microsoft was last asked, whatever came of it."""
    next: Moment = 0.0
    """When it may be asked again."""
    checked: Moment = 0.0
    """When it last gave an answer that can be used."""
    problem: str = ""
    """Why its last answer cannot be used; "" when it can."""
    fetched: Usable | None = None
    held: Held | None = None

    def may_be_asked(self, now: float) -> float:
        """When Microsoft may be asked again; 0 when the clock was set back since it was asked last."""
        return self.next if self.asked <= now else 0.0


@dataclass(frozen=True, slots=True)
class Memory:
    """All that is remembered."""

    client: Annotated[str, AfterValidator(lambda text: str(uuid.UUID(text)))] = field(
        default_factory=lambda: str(uuid.uuid4())
    )
    """Our id for the web service: random, and the same as long as the file lives."""
    clouds: Mapping[str, Cloud] = field(default_factory=dict)
    problem: Annotated[str, Field(exclude=True)] = ""
    """Why the file does not count; "" when it does."""

    def cloud(self, name: str) -> Cloud:
        """What is remembered of the cloud `name`."""
        return self.clouds.get(name, Cloud())

    def fetched(self) -> dict[str, Published]:
        """The lists that were fetched, by cloud."""
        return {name: cloud.fetched for name, cloud in self.clouds.items() if cloud.fetched}


_FORM = TypeAdapter(Memory)


class Notebook:
    """The file in the state folder. While it is damaged, what this process read of it before goes on to count."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._file = folder, folder / NAME
        self._good: Memory | None = None
        self._seen: tuple[object, Memory] = (object(), Memory())

    def read(self) -> Memory:
        """What is remembered: the same object as long as the file is the same. Raises nothing: see `Memory.problem`."""
        stamp, known = self._stamp(), self._seen
        if stamp != known[0]:
            try:
                known = stamp, self._load()
            except OSError as error:
                known = stamp, replace(self._good or Memory(), problem=f"{self._file} cannot be read: {error.strerror}")
            self._seen = known
        return known[1]

    def change(self, name: str, how: Callable[[Cloud], Cloud]) -> Memory:
        """Put what `how` makes of the cloud in its place; durable when this returns. Raises OSError."""
        with self._alone():
            memory = self._load()
            before = memory.cloud(name)
            after = how(before)
            if after != before:
                memory = replace(memory, clouds={**memory.clouds, name: after}, problem="")
                self._save(_FORM.dump_json(memory, indent=1))
            return memory

    def _stamp(self) -> tuple[int, int, int] | None:
        try:
            facts = self._file.stat()
        except OSError:
            return None
        return facts.st_ino, facts.st_mtime_ns, facts.st_size

    def _load(self) -> Memory:
        """Raises OSError when the file is there and cannot be read."""
        try:
            text, written = self._file.read_bytes(), self._file.stat().st_mtime
        except FileNotFoundError:
            return Memory()
        try:
            self._good = _FORM.validate_json(text, strict=True)
        except ValidationError as error:
            return replace(self._good or _unknown(written), problem=f"{self._file} is damaged: {_first(error)}")
        return self._good

    def _save(self, text: bytes) -> None:
        new = self._file.with_suffix(".new")  # one that a crash left behind is written over
        with new.open("wb") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        new.rename(self._file)
        with self._open_folder() as folder:
            os.fsync(folder)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        with self._open_folder() as folder:
            _lock(folder)
            yield

    @contextmanager
    def _open_folder(self) -> Iterator[int]:
        folder = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            yield folder
        finally:
            os.close(folder)


def _lock(folder: int) -> None:
    """Raises OSError when another process does not give it back: one that is stopped must not keep us from ending."""
    end = time.monotonic() + PATIENCE
    while True:
        try:
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            if time.monotonic() > end:
                raise OSError(errno.EAGAIN, "another process keeps the state folder locked") from error
            time.sleep(0.05)
        else:
            return


def _unknown(written: float) -> Memory:
    """Nobody knows when Microsoft was asked, but that it was not after the damaged file was written."""
    return Memory(clouds=dict.fromkeys(INSTANCES, Cloud(asked=written, next=written + HOUR)))


def _first(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False)[0]
    return ": ".join(filter(None, [".".join(map(str, first["loc"])), first["msg"]]))

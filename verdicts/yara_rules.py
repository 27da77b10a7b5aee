"""YARA rules: found in folders, compiled, and compiled again when they change.

Compiling takes seconds for thousands of rules, and the interpreter's lock: `yara_compiler.py` is a process of its own.
YARA-X is not imported here either, nor what unpacks files: that would stay in the relay's memory.
"""

import asyncio
import functools
import hashlib
import logging
import os
import subprocess
import sys
from asyncio.subprocess import PIPE
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from verdicts import outside
from verdicts.contract import Clock

_LOOK_SECONDS = 5.0
_COMPILE_SECONDS = 300.0
_PROGRAM = "from verdicts.yara_compiler import main; main()"

log = logging.getLogger("yara")


class Compiled(NamedTuple):
    """Rules as bytes of YARA-X, which only the same version of it can read."""

    key: str
    """Their SHA-256."""
    rules: bytes


def checked(folders: Iterable[str]) -> None:
    """Raises ValueError naming file and line, or OSError, and remembers the rules for who needs them next."""
    _compiled_once(tuple(folders), seen(folders))


class Rulebook:
    """The rules in force. Changes are looked for at most every few seconds; rules that are broken change nothing."""

    def __init__(self, folders: Sequence[str], clock: Clock) -> None:
        """Compiles them, unless they were checked before; raises as `checked` does."""
        self.problem = ""
        """Why what lies in the folders is not what is in force; empty when it is."""
        self._folders = tuple(folders)
        self._clock = clock
        self._seen = seen(self._folders)
        self._current = _named(_compiled_once(self._folders, self._seen))
        self._looked = clock.monotonic()
        self._refreshing: asyncio.Task[None] | None = None

    def current(self) -> Compiled:
        """The rules in force. Has somebody look for changes, if that was not done for some seconds."""
        now = self._clock.monotonic()
        if now - self._looked >= _LOOK_SECONDS and (self._refreshing is None or self._refreshing.done()):
            self._looked = now
            self._refreshing = asyncio.create_task(self.refresh())
        return self._current

    async def refresh(self) -> None:
        """Look for changes now, and have them in force if they compile; the log is told of either."""
        try:
            found = await asyncio.to_thread(seen, self._folders)
            if found != self._seen:
                self._seen = found  # before it is compiled: what is broken is tried once
                self._current = _named(await _compiled_apart(self._folders))
                self.problem = ""
                log.info("new YARA rules are in force")
        except (OSError, ValueError) as error:
            self.problem = str(error)
            log.warning("new YARA rules are not in force: %s", self.problem)

    async def close(self) -> None:
        """Look for no more changes."""
        if self._refreshing is not None:
            self._refreshing.cancel()
            await asyncio.gather(self._refreshing, return_exceptions=True)


def files_in(folder: str) -> list[Path]:
    """The files with rules."""
    return sorted(file for file in Path(folder).glob("*.yar*") if file.suffix in (".yar", ".yara"))


def seen(folders: Iterable[str]) -> tuple[tuple[object, ...], ...]:
    """What tells whether rules have changed: names, times and sizes of the files."""
    return tuple(_state(file) for folder in folders for file in files_in(folder))


def _state(file: Path) -> tuple[object, ...]:
    try:
        found = file.stat()
    except OSError as error:
        return file, error.errno
    return file, found.st_mtime_ns, found.st_size, found.st_ino


@functools.lru_cache(maxsize=4)
def _compiled_once(folders: tuple[str, ...], state: object) -> bytes:  # noqa: ARG001 - the state is for the cache
    """The rules in `folders`, by another process. Raises ValueError and OSError."""
    try:
        done = subprocess.run(  # noqa: S603 - our own program
            _command(folders), env=_environment(), capture_output=True, check=False, timeout=_COMPILE_SECONDS
        )
    except subprocess.TimeoutExpired:
        raise _too_slow() from None
    return _outcome(done.returncode, done.stdout, done.stderr)


async def _compiled_apart(folders: Sequence[str]) -> bytes:
    """The same, while mail goes on."""
    process = await asyncio.create_subprocess_exec(*_command(folders), env=_environment(), stdout=PIPE, stderr=PIPE)
    try:
        async with asyncio.timeout(_COMPILE_SECONDS):
            rules, complaint = await process.communicate()
    except TimeoutError:
        raise _too_slow() from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()
    return _outcome(process.returncode, rules, complaint)


def _command(folders: Iterable[str]) -> list[str]:
    return [sys.executable, "-P", "-c", _PROGRAM, *folders]


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}


def _too_slow() -> ValueError:
    return ValueError(f"to compile them takes more than {_COMPILE_SECONDS:g} seconds")


def _outcome(code: int | None, rules: bytes, complaint: bytes) -> bytes:
    """The rules, when the compiler says that all went well. Raises ValueError."""
    if code:
        last = outside.clean(complaint.decode("utf-8", "replace").strip().rpartition("\n")[2])
        raise ValueError(last or f"their compiler ended with {code}")
    return rules


def _named(rules: bytes) -> Compiled:
    return Compiled(hashlib.sha256(rules).hexdigest(), rules)

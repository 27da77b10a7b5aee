"""Writing so that a crash or a power cut leaves all or nothing: the few steps of it, each done by the kernel's rules.

A file's bytes are durable after fsync(2) of the file, its name after fsync(2) of the folder that holds the name; a
rename(2) within one file system happens whole or not at all. Everything here blocks and raises OSError.
"""

import errno
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

BATCH_PIECES = 256
"""Pieces of one writev(2); Linux takes 1024."""
BATCH_BYTES = 1_048_576
READ_BYTES = 262_144


def make_folder(path: Path) -> None:
    """Make `path` and its parents where they lack, for us alone, each name synced."""
    if path.is_dir():
        return
    if path.parent != path:
        make_folder(path.parent)
    with suppress(FileExistsError):  # another process was faster
        path.mkdir(0o700)
    sync_folder(path.parent)


def sync_folder(path: Path) -> None:
    """Make the names in `path` durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_file(path: Path, pieces: Iterable[bytes]) -> int:
    """Write a new file for us alone and sync its bytes; returns how many they are."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        size = sum(_write(descriptor, batch) for batch in _batches(pieces))
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    return size


def read_file(path: Path) -> Iterator[bytes]:
    """The bytes of a file, in pieces."""
    with path.open("rb", buffering=0) as file:
        while piece := file.read(READ_BYTES):
            yield piece


def remove(path: Path) -> None:
    """Remove a file or a folder with all in it; what is gone or cannot be removed is left to the next sweep."""
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink()


def _batches(pieces: Iterable[bytes]) -> Iterator[list[bytes]]:
    batch: list[bytes] = []
    size = 0
    for piece in pieces:
        if piece:
            batch.append(piece)
            size += len(piece)
        if len(batch) >= BATCH_PIECES or size >= BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _write(descriptor: int, batch: list[bytes]) -> int:
    """Write all of `batch`, in several calls when the kernel takes less; returns its size."""
    size = sum(map(len, batch))
    rest: list[bytes | memoryview] = list(batch)
    while rest:
        written = os.writev(descriptor, rest)
        if not written:
            raise OSError(errno.EIO, "nothing was written")
        rest = _behind(rest, written)
    return size


def _behind(pieces: list[bytes | memoryview], written: int) -> list[bytes | memoryview]:
    for index, piece in enumerate(pieces):
        if written < len(piece):
            return [memoryview(piece)[written:], *pieces[index + 1 :]]
        written -= len(piece)
    return []

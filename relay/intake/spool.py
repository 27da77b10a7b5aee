"""The temporary file of one large draft. It has no name: nothing is left of it when the process ends, or is killed."""

import mmap
import os
import tempfile
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path

PIECE = 65_536
"""Bytes read at a time."""
_IOV = 512
"""Buffers for one writev(2); the limit is 1024 (IOV_MAX)."""


class Spool:
    """An unlinked file. `write` may run in a thread: the lock keeps `close` from closing the file under it."""

    def __init__(self, folder: Path) -> None:
        """Raises OSError."""
        # O_TMPFILE where the file system has it, else made and unlinked at once.
        self._file = tempfile.TemporaryFile(buffering=0, dir=folder, prefix="draft-")  # noqa: SIM115
        self._lock = threading.Lock()
        self._map: mmap.mmap | None = None

    def write(self, pieces: Iterable[bytes | memoryview]) -> None:
        """Append `pieces`. Raises OSError."""
        rest = [memoryview(piece) for piece in pieces if piece]
        with self._lock:
            while rest and not self._file.closed:
                written = os.writev(self._file.fileno(), rest[:_IOV])
                done = 0
                while done < len(rest) and written >= len(rest[done]):
                    written -= len(rest[done])
                    done += 1
                del rest[:done]
                if written:
                    rest[0] = rest[0][written:]

    def pieces(self, size: int) -> Iterator[bytes]:
        """The first `size` bytes."""
        for offset in range(0, size, PIECE):
            yield os.pread(self._file.fileno(), min(PIECE, size - offset), offset)

    def view(self, size: int) -> memoryview:
        """The first `size` bytes, at least one, mapped."""
        if self._map is None:
            self._map = mmap.mmap(self._file.fileno(), size, access=mmap.ACCESS_READ)
        return memoryview(self._map)

    def close(self) -> None:
        """Give the disk space back; a map that somebody still looks at goes when he lets it go."""
        with self._lock:
            self._file.close()
        if self._map is not None:
            try:
                self._map.close()
            except BufferError:
                self._map = None

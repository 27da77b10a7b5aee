"""Archives and compressed files, by libarchive. Nothing is written to disk; names are only looked at."""

import ctypes
import io
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from libarchive import ffi
from libarchive.entry import ArchiveEntry
from libarchive.exception import ArchiveError
from libarchive.read import ArchiveRead, new_archive_read

from verdicts.files.budget import Budget

ENCRYPTED = "encrypted"
UNLOCKED = "unlocked"
"""Encrypted, and opened with a password that was given."""
_BLOCK_BYTES = 65_536
_PACKED = {
    "gz": "gzip", "bz2": "bzip2", "xz": "xz", "lzma": "lzma", "zst": "zstd", "lz4": "lz4", "lz": "lzip",
    "z": "compress",
}  # fmt: skip
# What was compressed is a file of its own: as "tar or else raw" libarchive takes whatever begins with zeros for a tar.
_FORMATS = {
    "zip": ("zip",), "ooxml": ("zip",), "odf": ("zip",), "jar": ("zip",), "7z": ("7zip",), "rar": ("rar", "rar5"),
    "cab": ("cab",), "iso": ("iso9660",), "tar": ("tar",), "cpio": ("cpio",), "lha": ("lha",), "xar": ("xar",),
    "ar": ("ar",),
} | dict.fromkeys(_PACKED, ("raw",))  # fmt: skip
KINDS = frozenset(_FORMATS)
UNREADABLE = frozenset(("arj", "ace", "szdd", "hqx", "udf", "applesingle"))
"""Archives that nothing here can read."""

_ZIPS = ("zip", "ooxml", "jar", "odf")

_is_encrypted = ffi.ffi("entry_is_encrypted", [ctypes.c_void_p], ctypes.c_int)


class Entry(NamedTuple):
    """One file of a container."""

    name: str | bytes
    data: bytes
    problem: str = ""
    """Why `data` is not what is in it: "encrypted", or in words."""
    within: str = ""
    """What holds it when that is more than the container's kind tells: "package"."""


def entries(kind: str, data: bytes, budget: Budget) -> Iterator[Entry]:
    """The files of an archive. Raises `Exceeded`."""
    if kind in _ZIPS and (before := _zip_before(data)):
        yield Entry("(the archive before the archive)", before)
    names: set[str] = set()
    try:
        with _opened(kind, data, budget.passwords) as archive:
            for entry in archive:
                names.add(_compared(kind, entry.pathname or ""))
                if not entry.isdir:
                    budget.member()
                    yield _entry(entry, archive.format_name, budget)
    except ArchiveError as error:
        yield Entry("", b"", _problem(error))
    if kind in _ZIPS:
        for name in _named_otherwise(kind, data, names):
            budget.member()
            yield Entry(name, b"", "named otherwise in the archive's directory")


def _named_otherwise(kind: str, data: bytes, names: set[str]) -> list[str]:
    """Names in a zip archive's directory that its files' own headers do not have: Windows goes by the directory."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return [name for name in archive.namelist() if _compared(kind, name) not in names]
    except (zipfile.BadZipFile, ValueError, NotImplementedError, EOFError, OSError):
        return []  # what there is to say of such an archive was said


def _compared(kind: str, name: str | bytes) -> str:
    """Of a document the whole name; else its ending, as readers decode what is not ASCII in different ways."""
    text = name.decode("utf-8", "replace") if isinstance(name, bytes) else name
    text = text.replace("\\", "/").rstrip("/")
    return text if kind == "ooxml" else text.lower().rpartition(".")[2][-20:]


@contextmanager
def _opened(kind: str, data: bytes, passwords: tuple[str, ...]) -> Iterator[ArchiveRead]:
    first, *others = _FORMATS[kind]
    with new_archive_read(first, _PACKED.get(kind, "none")) as archive:
        for name in others:
            ffi.get_read_format_function(name)(archive)
        for password in passwords:
            ffi.read_add_passphrase(archive, password.encode())
        ffi.read_open_memory(archive, data, len(data))
        yield ArchiveRead(archive)


def _entry(entry: ArchiveEntry, archive_format: bytes | None, budget: Budget) -> Entry:
    name = "" if archive_format == b"raw" else entry.pathname or ""
    encrypted = _is_encrypted(entry._entry_p) > 0
    if encrypted and not budget.passwords:
        return Entry(name, b"", ENCRYPTED)
    pieces: list[bytes] = []
    try:
        for piece in entry.get_blocks(_BLOCK_BYTES):
            budget.spend(len(piece))
            pieces.append(piece)
    except ArchiveError as error:
        return Entry(name, b"".join(pieces), ENCRYPTED if encrypted else _problem(error))
    return Entry(name, b"".join(pieces), within=UNLOCKED if encrypted else "")


def _problem(error: ArchiveError) -> str:
    text = str(error.msg)
    return ENCRYPTED if "ncrypt" in text or "assphrase" in text else f"damaged, or of a kind not read: {text[:100]}"


def _zip_before(data: bytes) -> bytes:
    """What stands before the archive that the last directory tells of, if it is another: some readers open that one.

    The end record has the directory's size and its offset from the archive's first byte (APPNOTE.TXT 4.3.16).
    """
    end = data.rfind(b"PK\x05\x06")
    if end < 0:
        return b""
    size, offset = (int.from_bytes(data[end + at : end + at + 4], "little") for at in (12, 16))
    begins = end - size - offset
    return data[:begins] if begins > 0 and data.startswith(b"PK\x03\x04") else b""

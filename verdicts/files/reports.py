"""What is asked of one file, and what was seen in it."""

from typing import Any, NamedTuple


class File(NamedTuple):
    """An attachment as the message has it."""

    name: str
    declared: str
    """Its Content-Type, "application/pdf"."""
    blocked: tuple[str, ...]
    """Kinds and suffixes that nobody shall get."""
    passwords: tuple[str, ...] = ()
    """To try on encrypted archives."""
    names: tuple[str, ...] = ()
    """All that readers may take for its name."""


class Report(NamedTuple):
    """What `inspect` saw in one file."""

    sights: tuple[tuple[str, str], ...] = ()
    """Name and detail."""
    problems: tuple[str, ...] = ()
    hashes: tuple[tuple[str, str], ...] = ()
    """SHA-256 and path."""


def report_of(seen: dict[str, Any]) -> tuple[Report, float]:
    """Report and seconds from what a worker returned. Raises what bad data raises: a file may have taken it over."""
    sights = tuple((str(name), str(detail)) for name, detail in seen["sights"])
    hashes = tuple((bytes.fromhex(sha256).hex(), str(path)) for sha256, path in seen["hashes"])
    return Report(sights, tuple(map(str, seen["problems"])), hashes), max(0.0, float(seen["seconds"]))

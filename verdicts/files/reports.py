"""What is asked of one file, what was seen in it, and the reports that are kept."""

from collections import OrderedDict
from typing import Any, NamedTuple

_PROBLEM_SECONDS = 300.0
_KEPT_HASHES = 50_000


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


class Reports:
    """The last `count` reports, by a key of what they are of.

    One with a problem is kept for five minutes: a busy machine may have been the problem, but a campaign of bombs shall
    not have each of them opened.
    """

    def __init__(self, count: int) -> None:
        self._count = count
        self._kept: OrderedDict[bytes, tuple[Report, float]] = OrderedDict()
        self._hashes = 0

    def get(self, key: bytes, now: float) -> Report | None:
        """The report, when it is kept and still holds. `now`: seconds of a monotonic clock."""
        report, until = self._kept.get(key, (None, 0.0))
        if report is None:
            return None
        if now > until:
            self._drop(key)
            return None
        self._kept.move_to_end(key)
        return report

    def put(self, key: bytes, report: Report, now: float) -> None:
        """Keep it; the oldest ones go, also when there are too many hashes in all."""
        self._drop(key)
        self._kept[key] = report, now + _PROBLEM_SECONDS if report.problems else float("inf")
        self._hashes += len(report.hashes)
        while len(self._kept) > self._count or self._hashes > _KEPT_HASHES:
            self._drop(next(iter(self._kept)))

    def _drop(self, key: bytes) -> None:
        report, _ = self._kept.pop(key, (Report(), 0.0))
        self._hashes -= len(report.hashes)

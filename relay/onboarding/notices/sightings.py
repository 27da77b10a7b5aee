"""What one process sees in passing that tenants should hear of: counted here, taken every minute. No I/O.

A message costs some look-ups in memory here and nothing else. Most next hops that fail are never in a record: the
client hears 451 at RCPT, and there is no message.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from relay.observe.metrics import NEXT_HOP_FAILURES
from relay.records.model import Record
from relay.records.notices import Key
from verdicts.contract import Clock

WINDOW: Final = 600.0
"""Seconds, from the first failure of a next hop on, in which its failures are looked at together."""
MANY, SHARE, FEW = 5, 10, 2
"""A next hop fails when MANY messages failed and at least one in SHARE, or FEW and nothing got through."""
HOP_FAILURES: Final = frozenset(NEXT_HOP_FAILURES) - {"no_connection", "changed"}
"""What says that a next hop fails. The other two come of our own limits, or of servers that do not agree."""
TAKEN: Final = frozenset({"delivered", "marked"})

_Hop = tuple[str, str]
"""Tenant and next hop."""


@dataclass(slots=True)
class _Window:
    began: float
    failed: int = 0
    passed: int = 0
    told: int = 0
    kind: str = ""

    @property
    def failing(self) -> bool:
        if not self.passed:
            return self.failed >= FEW
        return self.failed >= MANY and self.failed * SHARE >= self.failed + self.passed


@dataclass(frozen=True, slots=True)
class Seen:
    """What was seen since the last time."""

    counts: Mapping[Key, int] = field(default_factory=dict)
    """Messages by tenant, kind and subject."""
    working: Mapping[str, float] = field(default_factory=dict)
    """Tenants whose mail came with proof and was delivered, for the first time in this process, and when that was."""

    def __bool__(self) -> bool:
        return bool(self.counts or self.working)


class Sightings:
    """Counts; for one thread alone."""

    def __init__(self, clock: Clock) -> None:
        self._now = clock.monotonic
        self._counts: Counter[Key] = Counter()
        self._working: dict[str, float] = {}
        self._known: set[str] = set()
        self._hops: dict[_Hop, _Window] = {}

    def saw(self, record: Record) -> None:
        """One message has ended."""
        tenant, proof, outcome = record.tenant, record.proof, record.outcome
        if outcome in TAKEN:
            if self._hops and (window := self._hops.get((tenant, record.next_hop))):
                window.passed += 1
            if tenant not in self._known and proof.startswith("ok"):
                self._known.add(tenant)
                self._working[tenant] = record.at
        elif outcome == "deferred":
            self.hop_failed(tenant, record.next_hop, record.reason.partition(":")[0])
        if not proof.startswith("ok"):
            self._suspect(record)

    def _suspect(self, record: Record) -> None:
        if record.proof:
            self._counts[record.tenant, "unproven", ""] += 1
        elif record.outcome == "refused" and record.reason.startswith("loop"):
            self._counts[record.tenant, "loop", ""] += 1

    def hop_failed(self, tenant: str, hop: str, kind: str) -> None:
        """A message could not be brought to the next hop `hop`; `kind` is why, and not all are the next hop's fault."""
        if kind not in HOP_FAILURES:
            return
        window = self._hops.get((tenant, hop))
        if window is None or self._now() - window.began >= WINDOW:
            window = self._hops[tenant, hop] = _Window(self._now())
        window.failed += 1
        window.kind = kind

    def failure(self, tenant: str, hop: str) -> str:
        """How the next hop failed last, if that was lately; else an empty text."""
        window = self._hops.get((tenant, hop))
        return window.kind if window else ""

    def take(self) -> Seen:
        """What was seen since the last time. Next hops count when they are failing by now."""
        now = self._now()
        for (tenant, hop), window in list(self._hops.items()):
            if window.failing and window.failed > window.told:
                self._counts[tenant, "next_hop", hop] += window.failed - window.told
                window.told = window.failed
            if now - window.began >= WINDOW:
                del self._hops[tenant, hop]
        seen = Seen(dict(self._counts), dict(self._working))
        self._counts.clear()
        self._working.clear()
        return seen

    def put_back(self, seen: Seen) -> None:
        """It could not be remembered: take it again the next time."""
        self._counts.update(seen.counts)
        self._working.update(seen.working)

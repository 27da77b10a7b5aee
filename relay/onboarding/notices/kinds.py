"""Which notice is due: reasons and what was sent before in, notices out. No I/O.

A reason stands until it has gone; it is looked at again and again, and a notice of it is due when the last one is old
enough. So nothing needs to be queued: what could not be sent is due at the next look, as long as its reason stands.
"""

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Final


class Again(Enum):
    """When a notice of a kind is due."""

    AT_CHANGE = "when it has changed since the last notice, within two days"
    WHILE_IT_STANDS = "when it has changed since the last notice, and repeatedly"
    WHEN_COUNTED = "when something was counted since the last notice"
    ONCE = "when something was counted, and never again"


KINDS: Final[Mapping[str, Again]] = {
    "verified": Again.AT_CHANGE,
    "failed": Again.AT_CHANGE,
    "lapsing": Again.WHILE_IT_STANDS,
    "lapsed": Again.AT_CHANGE,
    "working": Again.ONCE,
    "unproven": Again.WHEN_COUNTED,
    "loop": Again.WHEN_COUNTED,
    "next_hop": Again.WHEN_COUNTED,
    "test": Again.ONCE,
}
"""Every kind of notice. The subject of the first four is a domain (and its region), that of next_hop is a next hop."""

FRESH: Final = 2 * 86_400.0
"""Seconds for which a change is news (or two intervals): whoever switches notices on hears of no old ones."""


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a tenant should hear something."""

    tenant: str
    kind: str
    subject: str = ""
    changed: float = 0.0
    """Since when it stands, in seconds since the epoch; 0 for what is counted."""
    facts: Mapping[str, str] = field(default_factory=dict)
    """What the template may tell of it."""


@dataclass(frozen=True, slots=True)
class Last:
    """The last notice of a reason: when it was sent (0: never), and how much was counted since."""

    sent: float = 0.0
    held: int = 0


NEVER: Final = Last()


@dataclass(frozen=True, slots=True)
class Rules:
    """What the operator chose."""

    kinds: Collection[str]
    """What is told."""
    interval: float
    """Seconds between two notices of one kind about one subject."""
    pause: float
    """Seconds between two looks."""
    label: str
    """The records that prove domains are at LABEL.DOMAIN."""
    lapse_days: float
    """For how long a domain is protected without its record."""


@dataclass(frozen=True, slots=True)
class Notice:
    """One notice to send."""

    reason: Reason
    at: float
    """Seconds since the epoch."""
    count: int = 0
    """How many messages it is about, since the last notice; 0 where none are counted."""
    since: float = 0.0
    """When the last notice of this was sent; 0 for never."""

    @property
    def id(self) -> str:
        """The same each time that this notice is tried, and for no other one."""
        reason = self.reason
        told = "\0".join([reason.tenant, reason.kind, reason.subject, repr(self.since), repr(reason.changed)])
        return hashlib.sha256(told.encode(errors="backslashreplace")).hexdigest()[:32]


def is_due(reason: Reason, last: Last, now: float, interval: float) -> bool:
    """Whether a notice of `reason` is to be sent `now`; `interval` is the least time between two, in seconds."""
    again = KINDS[reason.kind]
    if again is Again.ONCE:
        return last.held > 0 and not last.sent
    if abs(now - last.sent) < interval:
        return False
    if again is Again.WHEN_COUNTED:
        return last.held > 0
    # A notice that was sent long after now was sent by a clock that was wrong: it must not silence all until then.
    changed = last.sent < reason.changed or last.sent > now
    if again is Again.AT_CHANGE:
        return changed and now - reason.changed < max(FRESH, 2 * interval)
    return True

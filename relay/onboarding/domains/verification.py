"""How far the proof of a domain is: a state machine on one TXT record. Pure: what was heard of the DNS goes in.

    pending --seen--> verified --gone--> lapsing --gone, days later--> lapsed
       |                 ^  ^               |                            |
       | hours later     |  +-----seen------+-------------seen-----------+
       v                 |
     failed -----seen----+

A domain is protected while it is verified or lapsing. When nobody can tell whether the record is there, nothing
changes.
"""

import enum
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from relay.dns.answers import Said
from relay.dns.authority import Hearing
from relay.records.verifications import PREFIX, PROVEN, Row

PENDING_EVERY: Final = 300.0
"""Seconds between two looks while somebody may be waiting for it."""
WORRIED_EVERY: Final = 3_600.0
"""Seconds between two looks when the last one at a protected domain was not good."""
SKEW: Final = 60.0
"""Seconds that another node's clock may be ahead of ours."""
LONGEST_PROBLEM: Final = 500
"""Characters of a problem: name servers' names are a stranger's choice."""


class Seen(enum.Enum):
    """What one look found."""

    YES = "the record is there"
    NO = "it is not"
    UNKNOWN = "nobody can tell"


@dataclass(frozen=True, slots=True)
class Look:
    """One look at the DNS, for one record."""

    seen: Seen
    problem: str = ""
    """What is wrong, for people; also where the record is there."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds that a state may last, and between looks."""

    verify: float
    """From pending to failed."""
    lapse: float
    """From lapsing to lapsed."""
    recheck: float
    """Between two looks."""


NEXT: Final[Mapping[tuple[str, Seen], tuple[str, str]]] = {
    ("pending", Seen.YES): ("verified", "verified"),
    ("pending", Seen.NO): ("pending", "failed"),
    ("failed", Seen.YES): ("verified", "verified"),
    ("verified", Seen.NO): ("lapsing", "lapsing"),
    ("lapsing", Seen.YES): ("verified", "verified"),
    ("lapsing", Seen.NO): ("lapsing", "lapsed"),
    ("lapsed", Seen.YES): ("verified", "verified"),
}
"""From a state and a look to the next state: while the state's time lasts, and when it is over. All else stays."""

STATES: Final = ("pending", "verified", "lapsing", "lapsed", "failed")


def step(row: Row, look: Look, now: float, limits: Limits) -> Row:
    """The row after a look. A `changed` that lies in the future (the clock was wrong) begins anew."""
    since = min(row.changed, now)
    lasts = {"pending": limits.verify, "lapsing": limits.lapse}.get(row.state, 0.0)
    during, after = NEXT.get((row.state, look.seen), (row.state, row.state))
    state = after if now - since >= lasts else during
    return replace(
        row,
        state=state,
        changed=since if state == row.state else now,
        checked=now,
        seen=now if look.seen is Seen.YES else row.seen,
        problem=look.problem[:LONGEST_PROBLEM],
    )


def due(row: Row, now: float, limits: Limits) -> bool:
    """Whether it is time for another look; also when the last one seems to come from the future."""
    return not row.checked or now - row.checked >= _interval(row, now, limits) or row.checked > now + SKEW


def _interval(row: Row, now: float, limits: Limits) -> float:
    if row.state == "pending" and now - row.changed < limits.verify:  # later, only because nobody can tell
        return min(PENDING_EVERY, limits.recheck)
    if row.state in PROVEN and row.problem:
        return min(WORRIED_EVERY, limits.recheck)
    return limits.recheck


def looked(hearing: Hearing, value: str) -> Look:
    """What the servers of a domain say about `value`: one of its TXT records, joined, must be exactly this."""
    if value in hearing.records:
        return Look(Seen.YES, _lagging(hearing, value))
    if hearing.said.certain:
        return Look(Seen.NO, _missing(hearing, value))
    return Look(Seen.UNKNOWN, f"nobody can tell: {hearing.detail or 'no name server answered'}")


def _lagging(hearing: Hearing, value: str) -> str:
    """Which servers have not got it, though others have."""
    without = [told.server for told in hearing.told if told.said.certain and value not in told.records]
    return f"not all name servers have it: {', '.join(without)}" if without else ""


def _missing(hearing: Hearing, value: str) -> str:
    """Why it is not there, as far as what stands there tells."""
    if hearing.said is not Said.FOUND:
        return f"{hearing.said}: the record is not there"
    if any(record.strip(" \t\"'").lower() == value.lower() for record in hearing.records):
        return "it is written in another way: no quotes, no blanks, no other case; copy the value as it is"
    ours = sum(record.strip(" \t\"'").startswith(PREFIX) for record in hearing.records)
    if ours:
        return f"other values stand there ({ours} of ours); this one stands beside them, as a TXT record of its own"
    return f"other TXT records stand there ({len(hearing.records)}), and none is this one"

"""Whether this machine's clock is right, by what others say the time is.

Sound witnesses are another machine's clock, read in one go: the database server's, and the greetings of next hops that
tell the time (Exchange Online's do). A greeting comes without TLS, so one alone accuses nobody: it warns. A record from
the future tells that some node's clock was wrong, this one's or another's.
"""

import statistics
from collections.abc import Iterator

from relay.onboarding.doctor.result import Result, Topic, listed

OFF = 60.0
"""Seconds that a clock may differ: times in signatures and records still make sense then."""
FAR = 300.0
"""Seconds beyond which it is a failure, where two witnesses say so."""
_SET = "let the machine follow a time server (chrony, systemd-timesyncd)"


class Clocks:
    """What others say the time is."""

    def __init__(self) -> None:
        self._offsets: dict[str, float] = {}
        self._newest: float | None = None

    def heard(self, witness: str, said: float | None, begun: float, ended: float) -> None:
        """`witness` said the time `said` (in whole seconds) between `begun` and `ended` of ours."""
        if said is not None:
            self._offsets[witness] = distance(said, begun, ended)

    def recorded(self, at: float) -> None:
        """The newest record is of the time `at`."""
        self._newest = max(at, self._newest or at)

    def results(self, now: float) -> Iterator[Result]:
        """What comes of it."""
        yield agreed(Topic("clock.offset", "clock"), self._offsets)
        if self._newest is not None and self._newest > now + OFF:
            yield Topic("clock.records", "clock").warning(
                f"the newest record is {self._newest - now:.0f} seconds in the future", _SET
            )


def distance(said: float, begun: float, ended: float) -> float:
    """How many seconds `said`, which was cut to whole seconds, is at least away from the time between."""
    if said + 1 < begun:
        return said + 1 - begun
    return max(0.0, said - ended)


def agreed(topic: Topic, offsets: dict[str, float]) -> Result:
    """What the witnesses say of our clock: the middle one of them counts."""
    if not offsets:
        return topic.unknown("nobody was heard who tells the time")
    middle = statistics.median(offsets.values())
    told = f"it is {abs(middle):.0f} seconds {'behind' if middle > 0 else 'ahead'} by {listed(offsets, 3)}"
    if abs(middle) <= OFF:
        return topic.ok(f"it is right by {listed(offsets, 3)}")
    if abs(middle) > FAR and len(offsets) > 1:
        return topic.failed(told, _SET)
    return topic.warning(told, _SET)

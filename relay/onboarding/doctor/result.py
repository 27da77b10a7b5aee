"""What the doctor says of one thing, as a value."""

import enum
from collections.abc import Iterable
from dataclasses import dataclass

LONGEST = 600
"""Characters that are kept of a text: others wrote some of it."""


class State(enum.StrEnum):
    """How a thing is, the best first."""

    OK = "ok"
    SKIPPED = "skipped"
    """It does not apply here, or what it needs is told to be missing by another result."""
    UNKNOWN = "cannot tell"
    """It could not be found out: no answer, or no time."""
    WARNING = "warning"
    """Mail flows, but not as it should, or not for long."""
    FAILED = "failed"
    """Mail does not flow, is not protected, or soon will not be."""


@dataclass(frozen=True, slots=True)
class Result:
    """One thing that was looked at. Holds no secret; `found` may hold what outsiders wrote."""

    id: str
    """Which check it is; this folder's README lists them."""
    tenant: str
    """Whose it is; empty for the node's own."""
    subject: str
    """The host, address, domain, file or engine that was looked at."""
    state: State
    found: str
    """What was seen, or what is wrong."""
    remedy: str
    """What to do about it; empty when nothing is to be done."""


@dataclass(frozen=True, slots=True)
class Topic:
    """What is looked at, before it is known how it is. See `Result`."""

    id: str
    subject: str
    tenant: str = ""

    def ok(self, found: str) -> Result:
        """It is as it should be."""
        return self._result(State.OK, found, "")

    def skipped(self, found: str) -> Result:
        """It was not looked at."""
        return self._result(State.SKIPPED, found, "")

    def unknown(self, found: str, remedy: str = "") -> Result:
        """It could not be found out."""
        return self._result(State.UNKNOWN, found, remedy)

    def warning(self, found: str, remedy: str) -> Result:
        """It is not as it should be."""
        return self._result(State.WARNING, found, remedy)

    def failed(self, found: str, remedy: str) -> Result:
        """It keeps mail from flowing, or from being protected."""
        return self._result(State.FAILED, found, remedy)

    def _result(self, state: State, found: str, remedy: str) -> Result:
        return Result(self.id, self.tenant, self.subject, state, found[:LONGEST], remedy)


def counts(results: Iterable[Result]) -> dict[str, int]:
    """How many results there are of each state."""
    told = {str(state): 0 for state in State}
    for result in results:
        told[result.state] += 1
    return told


def listed(words: Iterable[str], most: int = 8) -> str:
    """`words` by commas, the first ones of many."""
    known = list(words)
    return ", ".join([*known[:most], *([f"and {len(known) - most} more"] if len(known) > most else [])])

"""Seat and Chair: one engine on the panel, and what the operator said of it made ready for every message."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from verdicts.breaker import Breaker
from verdicts.contract import Engine, EngineOptions, Finding, Handling, Outcome, Silence, Verdict
from verdicts.mail import Mail
from verdicts.scope import Scope, is_limited

_LARGEST = 1e9
_HANDLINGS: Mapping[Silence, Handling] = {
    "ignore": Handling.IGNORED,
    "unscanned": Handling.COUNTS,
    "defer": Handling.DEFERS,
}


_PLAIN = EngineOptions()


@dataclass(frozen=True, slots=True)
class Seat:
    """One engine on the panel, the seconds it may take for a message, and what else it was told."""

    name: str
    engine: Engine
    deadline: float
    options: EngineOptions = _PLAIN


class Chair:
    """A seat in use. `plain`: nothing was chosen for it but its deadline, so that there is nothing to do."""

    __slots__ = ("_breaker", "_handlings", "_scope", "_weight", "engine", "limit", "name", "plain", "shadow", "turns")

    def __init__(self, seat: Seat, deadline: float, on_breaker: Callable[[str, bool], None]) -> None:
        """`deadline`: seconds for all engines; `on_breaker` is told of the engine whether its circuit is open."""
        options = seat.options
        self.name, self.engine = seat.name, seat.engine
        self.limit = min(seat.deadline, deadline)
        self.shadow = options.shadow
        self.turns = asyncio.Semaphore(options.at_once) if options.at_once else None
        self._weight = options.weight
        self._scope = Scope(options) if is_limited(options) else None
        self._breaker: Breaker | None = None
        if options.breaker_failures:
            change = lambda is_open: on_breaker(seat.name, is_open)  # noqa: E731 - a name for a line that is too long
            self._breaker = Breaker(options.breaker_failures, options.breaker_seconds, change)
        answers = {Outcome.FAILED: _HANDLINGS[options.on_failure], Outcome.LATE: _HANDLINGS[options.on_late]}
        self._handlings = dict.fromkeys(Outcome, Handling.SHADOW) if self.shadow else answers
        counts = all(handling is Handling.COUNTS for handling in self._handlings.values())
        self.plain = counts and not (self._scope or self._breaker or self.turns) and self._weight == 1

    def unasked(self, mail: Mail, now: float) -> Verdict | None:
        """The verdict on a message that the engine is not asked about; None when it is."""
        verdict = self._scope.verdict(self.name, mail) if self._scope else None
        if verdict is None and self._breaker and not self._breaker.admits(mail, now):
            return Verdict(self.name, Outcome.FAILED, reason="circuit open")
        return verdict

    def heard(self, mail: Mail, now: float, verdict: Verdict | None) -> None:
        """How asking the engine ended, for the breaker; None when it was cut short, which says nothing."""
        if self._breaker:
            failed = None if verdict is None else verdict.outcome in (Outcome.FAILED, Outcome.LATE)
            self._breaker.heard(mail, now, failed=failed)

    def handled(self, verdict: Verdict) -> Verdict:
        """The verdict with what it does to the decision."""
        handling = self._handlings.get(verdict.outcome, Handling.COUNTS)
        return verdict if handling is Handling.COUNTS else verdict._replace(handling=handling)

    def weighed(self, findings: tuple[Finding, ...]) -> tuple[Finding, ...]:
        """The findings with the engine's factor in their weights, which stay numbers that can be added."""
        factor = self._weight
        if factor == 1:
            return findings
        return tuple(
            finding._replace(weight=max(-_LARGEST, min(finding.weight * factor, _LARGEST))) for finding in findings
        )

"""The panel: all engines at once on one message, a deadline for each and one for all.

A panel never raises: an engine that breaks, dawdles or returns nonsense makes a verdict that policy must name. It never
waits for an engine beyond its deadline either, not even for one that ignores being cancelled.

It has a word of its own on mail that readers take in different ways (`ambiguity.py`).
"""

import asyncio
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice

from verdicts import ambiguity
from verdicts.ambiguity import Ambiguous
from verdicts.chair import Chair, Seat
from verdicts.contract import Clock, Engine, Finding, Judgement, Outcome, Severity, Unscanned, Verdict
from verdicts.mail import Mail
from verdicts.sitting import Sitting, Work

__all__ = ("MAX_FINDINGS", "Panel", "Rules", "Seat", "checked_findings")

MAX_FINDINGS = 500
"""Findings kept of one engine: the worst ones."""
_MOST_READ = 10_000
_REASON_CHARACTERS = 200
_CLOSING_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Rules:
    """What holds for all engines together; `[judging]` in the configuration explains it."""

    ambiguous: Ambiguous = "unscanned"
    stop_at_malicious: bool = False
    shadow_grace: float = 0.0


def _nobody(*_: object) -> None:
    """Told to nobody."""


def checked_findings(returned: Iterable[Finding]) -> tuple[Finding, ...]:
    """What an engine returned, if it is what the contract says. Raises TypeError or ValueError if not."""
    findings = tuple(islice(returned, _MOST_READ))
    for finding in findings:
        if not isinstance(finding, Finding) or not isinstance(finding.severity, Severity):
            raise TypeError(f"returned {type(finding).__name__} where a Finding with a Severity is due")
        if not math.isfinite(finding.weight):
            raise ValueError(f"the weight of {finding.name} is {finding.weight}")
    if len(findings) <= MAX_FINDINGS:
        return findings
    return tuple(sorted(findings, key=lambda finding: -finding.severity)[:MAX_FINDINGS])


class Panel:
    """The engines of one process. `deadline`: seconds for all of them on one message."""

    def __init__(
        self,
        engines: Sequence[Seat],
        deadline: float,
        clock: Clock,
        on_verdict: Callable[[Verdict], None] = _nobody,
        on_breaker: Callable[[str, bool], None] = _nobody,
        rules: Rules = Rules(),
    ) -> None:
        """`on_verdict` is told every verdict, `on_breaker` of an engine whether its circuit is open; for metrics."""
        self._chairs = tuple(Chair(seat, deadline, on_breaker) for seat in engines)
        self._by_limit = sorted(self._chairs, key=lambda chair: chair.limit)
        self._deadline = deadline
        self._clock = clock
        self._on_verdict = on_verdict
        self._rules = rules
        self._plain = all(chair.plain for chair in self._chairs)
        self._grace = rules.shadow_grace if any(chair.shadow for chair in self._chairs) else 0.0
        self._stragglers: set[Work] = set()

    @property
    def shortest(self) -> float:
        """Seconds after which the first engine that counts may be late; those for all when there is none."""
        return next((chair.limit for chair in self._by_limit if not chair.shadow), self._deadline)

    async def judge(self, mail: Mail) -> Judgement:
        """All verdicts on `mail`, in the engines' order. When cancelled it cancels the engines, without waiting."""
        begun = self._clock.monotonic()
        unasked: dict[str, Verdict] = {}
        tasks = self._ask_all(mail, begun, unasked)
        sitting = Sitting(self._by_limit, tasks, self._abandon, stop=self._rules.stop_at_malicious)
        try:
            await sitting.over
            structure = None if ambiguity.is_plain(mail) else await self._structure(mail, sitting)
            if self._grace:
                await self._wait_for_shadows(tasks, sitting)
        except asyncio.CancelledError:
            self._cut_short(mail, tasks)
            raise
        finally:
            sitting.end()
            for task in tasks.values():
                if not task.done():
                    self._abandon(task)
        now = self._clock.monotonic()
        if self._plain and not sitting.late and not sitting.enough:  # most mail
            verdicts = [task.result() for task in tasks.values()]
        else:
            verdicts = [
                unasked.get(chair.name) or _ended(chair, tasks[chair.name], sitting, mail, begun, now)
                for chair in self._chairs
            ]
        if structure is not None:
            verdicts.append(structure)
        self._tell(verdicts)
        return Judgement(tuple(verdicts))

    async def close(self) -> None:
        """Close every engine, for at most five seconds; what an engine raises then helps nobody."""
        for task in tuple(self._stragglers):
            task.cancel()
        closing = [asyncio.create_task(_close(chair.engine)) for chair in self._chairs]
        if closing:
            _, pending = await asyncio.wait(closing, timeout=_CLOSING_SECONDS)
            for unclosed in pending:
                unclosed.cancel()

    def _ask_all(self, mail: Mail, now: float, unasked: dict[str, Verdict]) -> dict[str, Work]:
        """Set the engines to work; `unasked` gets the verdicts of those that are not asked."""
        begin = asyncio.get_running_loop().create_task
        tasks = {}
        for chair in self._chairs:
            verdict = None if chair.plain else chair.unasked(mail, now)
            if verdict is not None:
                unasked[chair.name] = chair.handled(verdict)
            elif chair.turns is None:
                tasks[chair.name] = begin(self._ask(chair, mail))
            else:
                tasks[chair.name] = begin(self._ask_in_turn(chair, chair.turns, mail))
        return tasks

    async def _ask_in_turn(self, chair: Chair, turns: asyncio.Semaphore, mail: Mail) -> Verdict:
        async with turns:
            return await self._ask(chair, mail)

    async def _ask(self, chair: Chair, mail: Mail) -> Verdict:
        """One engine's verdict. Raises CancelledError when we cancelled it, and KeyboardInterrupt."""
        begun = self._clock.monotonic()
        findings: tuple[Finding, ...] = ()
        try:
            outcome, findings, reason = await _answer(chair.engine, mail)
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            outcome, reason = Outcome.FAILED, _short(error)
        except KeyboardInterrupt:  # the operator's, of `sluice judge`
            raise
        except BaseException as error:  # noqa: BLE001 - whatever an engine raises, it has failed; PyO3's panics, too
            outcome, reason = Outcome.FAILED, _short(error)
        if findings and not chair.plain:
            findings = chair.weighed(findings)
        return Verdict(chair.name, outcome, findings, self._clock.monotonic() - begun, reason)

    async def _structure(self, mail: Mail, sitting: Sitting) -> Verdict | None:
        """What there is to say of the structure; nothing when a malicious finding was enough."""
        if sitting.enough or self._rules.ambiguous == "ignore":
            return None
        return await ambiguity.look(mail, self._rules.ambiguous, sitting.begun + self._deadline)

    async def _wait_for_shadows(self, tasks: Mapping[str, Work], sitting: Sitting) -> None:
        shadows = [tasks[chair.name] for chair in self._chairs if chair.shadow and chair.name in tasks]
        if shadows and not sitting.enough:
            await asyncio.wait(shadows, timeout=self._grace)

    def _cut_short(self, mail: Mail, tasks: Mapping[str, Work]) -> None:
        """The message is given up: that says nothing of the engines."""
        now = self._clock.monotonic()
        for chair in self._chairs:
            if chair.name in tasks:
                chair.heard(mail, now, None)

    def _abandon(self, task: Work) -> None:
        """Cancel it, and keep it referenced until it has ended, whenever that is."""
        if not task.done() and task not in self._stragglers:
            self._stragglers.add(task)
            task.add_done_callback(self._stragglers.discard)
            task.cancel()

    def _tell(self, verdicts: Iterable[Verdict]) -> None:
        try:
            for verdict in verdicts:
                self._on_verdict(verdict)
        except Exception:  # noqa: BLE001 - counting must never cost a message
            return


def _ended(chair: Chair, task: Work, sitting: Sitting, mail: Mail, begun: float, now: float) -> Verdict:
    """The verdict of an engine that was asked."""
    if chair.name in sitting.late:
        reason = f"no answer within {chair.limit:g} seconds"
        verdict = Verdict(chair.name, Outcome.LATE, seconds=now - begun, reason=reason)
    elif task.done():
        verdict = task.result()
    else:
        chair.heard(mail, now, None)
        return chair.handled(_cut_off(chair, sitting.enough, now - begun))
    chair.heard(mail, now, verdict)
    return chair.handled(verdict)


def _cut_off(chair: Chair, enough: str, seconds: float) -> Verdict:
    """The verdict of an engine that was sent away before its deadline."""
    if enough:
        return Verdict(chair.name, Outcome.SKIPPED, seconds=seconds, reason=f"{enough} found it malicious")
    return Verdict(chair.name, Outcome.LATE, seconds=seconds, reason="no answer when all others were done")


async def _answer(engine: Engine, mail: Mail) -> tuple[Outcome, tuple[Finding, ...], str]:
    """Outcome, findings and reason. Raises what the engine raises, and what comes of an answer that is nonsense."""
    try:
        return Outcome.ANSWERED, checked_findings(await engine.judge(mail)), ""
    except Unscanned as unscanned:
        return Outcome.UNSCANNED, checked_findings(unscanned.findings), _cut(unscanned.reason)


def _short(error: BaseException) -> str:
    """The class and the first line of an error, for the record."""
    try:
        return _cut(f"{type(error).__name__}: {error}".removesuffix(": "))
    except Exception:  # noqa: BLE001 - its text is the engine's work, too
        return type(error).__name__


def _cut(text: str) -> str:
    return " ".join(str(text).split())[:_REASON_CHARACTERS]


async def _close(engine: Engine) -> None:
    with suppress(Exception):
        await engine.close()

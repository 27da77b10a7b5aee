"""The panel: all engines at once on one message, a deadline for each and one for all.

A panel never raises: an engine that breaks, dawdles or returns nonsense makes a verdict that policy must name. It never
waits for an engine beyond its deadline either, not even for one that ignores being cancelled.
"""

import asyncio
import math
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice

from verdicts.contract import Clock, Engine, Finding, Judgement, Outcome, Severity, Unscanned, Verdict
from verdicts.mail import Mail

MAX_FINDINGS = 500
"""Findings kept of one engine: the worst ones."""
_MOST_READ = 10_000
_REASON_CHARACTERS = 200
_CLOSING_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Seat:
    """One engine on the panel, and the seconds it may take for a message."""

    name: str
    engine: Engine
    deadline: float


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
        on_verdict: Callable[[Verdict], None] | None = None,
    ) -> None:
        """`on_verdict` is told every verdict, for metrics."""
        self._seats = tuple(engines)
        self._clock = clock
        self._on_verdict = on_verdict
        self._stragglers: set[asyncio.Task[Verdict]] = set()
        self._deadline = deadline
        limits = {seat.name: min(seat.deadline, deadline) for seat in self._seats}
        self._limits = sorted(limits.items(), key=lambda limit: limit[1])

    @property
    def shortest(self) -> float:
        """Seconds after which the first engine may be late; those for all when there is none."""
        return self._limits[0][1] if self._limits else self._deadline

    async def judge(self, mail: Mail) -> Judgement:
        """All verdicts on `mail`, in the engines' order. When cancelled it cancels the engines, without waiting."""
        begun = self._clock.monotonic()
        loop = asyncio.get_running_loop()
        tasks = {seat.name: loop.create_task(self._ask(seat, mail)) for seat in self._seats}
        late: dict[str, float] = {}
        try:
            await self._wait(loop, tasks, late)
        finally:
            for task in tasks.values():
                self._abandon(task)
        elapsed = self._clock.monotonic() - begun
        verdicts = tuple(_verdict(name, task, late.get(name), elapsed) for name, task in tasks.items())
        self._tell(verdicts)
        return Judgement(verdicts)

    async def close(self) -> None:
        """Close every engine, for at most five seconds; what an engine raises then helps nobody."""
        for task in tuple(self._stragglers):
            task.cancel()
        closing = [asyncio.create_task(_close(seat.engine)) for seat in self._seats]
        if closing:
            _, pending = await asyncio.wait(closing, timeout=_CLOSING_SECONDS)
            for unclosed in pending:
                unclosed.cancel()

    async def _ask(self, seat: Seat, mail: Mail) -> Verdict:
        """One engine's verdict. Raises CancelledError when we cancelled it, and nothing else."""
        begun = self._clock.monotonic()
        outcome, reason = Outcome.ANSWERED, ""
        findings: tuple[Finding, ...] = ()
        try:
            findings = checked_findings(await seat.engine.judge(mail))
        except Unscanned as unscanned:
            outcome, findings, reason = _unscanned(unscanned)
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            outcome, reason = Outcome.FAILED, _short(error)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever an engine raises, it has failed
            outcome, reason = Outcome.FAILED, _short(error)
        return Verdict(seat.name, outcome, findings, self._clock.monotonic() - begun, reason)

    async def _wait(
        self, loop: asyncio.AbstractEventLoop, tasks: dict[str, asyncio.Task[Verdict]], late: dict[str, float]
    ) -> None:
        """Until every engine is done or late; a late one is cancelled there and then. `late`: its limit by name."""
        begun = loop.time()
        for name, limit in self._limits:
            task = tasks[name]
            if not task.done():
                await _done_or(loop, task, begun + limit)
            if not task.done():
                late[name] = limit
                self._abandon(task)

    def _abandon(self, task: asyncio.Task[Verdict]) -> None:
        """Cancel it, and keep it referenced until it has ended, whenever that is."""
        if not task.done() and task not in self._stragglers:
            self._stragglers.add(task)
            task.add_done_callback(self._stragglers.discard)
            task.cancel()

    def _tell(self, verdicts: Iterable[Verdict]) -> None:
        if self._on_verdict is None:
            return
        with suppress(Exception):  # counting must never cost a message
            for verdict in verdicts:
                self._on_verdict(verdict)


async def _done_or(loop: asyncio.AbstractEventLoop, task: asyncio.Task[Verdict], until: float) -> None:
    """Wait for the task, to the loop's time `until` at most, and leave it alone: asyncio.wait() costs twice as much."""
    over = loop.create_future()

    def wake(_: object = None) -> None:
        if not over.done():
            over.set_result(None)

    task.add_done_callback(wake)
    timer = loop.call_at(until, wake)
    try:
        await over
    finally:
        timer.cancel()
        task.remove_done_callback(wake)


def _verdict(name: str, task: asyncio.Task[Verdict], limit: float | None, elapsed: float) -> Verdict:
    if limit is None:
        return task.result()
    return Verdict(name, Outcome.LATE, seconds=elapsed, reason=f"no answer within {limit:g} seconds")


def _unscanned(unscanned: Unscanned) -> tuple[Outcome, tuple[Finding, ...], str]:
    """What an engine saw before it gave up, unless that is nonsense."""
    try:
        return Outcome.UNSCANNED, checked_findings(unscanned.findings), _cut(unscanned.reason)
    except (TypeError, ValueError) as error:
        return Outcome.FAILED, (), _short(error)


def _short(error: BaseException) -> str:
    """The class and the first line of an error, for the record."""
    return _cut(f"{type(error).__name__}: {error}".removesuffix(": "))


def _cut(text: str) -> str:
    return " ".join(str(text).split())[:_REASON_CHARACTERS]


async def _close(engine: Engine) -> None:
    with suppress(Exception):
        await engine.close()

"""Sitting: the wait for the engines at work on one message. One future, one timer; the rest are callbacks."""

import asyncio
from collections.abc import Callable, Mapping, Sequence

from verdicts.chair import Chair
from verdicts.contract import Severity, Verdict

Work = asyncio.Task[Verdict]
_NOBODY: frozenset[str] = frozenset()


class Sitting:
    """Over when every engine that counts is done or late, or when one found it malicious and that is enough."""

    __slots__ = ("_abandon", "_alarm", "_chairs", "_loop", "_rest", "_tasks", "begun", "enough", "late", "over")

    def __init__(
        self, chairs: Sequence[Chair], tasks: Mapping[str, Work], abandon: Callable[[Work], None], *, stop: bool
    ) -> None:
        """`chairs` by their limits, the shortest first; some may have no task. `abandon` cancels one that is late.

        `stop`: whether a malicious finding is enough.
        """
        loop = self._loop = asyncio.get_running_loop()
        self.begun = loop.time()
        """When it began, in the loop's time."""
        self.over = loop.create_future()
        """Done when it is over."""
        self._chairs, self._tasks, self._abandon = chairs, tasks, abandon
        self._rest = iter(chairs)
        self.late: frozenset[str] = _NOBODY
        """Names of engines that missed their deadline."""
        self.enough = ""
        """Name of the engine that found the message malicious, so that the others were not waited for."""
        self._alarm = loop.call_at(self.begun + chairs[0].limit, self._tick) if chairs else None
        if stop:
            self._look_at_all()
        self._follow()

    def end(self) -> None:
        """Wait for nobody any more."""
        if self._alarm is not None:
            self._alarm.cancel()

    def _tick(self) -> None:
        """Send away who is late, and wake up when the next one will be."""
        now = self._loop.time()
        self._alarm = None
        for chair in self._chairs:
            task = self._tasks.get(chair.name)
            if task is None or task.done() or chair.name in self.late:
                continue
            if now < self.begun + chair.limit:
                self._alarm = self._loop.call_at(self.begun + chair.limit, self._tick)
                return
            self._be_late(chair, task)

    def _be_late(self, chair: Chair, task: Work) -> None:
        self.late |= {chair.name}
        self._abandon(task)
        task.remove_done_callback(self._look)
        if task.remove_done_callback(self._follow):
            self._follow()

    def _follow(self, _: Work | None = None) -> None:
        """Wait for the next one that counts and is at work: who is done by then costs nothing."""
        for chair in self._rest:
            task = self._tasks.get(chair.name)
            if not (task is None or chair.shadow or task.done() or chair.name in self.late):
                task.add_done_callback(self._follow)
                return
        self._end()

    def _look_at_all(self) -> None:
        for chair in self._chairs:
            if chair.name in self._tasks and not chair.shadow:
                self._tasks[chair.name].add_done_callback(self._look)

    def _look(self, task: Work) -> None:
        if not task.cancelled() and task.exception() is None and _is_malicious(task.result()):
            self.enough = self.enough or task.result().engine
            self._end()

    def _end(self) -> None:
        if not self.over.done():
            self.over.set_result(None)


def _is_malicious(verdict: Verdict) -> bool:
    return any(finding.severity is Severity.MALICIOUS for finding in verdict.findings)

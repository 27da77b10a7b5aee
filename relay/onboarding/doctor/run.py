"""Runs checks: some at a time, each with a deadline, and all together with one, whatever hangs, breaks or blocks.

The event loop is in a thread of its own, and what may block (disks, databases, engines) has a thread for itself. Those
that hang are left behind: they are daemons, and do not keep the program from ending.
"""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any, TypeVar

from relay.onboarding.doctor.result import Result, Topic

AT_ONCE = 20
"""Checks that run at a time: a next hop, a name server or a database should not feel it."""
EACH = 30.0
"""Seconds that a check has, unless it says otherwise; they begin with its turn."""
MOMENT = 2.0
"""Seconds beyond the deadline of all, after which nobody waits for the event loop any more."""

T = TypeVar("T")
Work = Callable[[], AsyncIterator[Result]]


@dataclass(frozen=True, slots=True)
class Check:
    """Something to look at; `work` yields what it finds, as it finds it. `topic` is for when that does not end."""

    topic: Topic
    work: Work
    seconds: float = EACH
    at_once: bool = False
    """Whether it waits for nothing: then it needs no turn, and is known however slow the others are."""


@dataclass(slots=True)
class _Said:
    """What a check has said so far."""

    results: list[Result] = field(default_factory=list)
    ended: bool = False

    def end(self, *more: Result) -> None:
        self.results += more
        self.ended = True


def run(checks: Sequence[Check], seconds: float) -> list[Result]:
    """What all checks say, in their order, within `seconds` and a moment."""
    said = [_Said() for _ in checks]
    over = threading.Event()

    def begin() -> None:
        try:
            asyncio.run(_all(checks, said, seconds, over))
        finally:
            over.set()

    threading.Thread(target=begin, name="doctor", daemon=True).start()
    over.wait(seconds + MOMENT)
    for check, one in zip(checks, said, strict=True):
        if not one.ended:
            one.end(check.topic.unknown("there was no time left for it", "allow more with --timeout"))
    return [result for one in said for result in one.results]


async def _all(checks: Sequence[Check], said: Sequence[_Said], seconds: float, over: threading.Event) -> None:
    turns = asyncio.Semaphore(AT_ONCE)

    async def in_turn(check: Check, one: _Said) -> None:
        async with nullcontext() if check.at_once else turns:
            await _one(check, one)

    tasks = [asyncio.create_task(in_turn(check, one)) for check, one in zip(checks, said, strict=True)]
    if tasks:
        await asyncio.wait(tasks, timeout=seconds)
    over.set()


async def _one(check: Check, said: _Said) -> None:
    """Collects what the check yields. One that does not end in time is not waited for."""

    async def collect() -> None:
        async for result in check.work():
            said.results.append(result)
        said.end()

    task = asyncio.create_task(collect())
    try:
        await asyncio.wait([task], timeout=check.seconds)
    finally:
        task.cancel()
    if not task.done():
        late = f"no answer within {check.seconds:g} seconds"
        said.end(check.topic.unknown(late, "ask again, and look at what it asks"))
    elif not task.cancelled() and task.exception() is not None:
        # Not its text, which may tell anything: the check should have caught what it expected.
        broke = f"the check itself broke: {type(task.exception()).__name__}"
        said.end(check.topic.unknown(broke, "report it: it is a mistake in Sluice"))


def within(seconds: float, work: Callable[[], T]) -> T:
    """What `work()` returns or raises, done in a thread of its own. Blocks; raises TimeoutError."""
    return asyncio.run(asyncio.wait_for(apart(work), seconds))


async def apart(work: Callable[[], T]) -> T:
    """What `work()` returns or raises, done in a thread of its own."""
    return await asyncio.wrap_future(_begun(work))


async def apart_loop(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """What the coroutine `work()` returns or raises, done in an event loop of its own; for what may block its loop."""

    async def alone() -> T:
        asyncio.get_running_loop().set_default_executor(_Daemons())
        return await work()

    return await apart(lambda: asyncio.run(alone()))


def _begun(work: Callable[..., T], *arguments: Any, **more: Any) -> Future[T]:
    """The future of `work(...)`, which goes on in a daemon thread."""
    future: Future[T] = Future()

    def begin() -> None:
        if not future.set_running_or_notify_cancel():
            return
        try:
            future.set_result(work(*arguments, **more))
        except BaseException as error:  # noqa: BLE001 - it is for who waits
            future.set_exception(error)

    threading.Thread(target=begin, name="doctor-apart", daemon=True).start()
    return future


class _Daemons(ThreadPoolExecutor):
    """A pool whose threads nobody waits for: Python waits at its end for those of any other."""

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        """See Executor."""
        return _begun(fn, *args, **kwargs)

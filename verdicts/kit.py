"""What an engine's test needs: letters, pretend tools, and the check that an engine keeps the contract.

mail = mail_of(letter(attachments=[("virus.com", EICAR)]))
findings = await TestPatterns(TestPatterns.Options(), pretend_tools()).judge(mail)
await assert_contract(lambda: TestPatterns(TestPatterns.Options(), pretend_tools()))
"""

import asyncio
import gc
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from verdicts.contract import Engine, Unscanned
from verdicts.letters import MALFORMED, BytesContent, letter, mail_of
from verdicts.panel import checked_findings
from verdicts.pretend import PretendClock, PretendDns, PretendHistory, PretendHttp, Request, pretend_tools

__all__ = [
    "MALFORMED", "BytesContent", "PretendClock", "PretendDns", "PretendHistory", "PretendHttp", "Request",
    "assert_contract", "contract_faults", "letter", "mail_of", "pretend_tools",
]  # fmt: skip

_STALL_SECONDS = 0.05
_CANCEL_SECONDS = 1.0
_CLOSING_TURNS = 20  # what asyncio needs to close a transport, and more


async def assert_contract(factory: Callable[[], Engine]) -> None:
    """Raises AssertionError with every fault of `contract_faults`."""
    faults = await contract_faults(factory)
    assert not faults, "\n".join(faults)


async def contract_faults(factory: Callable[[], Engine]) -> list[str]:
    """What an engine does against the contract; empty is good. Its tools must be pretend ones that answer sensibly."""
    before = held()
    with _no_collecting():
        faults = await _faults(factory())
    await _turns(_CLOSING_TURNS)
    return [*faults, *(f"leaves behind after close(): {thing}" for thing in sorted(held() - before))]


@contextmanager
def _no_collecting() -> Iterator[None]:
    """Without the garbage collector, whose turn at all that the tests have made would be taken for the engine's."""
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()


async def _faults(engine: Engine) -> list[str]:
    faults = [
        *await _stalls(engine),
        *await _answers(engine, "a normal letter", letter()),
        *await _answers(engine, "a large letter", _large()),
        *[fault for name, content in MALFORMED.items() for fault in await _answers(engine, name, content)],
        *await _ignores_cancelling(engine),
    ]
    try:
        await engine.close()
    except Exception as error:  # noqa: BLE001 - that is the fault
        faults.append(f"close() raises {error!r}")
    return faults


async def _answers(engine: Engine, name: str, content: bytes) -> list[str]:
    task = asyncio.create_task(_told(engine, name, content))
    longest = await _longest_turn(task)
    stalls = [f"on {name}: computes for {longest * 1000:.0f} ms in one turn"] if longest > _STALL_SECONDS else []
    return [*stalls, *task.result()]


async def _told(engine: Engine, name: str, content: bytes) -> list[str]:
    try:
        checked_findings(await engine.judge(mail_of(content)))
    except Unscanned as unscanned:
        return [] if unscanned.reason else [f"on {name}: raises Unscanned without a reason"]
    except Exception as error:  # noqa: BLE001 - that is the fault
        return [f"on {name}: {error!r}"]
    return []


async def _longest_turn(task: asyncio.Task[Any], clock: Callable[[], float] = time.thread_time) -> float:
    """Seconds that went by at most between two turns: by default those of this thread's processor time, so that what
    the machine does besides does not count.
    """
    longest, last = 0.0, clock()
    while not task.done():
        await asyncio.sleep(0)
        now = clock()
        longest, last = max(longest, now - last), now
    return longest


async def _stalls(engine: Engine) -> list[str]:
    """Whether the event loop stands still while a normal letter is judged: the best of three, as machines are busy."""
    worst = min([await _longest_turn(asyncio.create_task(_outcome(engine)), time.perf_counter) for _ in range(3)])
    return [f"blocks the event loop for {worst * 1000:.0f} ms on a normal letter"] if worst > _STALL_SECONDS else []


def _large() -> bytes:
    """Five megabytes of text, and five of an attachment."""
    line = "All work and no play makes Jack a dull boy, see https://sender.example/jack?page=1 for more of it.\r\n"
    return letter(line * 50_000, attachments=[("a.bin", bytes(range(256)) * 20_000)])


def held() -> set[str]:
    """What an engine could leave behind: tasks, threads, child processes, and (on Linux) open files and sockets."""
    current = asyncio.current_task()
    tasks = {f"task {task.get_name()}" for task in asyncio.all_tasks() if task is not current}
    threads = {f"thread {thread.name}" for thread in threading.enumerate() if not thread.name.startswith("asyncio_")}
    children = {f"process {pid}" for pid in _text(Path(f"/proc/self/task/{os.getpid()}/children")).split()}
    return tasks | threads | children | _open_files()


def _open_files() -> set[str]:
    """By number and what they are."""
    found = set()
    with suppress(OSError):
        for path in Path("/proc/self/fd").iterdir():
            with suppress(OSError):  # the one that lists them is closed by now
                found.add(f"file {path.name} ({path.readlink()})")
    return found


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


async def _turns(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def _outcome(engine: Engine) -> None:
    try:
        await engine.judge(mail_of(letter(attachments=[("a.bin", bytes(100_000))])))
    except Exception:  # noqa: BLE001 - told by _answers
        return


async def _ignores_cancelling(engine: Engine) -> list[str]:
    """Whether a cancelled `judge` goes on, or answers as if nothing had been; cancelled at its first awaits."""
    for turns in range(1, 6):
        task = asyncio.create_task(_outcome(engine))
        await _turns(turns)
        if task.done():
            break
        task.cancel()
        await asyncio.wait([task], timeout=_CANCEL_SECONDS)
        if not task.cancelled():
            return ["goes on after it was cancelled"]
    return []

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import hostile_work
import pytest

from verdicts.workers import RESULT_BYTES, Unfinished, Workers

MEMORY = 400_000_000


@contextlib.asynccontextmanager
async def workers(count=1, memory=MEMORY, runs=200):
    made = Workers(count, memory, runs)
    try:
        yield made
    finally:
        await made.close()


def alive(pid):
    with contextlib.suppress(OSError):
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    return False


async def gone(pid):
    async with asyncio.timeout(10):
        while alive(pid):
            await asyncio.sleep(0.01)


async def test_what_is_returned_is_plain_data():
    async with workers() as some:
        arguments = [1, "ä", None, {"a": [1.5]}, b"", True]
        assert await some.run(hostile_work.give_back, *arguments[:4], seconds=10) == arguments[:4]
        assert await some.run(hostile_work.pair, seconds=10) == [[1, "x"], {"1": [2]}]
        assert await some.run("hostile_work:pair", seconds=10) == [[1, "x"], {"1": [2]}]
        for nowhere in ("hostile_work:nothing", "no_such_module:pair"):
            with pytest.raises(RuntimeError, match=r"nothing|no_such_module"):
                await some.run(nowhere, seconds=10)


async def test_it_runs_in_another_process_that_is_used_again():
    async with workers() as some:
        pid = await some.run(hostile_work.who, seconds=10)
        assert pid != os.getpid()
        assert await some.run(hostile_work.who, seconds=10) == pid
        assert [await some.run(hostile_work.count, seconds=10) for _ in range(3)] == [1, 2, 3]
    await gone(pid)


UNDER_A_LIMIT = """
import asyncio, resource
from hostile_work import open_files
from verdicts.workers import Workers

async def main():
    workers = Workers(1, 400_000_000)
    try:
        await workers.run(open_files, seconds=10)
    except RuntimeError as error:
        print(error)
    await workers.close()

resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40))
asyncio.run(main())
"""


def test_the_relay_may_be_held_tighter_than_its_workers():
    """They keep its limits then, which they may not loosen, instead of ending."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-c", UNDER_A_LIMIT]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=30)
    assert "Too many open files" in ran.stdout, ran.stderr


async def test_who_was_killed_is_no_zombie_for_long():
    async with workers() as some:
        pid = await some.run(hostile_work.who, seconds=10)
        with pytest.raises(Unfinished, match="took more than"):
            await some.run(hostile_work.hang, seconds=0.1)
        await gone(pid)
        await some.run(hostile_work.who, seconds=10)
        assert not Path(f"/proc/{pid}").exists()


async def test_large_arguments_go_in_pieces():
    data = bytearray(48_000_000)
    async with workers() as some:
        task = asyncio.create_task(some.run(hostile_work.size_of, memoryview(data), seconds=30))
        turns = 0
        while not task.done():
            await asyncio.sleep(0)
            turns += 1
        assert task.result() == len(data)
        assert turns > 100
        assert await some.run(hostile_work.joined, [b"ab", b"", b"c"], seconds=10) == "abc"


async def test_a_hang_is_killed_and_replaced():
    async with workers() as some:
        pid = await some.run(hostile_work.who, seconds=10)
        with pytest.raises(Unfinished, match=r"more than 0\.2 seconds"):
            await some.run(hostile_work.hang, seconds=0.2)
        await gone(pid)
        assert await some.run(hostile_work.who, seconds=10) != pid


@pytest.mark.parametrize("function", [hostile_work.eat, hostile_work.eat_in_c])
async def test_memory_is_bounded(function):
    async with workers() as some:
        with contextlib.suppress(Unfinished):
            assert await some.run(function, seconds=20) is False
        assert await some.run(hostile_work.pair, seconds=10)


async def test_too_much_memory_is_told_and_the_process_replaced():
    async with workers() as some:
        pid = await some.run(hostile_work.who, seconds=10)
        with pytest.raises(Unfinished, match="too much memory"):
            await some.run(hostile_work.eat, seconds=20)
        with pytest.raises(Unfinished, match="too much memory"):
            await some.run(hostile_work.size_of, bytes(MEMORY), seconds=20)
        assert await some.run(hostile_work.who, seconds=10) != pid


@pytest.mark.parametrize(("function", "reason"), [(hostile_work.crash, "SIGSEGV"), (hostile_work.leave, "ended early")])
async def test_a_crash(function, reason):
    async with workers() as some:
        with pytest.raises(Unfinished, match=reason):
            await some.run(function, seconds=10)
        assert await some.run(hostile_work.pair, seconds=10)


async def test_killed_from_outside_while_idle():
    async with workers() as some:
        pid = await some.run(hostile_work.who, seconds=10)
        os.kill(pid, signal.SIGKILL)
        await gone(pid)
        assert await some.run(hostile_work.who, seconds=10) != pid


async def test_what_a_function_raises_is_told_in_short():
    async with workers() as some:
        pid = await some.run(hostile_work.who, seconds=10)
        with pytest.raises(RuntimeError, match=r"ValueError: x{100}") as told:
            await some.run(hostile_work.raise_it, "x" * 10_000 + "\ud800", seconds=10)
        assert len(str(told.value)) < 1_000
        for odd in (hostile_work.return_odd, hostile_work.return_bad_text):
            with pytest.raises(RuntimeError):
                await some.run(odd, seconds=10)
        assert await some.run(hostile_work.who, seconds=10) == pid


async def test_what_is_returned_is_bounded():
    async with workers() as some:
        with pytest.raises(Unfinished, match=f"more than {RESULT_BYTES} bytes"):
            await some.run(hostile_work.return_much, seconds=10)


@pytest.mark.parametrize(
    ("nonsense", "reason"),
    [
        ("\xff\xff\xff\xff", "returned more"),
        ("\0\0\0\4abcd", "nonsense"),
        ("\0\0\0\0021\n", "nonsense|more"),
        ("\0\0\0\3[1]", "nonsense"),
        ("\0\0\0\1", "more than 1 seconds"),
        ("\0\0\0\0", "nonsense"),
    ],
)
async def test_a_process_that_was_taken_over_is_not_trusted(nonsense, reason):
    async with workers() as some:
        with pytest.raises(Unfinished, match=reason):
            await some.run(hostile_work.talk_nonsense, nonsense, seconds=1)
        assert await some.run(hostile_work.pair, seconds=10)


async def test_a_process_that_answers_twice_is_not_trusted():
    async with workers() as some:
        forged = '\0\0\0\x0f["result","ok"]["result","and what nobody asked for"]'
        assert await some.run(hostile_work.talk_nonsense, forged, seconds=10) == "ok"
        with pytest.raises(Unfinished):
            await some.run(hostile_work.who, seconds=10)


async def test_cancelled_is_killed():
    async with workers() as some:
        pid = await some.run(hostile_work.who, seconds=10)
        hanging = asyncio.create_task(some.run(hostile_work.hang, seconds=60))
        await asyncio.sleep(0)
        hanging.cancel()
        with pytest.raises(asyncio.CancelledError):
            await hanging
        await gone(pid)
        assert await some.run(hostile_work.who, seconds=10) != pid


async def test_waiting_for_a_turn_is_not_being_slow():
    async with workers() as some:
        await some.run(hostile_work.who, seconds=10)
        first = asyncio.create_task(some.run(hostile_work.sleep_for, 1.5, seconds=60))
        await asyncio.sleep(0)
        await some.run(hostile_work.who, seconds=1)
        assert first.done()


async def test_no_more_processes_than_allowed():
    async with workers(count=2) as some:
        await asyncio.gather(*(some.run(hostile_work.sleep_for, 0.05, seconds=60) for _ in range(8)))
        assert len(some._alive) == 2


async def test_cancelled_while_it_waits_for_a_turn():
    async with workers() as some:
        first = asyncio.create_task(some.run(hostile_work.sleep_for, 0.2, seconds=10))
        second = asyncio.create_task(some.run(hostile_work.who, seconds=10))
        await asyncio.sleep(0)
        second.cancel()
        await asyncio.wait([first, second])
        assert second.cancelled()
        assert first.result() is None


async def test_close_ends_all():
    some = Workers(2, MEMORY)
    pids = set(await asyncio.gather(*(some.run(hostile_work.who, seconds=10) for _ in range(2))))
    busy = [asyncio.create_task(some.run(hostile_work.hang, seconds=60)) for _ in range(4)]
    await asyncio.sleep(0.05)
    await some.close()
    assert not any(map(alive, pids))
    with pytest.raises(Unfinished):
        await some.run(hostile_work.who, seconds=1)
    ended = await asyncio.wait_for(asyncio.gather(*busy, return_exceptions=True), 10)
    assert {type(end) for end in ended} == {Unfinished}


async def test_what_a_process_inherits(tmp_path, monkeypatch):
    monkeypatch.setenv("SLUICE_PASSWORD", "secret")
    with (tmp_path / "open").open("w") as file:
        os.set_inheritable(file.fileno(), True)
        async with workers() as some:
            told = await some.run(hostile_work.surroundings, seconds=10)
    assert set(told["environment"]) <= {"PYTHONPATH", "LANG", "LC_CTYPE", "MALLOC_ARENA_MAX"}
    assert not [name for name in told["descriptors"] if not name.startswith(("/dev/null", "socket:", "/proc"))]
    assert told["core"] == [0, 0]
    assert told["parent"] == os.getpid()
    assert told["session"]


async def test_it_cannot_write_and_opens_few_files(tmp_path):
    async with workers() as some:
        with pytest.raises(RuntimeError, match="File too large"):
            await some.run(hostile_work.write_a_file, str(tmp_path / "x"), seconds=10)
        with pytest.raises(RuntimeError, match="Too many open files"):
            await some.run(hostile_work.open_files, seconds=10)


PARENT = """
import asyncio, os, sys
sys.path.insert(0, {tests!r})
import hostile_work
from verdicts.workers import Workers

async def main():
    workers = Workers(1, 400_000_000)
    print(await workers.run(hostile_work.who, seconds=10), flush=True)
    await workers.run(hostile_work.hang, seconds=60)

asyncio.run(main())
"""


async def test_it_dies_with_its_parent():
    program = PARENT.format(tests=str(Path(__file__).parent))
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, cwd=Path.cwd()) as parent:
        pid = int(await asyncio.to_thread(parent.stdout.readline))
        assert alive(pid)
        parent.kill()
        parent.wait()
        await gone(pid)


async def test_a_process_is_replaced_after_many_runs():
    async with workers(runs=3) as some:
        pids = [await some.run(hostile_work.who, seconds=10) for _ in range(7)]
    assert [pids.count(pid) for pid in dict.fromkeys(pids)] == [3, 3, 1]

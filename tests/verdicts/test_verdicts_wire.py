import asyncio
import socket
import statistics
import time

import pytest
from doubles.fed import fed
from doubles.scripted import scripted
from hypothesis import given
from hypothesis import strategies as st

from verdicts.protocols.wire import HungUp, connected, exchange

cuts = st.lists(st.integers(0, 10_000), max_size=10)


@given(st.text("ab\r\n\0", max_size=60).map(str.encode), st.sampled_from([b"\n", b"\r\n", b"\0"]), cuts)
def test_until_reads_what_is_before_the_end(content, end, cuts):
    before, found, behind = content.partition(end)

    async def read():
        with fed(content, cuts) as connection:
            if not found or len(before) > 40:
                with pytest.raises(ConnectionError):
                    await connection.until(end, 40)
                return
            assert await connection.until(end, 40) == before
            assert await connection.rest(100) == behind

    asyncio.run(read())


@pytest.mark.parametrize("content", [b"a\n\r\n", b"a\rb\r\n"])
async def test_lines_end_with_both(content):
    with fed(content) as connection, pytest.raises(ValueError):
        await connection.line()


async def test_reading_has_limits():
    with fed(b"x" * 1000) as connection:
        assert await connection.exactly(10) == b"x" * 10
        assert len(await connection.some(2**30)) == 990
        with pytest.raises(HungUp):
            await connection.exactly(1)
    with fed(b"x" * 1000) as connection, pytest.raises(ConnectionError, match="without end"):
        await connection.rest(999)
    with fed(b"x" * 9000 + b"\r\n") as connection, pytest.raises(ConnectionError, match="without end"):
        await connection.line()


async def test_who_sends_a_thing_in_two_does_not_wait_for_our_acknowledgement():
    """As libmilter does, without TCP_NODELAY; the system holds acknowledgements back for 40 ms, after some time."""

    async def halves(reader, writer):
        writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 0)
        while await reader.readexactly(1):
            writer.write(b"a")
            await asyncio.sleep(0)
            writer.write(b"b")

    took = []
    async with scripted(halves) as address, connected(address) as connection:
        for _ in range(40):
            begun = time.perf_counter()
            await connection.send([b"?"])
            assert await connection.exactly(2) == b"ab"
            took.append(time.perf_counter() - begun)
    assert statistics.median(took[20:]) < 0.02


async def test_a_flood_lets_others_in():
    async def flood(_reader, writer):
        while True:
            writer.write(b"x" * 65536)
            await writer.drain()

    turns = 0

    async def others():
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async with scripted(flood) as address, connected(address) as connection:
        task = asyncio.create_task(others())
        with pytest.raises(ConnectionError):
            await connection.rest(10_000_000)
        task.cancel()
    assert turns > 100


async def test_what_cannot_be_sent_is_told():
    async def broken():
        raise ValueError("mapping closed")

    with pytest.raises(ValueError, match="mapping closed"):
        await exchange(broken(), asyncio.sleep(60, "fine"), bool)


async def test_nothing_is_left_running_when_cancelled():
    ended = []

    async def for_ever(name):
        try:
            await asyncio.sleep(60)
        finally:
            ended.append(name)

    task = asyncio.create_task(exchange(for_ever("sending"), for_ever("reading"), bool))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert sorted(ended) == ["reading", "sending"]

"""Runs the scripted next hop beside a test that is not asynchronous: an event loop in a thread."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from doubles.nexthop import NextHop, Stall


class Background:
    """A next hop in a thread of its own; `hop` may be read from any thread."""

    def __init__(self, hop: NextHop) -> None:
        self.hop = hop
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)

    @property
    def address(self) -> str:
        """HOST:PORT of the next hop."""
        return f"127.0.0.1:{self.hop.port}"

    @property
    def bodies(self) -> list[bytes]:
        """The messages that the next hop has taken."""
        return [message.content for message in self.hop.messages]

    def start(self) -> None:
        """Listen."""
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self.hop.__aenter__(), self._loop).result(10)

    def stop(self) -> None:
        """Hang up and stop listening."""
        asyncio.run_coroutine_threadsafe(self.hop.__aexit__(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def go(self, stall: Stall) -> None:
        """Let a stall end."""
        self._loop.call_soon_threadsafe(stall.go.set)

    def hang_up(self) -> None:
        """Close every connection."""
        self._loop.call_soon_threadsafe(self.hop.hang_up)


@contextmanager
def running(hop: NextHop | None = None) -> Iterator[Background]:
    """`hop`, or a well behaved one, running."""
    background = Background(hop or NextHop())
    background.start()
    try:
        yield background
    finally:
        background.stop()

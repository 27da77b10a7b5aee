"""Listener: makes sessions of connections, and ends them in order."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Callable, Iterable

from relay.intake.admission import Admission
from relay.intake.budget import Budget
from relay.intake.options import IntakeOptions
from relay.intake.service import Conversation, Service
from relay.intake.session import SmtpServer

LAST_WORDS = 10.0
"""Seconds after the grace time in which sessions that were cut come to their end."""


class Listener:
    """The SMTP server of one worker."""

    def __init__(
        self,
        options: IntakeOptions,
        admission: Admission,
        converse: Callable[[], Conversation],
        tls: Callable[[], ssl.SSLContext | None],
    ) -> None:
        """`converse` makes the conversation of one connection; `tls` gives the context of the next handshake."""
        budget = Budget(options.max_bytes_in_flight, options.memory_bytes)
        self._service = Service(options, admission, converse, tls, budget)
        self._servers: list[asyncio.Server] = []

    @property
    def sessions(self) -> int:
        """Sessions that have not ended."""
        return len(self._service.sessions.members)

    async def start(self, sockets: Iterable[socket.socket]) -> None:
        """Accept connections on `sockets`, which are bound."""
        loop = asyncio.get_running_loop()
        for sock in sockets:
            server = await loop.create_server(lambda: SmtpServer(self._service, loop), sock=sock, backlog=1024)
            self._servers.append(server)

    def reconfigure(self, options: IntakeOptions, admission: Admission) -> None:
        """New sessions follow `options` and `admission`; open ones keep what they began with."""
        self._service.options = options
        self._service.admission = admission
        self._service.budget.limit = options.max_bytes_in_flight
        self._service.budget.memory.limit = options.memory_bytes

    def stop_accepting(self) -> None:
        """Close the listening sockets."""
        for server in self._servers:
            server.close()
        self._servers.clear()

    async def drain(self, grace: float, hand_over: float = LAST_WORDS) -> int:
        """Let open transactions finish within `grace` seconds, then cut them; idle sessions hear 421 at once.

        A hand-over that has begun is not cut: it gets `hand_over` seconds more. Returns how many sessions are left.
        """
        self.stop_accepting()
        sessions = self._service.sessions
        sessions.draining = True
        for session in tuple(sessions.members):
            session.drain()
        await self._empty(grace)
        for session in tuple(sessions.members):
            session.cut()
        await self._empty(hand_over)
        return self.sessions

    async def _empty(self, seconds: float) -> None:
        """Wait until all sessions have ended, `seconds` at most."""
        ended = asyncio.Event()
        self._service.sessions.when_empty = ended.set
        if self.sessions:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(ended.wait(), seconds)

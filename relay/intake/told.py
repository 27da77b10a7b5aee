"""What is said to one client: replies, and the count of its errors, which ends a session that has too many of them."""

import asyncio
import os
from collections.abc import Iterator

import structlog

from relay import replies
from relay.errors import Refused, SluiceError
from relay.intake.link import Link
from relay.intake.service import Service
from relay.observe.metrics import REFUSALS, REFUSED
from relay.replies import Reply

IDLE_COMMANDS = 100
"""Commands without a message in between that bring none nearer (RSET, NOOP, EHLO ...). Each one over this many counts
as an error; Exchange never sends so many."""
REFUSED_RECIPIENTS = 5
"""Times max_errors: recipients without a message in between that the next hop may refuse with 5yz before the session
ends, so that nobody harvests addresses in it. Honest lists have dead members, hence more than errors."""
ID_LENGTH = 13

log = structlog.get_logger("relay.intake")
_REFUSED = {reason: REFUSED.labels(reason) for reason in REFUSALS}
_LETTERS = b"abcdefghijklmnopqrstuvwxyz234567" * 8


class Told(Link):
    """A link whose client is told things, and whose errors are counted."""

    def __init__(self, service: Service, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self._service = service
        self._options = service.options
        self._id = next(_session_ids)
        self._peer = ""
        self._errors = 0
        self._idle_commands = 0  # since the last message, as the next
        self._refused_recipients = 0

    def _tell(self, reply: Reply) -> None:
        """Say `reply`. 421 means that the connection closes (RFC 5321 section 3.8); so do too many refusals."""
        self.say(reply)
        if reply.code == 421:
            self.end()
        elif self._too_many_errors():
            self._count("errors")
            self.say(replies.TOO_MANY_ERRORS)
            self.end()

    def _too_many_errors(self) -> bool:
        limit = self._options.max_errors
        return self._errors >= limit or self._refused_recipients >= limit * REFUSED_RECIPIENTS

    def _tell_idler(self, reply: Reply) -> None:
        """Say `reply` to a command that brings no message nearer."""
        self._idle_commands += 1
        self._errors += self._idle_commands > IDLE_COMMANDS
        self._tell(reply)

    def _refuse(self, error: SluiceError) -> None:
        """Answer with the error's reply."""
        self._account(error)
        self._tell(error.reply)
        if not isinstance(error, Refused):
            log.warning("put off", session=self._id, peer=self._peer, reason=error.reason, detail=error.detail)

    def _account(self, error: SluiceError) -> None:
        if isinstance(error, Refused):
            self._count(error.reason)
            self._errors += error.reply.permanent

    def _count(self, reason: str) -> None:
        child = _REFUSED.get(reason)
        if child is not None:
            child.inc()


def _make_session_ids() -> Iterator[str]:
    """Random words; one system call makes a hundred of them.

    Those in store need no care at a fork: workers are programs of their own, started by the supervisor.
    """
    while True:
        letters = os.urandom(ID_LENGTH * 100).translate(_LETTERS).decode()
        for start in range(0, len(letters), ID_LENGTH):
            yield letters[start : start + ID_LENGTH]


_session_ids = _make_session_ids()

"""Draft: the bytes of one message as they arrived, in memory, or in an unlinked file when it is large."""

import asyncio
from collections.abc import Iterator

from relay import replies
from relay.errors import Refused
from relay.intake.budget import Budget
from relay.intake.options import IntakeOptions
from relay.intake.reader import LineAudit
from relay.intake.spool import Spool

BATCH = 1_048_576
"""Bytes that are written to the file at a time."""
SMALL = 512
"""Smaller pieces are joined to the one before, so that a million of them cannot fill the memory."""
JOINED = 8_192


def expected_size(options: IntakeOptions, declared: int | None) -> int:
    """Bytes to reserve for a message before it comes: what SIZE declared, or what may stay in memory."""
    return min(options.memory_bytes if declared is None else declared, options.max_message_bytes)


class Draft:
    """The content of a message (`verdicts.mail.Content`), and how reading it went.

    Its bytes are reserved in the budget from the beginning (`expected_size`) and as it grows. What goes wrong while it
    is read is its `fault`; the rest of a faulty draft is thrown away, and so is what it had, unless only its bytes are
    malformed.
    """

    def __init__(self, options: IntakeOptions, budget: Budget, declared: int | None) -> None:
        """`declared`: the SIZE of the MAIL command. Without room in the budget the draft begins with a fault (452)."""
        self.size = 0
        """Bytes that it holds."""
        self.fault: Refused | None = None
        """Why it cannot be accepted."""
        self.seconds = 0.0
        """From the first DATA or BDAT to the end."""
        self._options = options
        self._budget = budget
        self._reserved = 0
        self._audit = LineAudit()
        self._pieces: list[bytes] = []  # all of it, or what is not in the file yet
        self._waiting = 0  # bytes in _pieces
        self._spool: Spool | None = None
        if not self._reserve(expected_size(options, declared)):
            self._spoil(replies.NO_ROOM, "bytes_in_flight")

    @property
    def bare(self) -> bool:
        """Whether a CR or LF in it is not part of a CRLF; in a draft without fault that is a BDAT body's."""
        return self._audit.bare

    @property
    def nul(self) -> bool:
        """Whether a NUL is in it."""
        return self._audit.nul

    async def append(self, piece: bytes) -> None:
        """The next bytes of the content; a draft that has a fault ignores them."""
        if self.fault or not piece:
            return
        size = self.size + len(piece)
        if size > self._options.max_message_bytes:
            self._spoil(replies.TOO_BIG, "too_big")
        elif not self._reserve(size):
            self._spoil(replies.NO_ROOM, "bytes_in_flight")
        else:
            self._audit.feed(piece)
            self.size = size
            self._keep(piece)
            if size > self._options.memory_bytes and (self._spool is None or self._waiting >= BATCH):
                await self._spill()

    async def finish(self, *, strict: bool) -> None:
        """All bytes are here. `strict`: a bare CR or LF is a fault (DATA); a NUL always is one."""
        if self._spool is not None and self._waiting:
            await self._spill()
        if self.fault is None:
            self._shrink(self.size)
            if self.nul or (strict and self.bare):
                self.fault = Refused(replies.MALFORMED, "malformed")

    def pieces(self) -> Iterator[bytes]:
        """The bytes in order; may be called again."""
        return iter(tuple(self._pieces)) if self._spool is None else self._spool.pieces(self.size)

    def view(self) -> memoryview:
        """All bytes as one buffer."""
        if self._spool is not None:
            return self._spool.view(self.size)
        if len(self._pieces) != 1:
            self._pieces = [b"".join(self._pieces)]
        return memoryview(self._pieces[0])

    def close(self) -> None:
        """Give back memory, file and reservation; may be called again."""
        self.size = 0
        self._shrink(0)
        self._pieces = []
        if self._spool is not None:
            self._spool.close()
            self._spool = None

    def _reserve(self, size: int) -> bool:
        missing = size - self._reserved
        if missing > 0:
            if not self._budget.reserve(missing):
                return False
            self._reserved = size
        return True

    def _shrink(self, size: int) -> None:
        if self._reserved > size:
            self._budget.release(self._reserved - size)
            self._reserved = size

    def _keep(self, piece: bytes) -> None:
        self._waiting += len(piece)
        pieces = self._pieces
        if len(piece) < SMALL and pieces and len(pieces[-1]) < JOINED:
            pieces[-1] += piece
        else:
            pieces.append(piece)

    async def _spill(self) -> None:
        """Move what is in memory to the file."""
        pieces, self._pieces, self._waiting = self._pieces, [], 0
        try:
            await asyncio.get_running_loop().run_in_executor(None, self._write, pieces)
        except OSError as error:
            self._spoil(replies.NO_ROOM, "disk_full", str(error))

    def _write(self, pieces: list[bytes]) -> None:
        if self._spool is None:
            self._spool = Spool(self._options.drafts)
        self._spool.write(pieces)

    def _spoil(self, reply: replies.Reply, reason: str, detail: str = "") -> None:
        self.fault = Refused(reply, reason, detail)
        self.close()

"""Draft: the bytes of one message as they arrived, in memory while there is room, else in an unlinked file."""

import asyncio
from collections.abc import Iterable, Iterator

from relay import replies
from relay.errors import Refused
from relay.intake.block import Block
from relay.intake.budget import Budget
from relay.intake.options import IntakeOptions
from relay.intake.pace import Pace
from relay.intake.reader import LineAudit
from relay.intake.spool import Spool

SMALL = 262_144
"""Bytes that a draft keeps in pieces; what is larger gets a block of memory, or a file."""
BATCH = 1_048_576
"""Bytes that are written to the file at a time, where memory has room to gather them."""
TINY = 512
"""Smaller pieces are joined to the one before, so that a million of them cannot fill the memory."""
JOINED = 8_192
UNDECLARED = 65_536
"""Bytes to reserve for a message whose size nobody told."""


def expected_size(options: IntakeOptions, declared: int | None) -> int:
    """Bytes to reserve for a message before it comes."""
    return min(UNDECLARED if declared is None else declared, options.max_message_bytes)


class Draft:
    """The content of a message (`verdicts.mail.Content`), and how reading it went.

    Its bytes are reserved in the budget from the beginning (`expected_size`) and as it grows. What goes wrong while it
    is read is its `fault`; the rest of a faulty draft is thrown away, and so is what it had, unless only its bytes are
    malformed.
    """

    __slots__ = (
        "_audit", "_block", "_budget", "_declared", "_options", "_pieces", "_reserved", "_spool", "_waiting",
        "dotted", "fault", "seconds", "size",
    )  # fmt: skip

    def __init__(self, options: IntakeOptions, budget: Budget, declared: int | None) -> None:
        """`declared`: the SIZE of the MAIL command. Without room in the budget the draft begins with a fault (452)."""
        self.size = 0
        """Bytes that it holds."""
        self.fault: Refused | None = None
        """Why it cannot be accepted."""
        self.seconds = 0.0
        """From the first DATA or BDAT to the end."""
        self.dotted = True
        """Whether a line of it may begin with a dot; False only when that is known."""
        self._options = options
        self._budget = budget
        self._reserved = 0
        self._audit = LineAudit()
        self._declared = declared or 0
        self._pieces: list[bytes] = []  # all of a small draft, or what is not in the file yet
        self._waiting = 0  # bytes in _pieces, taken from the memory
        self._block: Block | None = None  # all of a large draft in memory
        self._spool: Spool | None = None
        if not self._reserve(expected_size(options, declared)):
            self._spoil(replies.NO_ROOM, "bytes_in_flight")

    @property
    def pace(self) -> Pace:
        """When more of it may be taken."""
        return self._budget.pace

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
            if not self._hold(piece):
                await self._spill(piece)

    async def finish(self, *, strict: bool) -> None:
        """All bytes are here. `strict`: a bare CR or LF is a fault (DATA); a NUL always is one."""
        if self._spool is not None and self._waiting:
            await self._spill(b"")
        if self._block is not None:
            self._block.seal()
        if self.fault is None:
            self._shrink(self.size)
            if self.nul or (strict and self.bare):
                self.fault = Refused(replies.MALFORMED, "malformed")

    def pieces(self) -> Iterator[bytes]:
        """The bytes in order; may be called again."""
        store = self._block or self._spool
        return store.pieces(self.size) if store else iter(tuple(self._pieces))

    def view(self) -> memoryview:
        """All bytes as one read-only buffer."""
        store = self._block or self._spool
        if store:
            return store.view(self.size)
        if len(self._pieces) != 1:
            self._pieces = [b"".join(self._pieces)]
        return memoryview(self._pieces[0])

    def close(self) -> None:
        """Give back memory, file and reservation; may be called again."""
        self.size = 0
        self._shrink(0)
        if self._pieces:
            self._let_go_of_pieces()
        if self._block is not None:
            self._block.close()
            self._block = None
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

    def _hold(self, piece: bytes) -> bool:
        """Keep `piece` in memory; False when it has no room, or when all that waits should go to the file."""
        if self._block is not None:
            return self._block.write((piece,))
        memory, count = self._budget.memory, len(piece)
        if self._spool is not None:
            room = self._waiting + count <= BATCH and memory.reserve_large(count)
        elif self._waiting + count > SMALL:
            return self._move_to_block(piece)
        else:
            room = memory.reserve(count)
        if room:
            self._keep(piece)
        return room

    def _move_to_block(self, piece: bytes) -> bool:
        """Put what waits, and `piece`, into a block; False when it is not to be expected that the draft fits."""
        memory = self._budget.memory
        if not memory.has_large_room(max(self.size, self._declared)):
            return False
        try:
            block = Block(self._options.max_message_bytes, memory)
        except OSError:  # no addresses are left
            return False
        if not block.write((*self._pieces, piece)):
            block.close()
            return False
        self._block = block
        self._let_go_of_pieces()
        return True

    def _let_go_of_pieces(self) -> None:
        self._budget.memory.release(self._waiting)
        self._pieces, self._waiting = [], 0

    def _keep(self, piece: bytes) -> None:
        self._waiting += len(piece)
        pieces = self._pieces
        if len(piece) < TINY and pieces and len(pieces[-1]) < JOINED:
            pieces[-1] += piece
        else:
            pieces.append(piece)

    async def _spill(self, piece: bytes) -> None:
        """Move what is in memory to the file, and `piece` behind it; until it is there, its memory counts."""
        pieces, waiting, block = self._pieces, self._waiting, self._block
        self._pieces, self._waiting, self._block = [], 0, None
        held = [block.view(self.size - len(piece))] if block else pieces
        try:
            await asyncio.get_running_loop().run_in_executor(None, self._write, [*held, piece])
        except OSError as error:
            self._spoil(replies.NO_ROOM, "disk_full", str(error))
        finally:
            self._budget.memory.release(waiting)
            del held
            if block is not None:
                block.close()

    def _write(self, pieces: Iterable[bytes | memoryview]) -> None:
        if self._spool is None:
            self._spool = Spool(self._options.drafts)
        self._spool.write(pieces)

    def _spoil(self, reply: replies.Reply, reason: str, detail: str = "") -> None:
        self.fault = Refused(reply, reason, detail)
        self.close()

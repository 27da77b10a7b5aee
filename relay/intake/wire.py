"""What arrived from the client and is not used yet: chunks as the socket gave them, taken by line or by chunk. No I/O.

A command line ends at CRLF and at nothing else (RFC 5321 section 2.3.8). A line with a bare LF, a CR or a NUL in it, or
one that is too long, is refused once, at the moment when it is known to be bad, and skipped up to its CRLF: an LF that
some other server takes for a line end never starts a command here.
"""

import sys
from collections import deque
from typing import NoReturn

from relay import replies
from relay.errors import Refused

COALESCE = 512
"""Arrivals that are smaller are joined to the chunk before, so that one-byte segments cannot fill the memory."""
COALESCED = 8_192


class Inbox:
    """Bytes in order. `size` is how many there are."""

    __slots__ = ("_at", "_chunks", "_skipping", "size")

    def __init__(self) -> None:
        self._chunks: deque[bytes] = deque()
        self._at = 0  # what is used of the first chunk
        self._skipping = False
        self.size = 0

    def put(self, data: bytes) -> None:
        """`data` arrived."""
        self.size += len(data)
        chunks = self._chunks
        if len(data) < COALESCE and chunks and len(chunks[-1]) < COALESCED:
            chunks[-1] += data
        else:
            chunks.append(data)

    def chunk(self, limit: int = sys.maxsize) -> bytes | None:
        """The next bytes, as many as lie in one piece, `limit` at most; None when there are none."""
        if not self._chunks:
            return None
        at = self._at
        data = self._chunks[0][at : at + limit]  # no copy of a whole chunk
        self._advance(len(data))
        return data

    def unread(self, data: bytes) -> None:
        """Put back the end of what `chunk` gave."""
        if data:
            self._chunks.appendleft(data)
            self.size += len(data)

    def clear(self) -> None:
        """Forget everything (RFC 3207 section 6: nothing of the plaintext survives STARTTLS)."""
        self._chunks.clear()
        self._at = self.size = 0
        self._skipping = False

    def line(self, limit: int) -> bytes | None:
        """The next command line without its CRLF; None when it has not arrived whole.

        Raises Refused for a line longer than `limit` bytes (CRLF not counted), or with a bare LF, CR or NUL in it.
        """
        if not self.size or (self._skipping and not self._skip()):
            return None
        while self._chunks:
            head, at = self._chunks[0], self._at
            end = head.find(b"\n", at)
            length = (len(head) if end < 0 else end) - at
            if length > limit + 1:
                self._refuse(replies.LINE_TOO_LONG)
            if end > at and head[end - 1] == 13:
                self._advance(length + 1)
                line = head[at : end - 1]
                if b"\r" in line or b"\0" in line:
                    raise Refused(replies.BAD_LINE, "syntax")
                return line
            if end >= 0:
                self._advance(length + 1)
                self._refuse(replies.BAD_LINE)
            if not self._merge():
                return None
        return None

    def _advance(self, count: int) -> None:
        self.size -= count
        self._at += count
        if self._at == len(self._chunks[0]):
            self._chunks.popleft()
            self._at = 0

    def _merge(self) -> bool:
        """Join the first two chunks; False when there is only one."""
        if len(self._chunks) == 1:
            return False
        head = self._chunks.popleft()[self._at :]
        self._chunks[0] = head + self._chunks[0]
        self._at = 0
        return True

    def _refuse(self, reply: replies.Reply) -> NoReturn:
        self._skipping = True
        raise Refused(reply, "syntax")

    def _skip(self) -> bool:
        """Go behind the next CRLF; False when it has not arrived. A CR at the very end stays, as its LF may follow."""
        while self._chunks:
            head = self._chunks[0]
            end = head.find(b"\r\n", self._at)
            if end >= 0:
                self._skipping = False
                self._advance(end + 2 - self._at)
                return True
            kept = head.endswith(b"\r")
            self._advance(len(head) - self._at - kept)
            if kept and not self._merge():
                return False
        return False

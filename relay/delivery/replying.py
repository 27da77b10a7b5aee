"""The next hop's replies, read without I/O: feed bytes, take Replies (RFC 5321 section 4.2).

Strict, because each reply is passed on word for word: a line that hides a CR, LF or NUL would let a next hop speak to
our client in our name. Bounded, because a next hop may be broken or hostile.
"""

import re
from functools import lru_cache
from typing import Final

from relay.replies import Reply

MAX_LINE: Final = 8_192
"""Bytes of a line. RFC 5321 section 4.5.3.1.5 allows 512; servers exceed it with long explanations and links."""
MAX_LINES: Final = 100
"""Lines of a reply. The longest EHLO answers known have about 30."""
MAX_REPLY: Final = 65_536
"""Bytes of a reply."""

_LINE = re.compile(rb"([2-5]\d\d)(?:([ -])([^\r\n\0]*))?\Z")


class BadReplyError(Exception):
    """What came is no SMTP reply, or it is larger than the limits; the text is for the log."""


@lru_cache(maxsize=128)  # most lines are the same each time, and replies cannot be changed
def _read(line: bytes) -> tuple[Reply, bool]:
    """A line as a reply of its own, and whether more lines follow. Raises BadReplyError."""
    match = _LINE.match(line)
    if match is None:
        raise BadReplyError(f"not a reply: {line[:80]!r}")
    code, mark, text = match.groups(b"")
    return Reply(int(code), (text.decode("utf-8", "surrogateescape"),)), mark == b"-"


class ReplyParser:
    """One connection's replies."""

    def __init__(self) -> None:
        self._rest = b""
        self._lines: list[Reply] = []
        self._size = 0

    @property
    def pending(self) -> bool:
        """Whether there is a part of a reply that is not complete."""
        return bool(self._rest or self._lines)

    def feed(self, data: bytes) -> list[Reply]:
        """The replies that `data` completes, in order. Raises BadReplyError; nothing can be fed afterwards."""
        lines = (self._rest + data).split(b"\r\n")
        self._rest = lines.pop()
        if len(self._rest.removesuffix(b"\r")) > MAX_LINE:  # the LF of a line that is just short enough may follow
            raise BadReplyError("line too long")
        replies: list[Reply] = []
        for line in lines:
            if len(line) > MAX_LINE:
                raise BadReplyError(f"line too long: {line[:80]!r}")
            reply, more = _read(line)
            if more or self._lines:
                self._gather(reply, len(line))
            if not more:
                replies.append(self._joined() if self._lines else reply)
        return replies

    def _gather(self, line: Reply, size: int) -> None:
        if self._lines and line.code != self._lines[0].code:
            raise BadReplyError("lines of one reply differ in their code")
        self._lines.append(line)
        self._size += size
        if len(self._lines) > MAX_LINES or self._size > MAX_REPLY:
            raise BadReplyError("reply too long")

    def _joined(self) -> Reply:
        lines, self._lines, self._size = self._lines, [], 0
        return Reply(lines[0].code, tuple(line.lines[0] for line in lines))

"""The next hop's replies, read without I/O: feed bytes, take Replies (RFC 5321 section 4.2).

Strict, because each reply is passed on word for word: a line that hides a CR, LF or NUL would let a next hop speak to
our client in our name. Bounded, because a next hop may be broken or hostile.
"""

import re
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


class ReplyParser:
    """One connection's replies."""

    def __init__(self) -> None:
        self._rest = b""
        self._lines: list[bytes] = []
        self._code = b""
        self._size = 0

    @property
    def pending(self) -> bool:
        """Whether there is a part of a reply that is not complete."""
        return bool(self._rest or self._lines)

    def feed(self, data: bytes) -> list[Reply]:
        """The replies that `data` completes, in order. Raises BadReplyError; nothing can be fed afterwards."""
        *lines, self._rest = (self._rest + data).split(b"\r\n")
        if len(self._rest) > MAX_LINE:
            raise BadReplyError("line too long")
        return [reply for line in lines if (reply := self._take(line)) is not None]

    def _take(self, line: bytes) -> Reply | None:
        match = _LINE.match(line) if len(line) <= MAX_LINE else None
        if match is None:
            raise BadReplyError(f"not a reply: {line[:80]!r}")
        code, mark, text = match.groups(b"")
        if self._lines and code != self._code:
            raise BadReplyError("lines of one reply differ in their code")
        self._code = code
        self._lines.append(text)
        self._size += len(line)
        if len(self._lines) > MAX_LINES or self._size > MAX_REPLY:
            raise BadReplyError("reply too long")
        return None if mark == b"-" else self._complete()

    def _complete(self) -> Reply:
        reply = Reply(int(self._code), tuple(text.decode("utf-8", "surrogateescape") for text in self._lines))
        self._lines = []
        self._size = 0
        return reply

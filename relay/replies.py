"""Every sentence that Sluice says in SMTP, and Reply, the value that carries code, enhanced code and text as one.

Replies tell outsiders nothing about engines, rules or the inside of our network. Enhanced codes are those of RFC 3463
and the IANA registry; what is not ours (a next hop's answer) is kept word for word.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Self

_ENHANCED = re.compile(r"([245]\.\d{1,3}\.\d{1,3})(?: |$)")


@dataclass(slots=True, unsafe_hash=True)  # not frozen, which makes a new one cost three times as much
class Reply:
    """One SMTP reply (RFC 5321 section 4.2): the code, and each line's text as it stands behind "250-" or "250 ".

    A value: nobody changes it.
    """

    code: int
    lines: tuple[str, ...]
    _wire: bytes = field(default=b"", init=False, repr=False, compare=False)

    @classmethod
    def of(cls, code: int, enhanced: str, text: str) -> Self:
        """A reply of our own, of one line."""
        return cls(code, (f"{enhanced} {text}",))

    @property
    def enhanced(self) -> str:
        """The enhanced status code of the first line ("5.7.1"), or an empty string (RFC 2034)."""
        found = _ENHANCED.match(self.lines[0]) if self.lines else None
        return found.group(1) if found else ""

    @property
    def positive(self) -> bool:
        """Whether it is a 2yz reply."""
        return 200 <= self.code < 300

    @property
    def transient(self) -> bool:
        """Whether it is a 4yz reply: the sender tries again."""
        return 400 <= self.code < 500

    @property
    def permanent(self) -> bool:
        """Whether it is a 5yz reply: the sender gives up."""
        return 500 <= self.code < 600

    def wire(self) -> bytes:
        """The bytes to send, each line ended by CRLF; made once, as most replies are said again and again."""
        if not self._wire:
            lines = self.lines or ("",)
            text = "".join(f"{self.code}-{line}\r\n" for line in lines[:-1]) + f"{self.code} {lines[-1]}\r\n"
            self._wire = text.encode("utf-8", "surrogateescape")
        return self._wire

    def __str__(self) -> str:
        return f"{self.code} " + " / ".join(self.lines)


# --- what the journey says -------------------------------------------------------------------------------------------

SENDER_OK = Reply.of(250, "2.1.0", "Sender ok")
RECIPIENT_OK = Reply.of(250, "2.1.5", "Recipient ok")
ACCEPTED = Reply.of(250, "2.6.0", "Message accepted")
"""For mail that is kept or thrown away: the same words, so that a sender cannot tell which."""
NOT_PROTECTED = Reply.of(550, "5.7.1", "Recipient domain is not served here")
NOT_VERIFIED = Reply.of(451, "4.7.1", "Recipient domain is not served yet, try again later")
NOT_CONFIGURED = Reply.of(451, "4.3.5", "No domain is served yet, try again later")
OTHER_ROUTE = Reply.of(452, "4.5.3", "Recipient takes another route, send it in another transaction")
NO_PROOF = Reply.of(550, "5.7.1", "Message not accepted from this organization")
LOOP = Reply.of(554, "5.4.6", "Mail loop detected")
HEADER_TOO_BIG = Reply.of(552, "5.3.4", "Message header too big")
DEFERRED = Reply.of(451, "4.7.1", "Message deferred, try again later")
REFUSED_BY_POLICY = Reply.of(550, "5.7.1", "Message refused")
OVERLOADED = Reply.of(451, "4.3.2", "Too many messages, try again later")
LOCAL_FAILURE = Reply.of(451, "4.3.0", "Local failure, try again later")

# Delivery: the next hop failed, or lacks what the message needs. None of them names a host.
NEXT_HOP_NOT_FOUND = Reply.of(451, "4.4.3", "The recipient's mail server cannot be looked up, try again later")
NEXT_HOP_UNREACHABLE = Reply.of(451, "4.4.1", "The recipient's mail server does not answer, try again later")
NEXT_HOP_TLS = Reply.of(451, "4.7.5", "The recipient's mail server cannot be trusted, try again later")
NEXT_HOP_SILENT = Reply.of(451, "4.4.2", "The recipient's mail server broke off, try again later")
NEXT_HOP_PROTOCOL = Reply.of(451, "4.5.0", "The recipient's mail server answered badly, try again later")
NEXT_HOP_BUSY = Reply.of(451, "4.4.5", "The recipient's mail server is busy, try again later")
NEXT_HOP_CHANGED = Reply.of(451, "4.3.0", "The recipient's mail server changed its answer, try again later")
NEXT_HOP_LACKS_SMTPUTF8 = Reply.of(550, "5.6.7", "The recipient's mail server does not support SMTPUTF8")
NEXT_HOP_LACKS_8BITMIME = Reply.of(554, "5.6.3", "The recipient's mail server does not support 8BITMIME")
NEXT_HOP_LACKS_CHUNKING = Reply.of(
    554, "5.6.0", "The message has a bare CR or LF and the recipient's mail server does not support CHUNKING"
)


# --- what intake says ------------------------------------------------------------------------------------------------

OK = Reply.of(250, "2.0.0", "Ok")
BYE = Reply.of(221, "2.0.0", "Bye")
CANNOT_VERIFY = Reply.of(252, "2.5.2", "Cannot verify, send the message to find out")
HELP = Reply.of(214, "2.0.0", "See RFC 5321")
READY_FOR_TLS = Reply.of(220, "2.0.0", "Ready to start TLS")
GO_AHEAD = Reply(354, ("Send the message, end with <CRLF>.<CRLF>",))

# Connections that end.
STRANGER = Reply.of(554, "5.7.1", "Access denied")
TOO_MANY_SESSIONS = Reply.of(421, "4.3.2", "Too many connections, try again later")
SHUTTING_DOWN = Reply.of(421, "4.3.2", "Service is shutting down, try again later")
IDLE = Reply.of(421, "4.4.2", "Nothing heard for too long, closing")
TOO_MANY_ERRORS = Reply.of(421, "4.7.0", "Too many errors, closing")
REPLY_TIMEOUT = Reply.of(451, "4.4.7", "Message took too long, try again later")

# Commands that are wrong.
BAD_LINE = Reply.of(500, "5.5.2", "Command line must end with CRLF and have no other CR, LF or NUL")
NOT_UTF8 = Reply.of(500, "5.5.2", "Command line is not UTF-8")
LINE_TOO_LONG = Reply.of(500, "5.5.2", "Command line too long")
UNKNOWN_COMMAND = Reply.of(500, "5.5.1", "Command not recognized")
NOT_OFFERED = Reply.of(502, "5.5.1", "Command not available")
NO_ARGUMENT = Reply.of(501, "5.5.4", "No argument allowed")
NAME_NEEDED = Reply.of(501, "5.5.4", "Syntax: EHLO hostname")
MAIL_SYNTAX = Reply.of(501, "5.5.4", "Syntax: MAIL FROM:<address> [parameters]")
RCPT_SYNTAX = Reply.of(501, "5.5.4", "Syntax: RCPT TO:<address> [parameters]")
BDAT_SYNTAX = Reply.of(501, "5.5.4", "Syntax: BDAT size [LAST]")
PARAMETER_SYNTAX = Reply.of(501, "5.5.4", "Parameter repeated or with a bad value")
PARAMETER_UNKNOWN = Reply.of(555, "5.5.4", "Parameter not recognized or not available")
BAD_SENDER = Reply.of(553, "5.1.7", "Sender address is not valid")
BAD_RECIPIENT = Reply.of(553, "5.1.3", "Recipient address is not valid")
SMTPUTF8_NEEDED = Reply.of(553, "5.6.7", "Address needs SMTPUTF8")
GREETING_NEEDED = Reply.of(503, "5.5.1", "Send EHLO first")
MAIL_NEEDED = Reply.of(503, "5.5.1", "Send MAIL first")
MAIL_GIVEN = Reply.of(503, "5.5.1", "A message is already begun")
BDAT_BEGUN = Reply.of(503, "5.5.1", "Only BDAT or RSET after BDAT")
TLS_ALREADY = Reply.of(503, "5.5.1", "TLS is already active")
TLS_NOT_THERE = Reply.of(454, "4.7.0", "TLS is not available for now")
TLS_NEEDED = Reply.of(530, "5.7.0", "Send STARTTLS first")
CERTIFICATE_NEEDED = Reply.of(554, "5.7.1", "Client certificate with an accepted name needed")

# Messages that are not taken.
NO_RECIPIENTS = Reply.of(554, "5.5.1", "No valid recipients")
TOO_MANY_RECIPIENTS = Reply.of(452, "4.5.3", "Too many recipients, send the rest in another transaction")
TOO_BIG = Reply.of(552, "5.3.4", "Message too big")
NO_ROOM = Reply.of(452, "4.3.1", "Insufficient system storage, try again later")
MALFORMED = Reply.of(554, "5.6.0", "Message has a bare CR, a bare LF or a NUL")


@lru_cache(maxsize=16)
def banner(name: str) -> Reply:
    """The greeting of the node called `name`."""
    return Reply(220, (f"{name} ESMTP Sluice",))


def hello(name: str, extensions: Iterable[str] = ()) -> Reply:
    """The reply to EHLO (RFC 5321 section 4.1.1.1), and without extensions to HELO."""
    return Reply(250, (name, *extensions))


def chunk_taken(size: int) -> Reply:
    """The reply to a BDAT that is not the last (RFC 3030 section 2)."""
    return Reply.of(250, "2.0.0", f"{size} octets received")

"""Which fields are taken off and which are put before a message; the order of what comes is written here and only here.

The trace comes last of ours: when a message begins with white space, its first line continues our last field, and the
trace is read so that nothing behind its end counts.
"""

from typing import NamedTuple

from relay.headers.authres import claiming
from relay.headers.edits import cut
from relay.headers.stamps import REPORT_COPY, antispam_copy
from verdicts.fields import Fields

SPAM = "X-PERCEPTION-POINT-SPAM"
LOOP = "X-PERCEPTION-POINT-CUSTOM"
REMOVED = (SPAM, REPORT_COPY)
"""Ours to say: whatever arrives under these names was forged, or was true for an earlier passage."""

_SPAM_FIELD = f"{SPAM}: FAIL\r\n".encode("ascii")


class Stamps(NamedTuple):
    """What is put before one message."""

    received: bytes
    """The whole Received field."""
    trace: bytes
    """The whole trace field."""
    spam: bool
    """Whether X-PERCEPTION-POINT-SPAM: FAIL comes."""
    loop_value: str | None
    """The tenant's loop value, when it is to be added; None when the message has it."""
    copy_report: bool
    """Whether the session proved to be Microsoft's, so that its report may be believed and copied."""
    observe: bool
    """Whether the tenant only observes: then Received, a missing loop value and the trace come, and nothing else."""
    authserv_id: str | None = None
    """Under which name we write Authentication-Results, if we do: those that came under it were forged."""


def dress(fields: Fields, message: bytes | memoryview, stamps: Stamps) -> tuple[list[bytes], int]:
    """The head with which `message` goes on, and the offset in it from which on all bytes follow as they came.

    Where nothing is taken off, that offset is 0 and no byte of the message is copied.
    """
    head, spans = [stamps.received], []
    if not stamps.observe:
        spans = [span for name in REMOVED for span in fields.spans(name)]
        if stamps.authserv_id is not None:
            spans += claiming(fields, stamps.authserv_id)
        if stamps.copy_report and (copy := antispam_copy(fields)):
            head.append(copy)
        if stamps.spam:
            head.append(_SPAM_FIELD)
    if stamps.loop_value is not None:
        # Without it the tenant's rule would send the message here again, and the trace would make that a loop.
        head.append(f"{LOOP}: {stamps.loop_value}\r\n".encode("ascii"))
    head.append(stamps.trace)
    if not spans:  # nearly all mail
        return head, 0
    kept, rest = cut(message, spans)
    return head + kept, rest

"""HopError: why a next hop failed, in our own words; and what is said to the sender for each kind."""

from typing import Final

from relay import replies
from relay.errors import NextHopFailed
from relay.observe.metrics import NEXT_HOP_FAILED
from relay.replies import Reply

REPLIES: Final[dict[str, Reply]] = {
    "dns": replies.NEXT_HOP_NOT_FOUND,
    "connect": replies.NEXT_HOP_UNREACHABLE,
    "tls": replies.NEXT_HOP_TLS,
    "timeout": replies.NEXT_HOP_SILENT,
    "hung_up": replies.NEXT_HOP_SILENT,
    "protocol": replies.NEXT_HOP_PROTOCOL,
    "no_connection": replies.NEXT_HOP_BUSY,
    "changed": replies.NEXT_HOP_CHANGED,
}


class HopError(Exception):
    """A next hop failed; `kind` is a key of REPLIES, `detail` is for the log only."""

    def __init__(self, kind: str, detail: str) -> None:
        super().__init__(f"{kind}: {detail}")
        self.kind = kind
        self.detail = detail


def told(error: HopError) -> NextHopFailed:
    """The error that leaves this room; counts it."""
    NEXT_HOP_FAILED.labels(error.kind).inc()
    return NextHopFailed(REPLIES[error.kind], error.kind, error.detail)

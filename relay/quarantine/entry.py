"""Entry: what is kept beside the bytes of a withheld message, and its form on disk (JSON)."""

import dataclasses
import json
from typing import Any

from pydantic import TypeAdapter

SUBJECT_LIMIT = 500
"""Characters of the subject and of the Message-ID that are kept."""


class Damaged(Exception):
    """An entry's file cannot be understood."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """Envelope and evidence of one withheld message. Plain data: what JSON can say, so that any tool can read it."""

    id: str
    """Made by `ids.new_id`; names the message in the records too."""
    at: float
    """When it came, in seconds since the epoch."""
    tenant: str
    session: dict[str, Any]
    """The facts of the connection, as `verdicts.mail.Session` has them."""
    sender: str
    recipients: list[dict[str, Any]]
    """The recipients, as `verdicts.mail.Recipient` has them."""
    body: str | None = None
    smtputf8: bool = False
    ret: str | None = None
    envid: str | None = None
    size: int
    """Bytes of the message."""
    next_hop: str
    """HOST:PORT of the server that it was for."""
    verdicts: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    decision: dict[str, Any] = dataclasses.field(default_factory=dict)
    message_id: str = ""
    subject: str = ""
    released: str | None = None
    """What the next hop said when it was released."""


_CHECKED = TypeAdapter(Entry)


def to_json(entry: Entry) -> bytes:
    """`entry` as it stands on disk: ASCII, so that the oddest address comes back as it was."""
    facts = dataclasses.asdict(entry)
    for name in ("subject", "message_id"):
        facts[name] = facts[name][:SUBJECT_LIMIT]
    return json.dumps(facts, indent=1).encode("ascii")


def from_json(data: bytes) -> Entry:
    """The entry that `data` says; unknown names are ignored. Raises Damaged."""
    try:
        return _CHECKED.validate_python(json.loads(data))
    except (ValueError, RecursionError) as error:
        raise Damaged(f"{type(error).__name__} in {len(data)} bytes") from error

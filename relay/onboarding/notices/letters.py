"""A notice as bytes: as a mail (RFC 5322) and as JSON. No I/O.

Nothing in it is a secret, and nothing was written by an outsider. The mail is made by the library alone, so that no
value can add a field to it or end its header.
"""

import datetime as dt
import json
from email.errors import MessageError
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from typing import Final

from relay.onboarding.notices.kinds import Notice
from relay.onboarding.notices.texts import Words

VERSION: Final = 1
"""Of the JSON; it grows when a key changes its meaning or goes away, and not when one is added."""
FIELDS: Final = [
    "Date", "From", "To", "Subject", "Message-ID", "Auto-Submitted", "Content-Type", "Content-Transfer-Encoding",
    "MIME-Version",
]  # fmt: skip
"""The header fields of a notice, in their order."""
_ASCII: Final = SMTP.clone(cte_type="7bit")


def address(text: str) -> Address:
    """An address as the library knows it, quoted where that is needed. Raises ValueError when it is none."""
    local, _, domain = text.rpartition("@")
    try:
        return Address(addr_spec=text) if text.isascii() else Address(username=local, domain=domain)
    except (IndexError, MessageError) as error:  # of the library's parser
        raise ValueError("not an address") from error


def mail(notice: Notice, words: Words, *, sender: Address, contact: Address, node: str) -> bytes:
    """The message to `contact`, in ASCII unless the address is not.

    It says that no person wrote it (RFC 3834 section 5), which together with the null sender of its envelope keeps
    answering machines silent. Raises ValueError when an address cannot stand in a header.
    """
    letter = EmailMessage(_ASCII if contact.addr_spec.isascii() else _ASCII.clone(utf8=True))
    letter["Date"] = format_datetime(dt.datetime.fromtimestamp(int(notice.at), dt.UTC))
    letter["From"] = sender
    letter["To"] = contact
    letter["Subject"] = words.subject
    letter["Message-ID"] = f"<{notice.id}@{node}>"
    letter["Auto-Submitted"] = "auto-generated"
    letter.set_content(words.text)
    return _checked(letter.as_bytes())


def _checked(raw: bytes) -> bytes:
    """`raw` if its header has the fields that it should have, and no others: the library has been fooled before."""
    lines = raw.partition(b"\r\n\r\n")[0].split(b"\r\n")
    names = [line.partition(b":")[0].decode("ascii", "replace") for line in lines if not line.startswith((b" ", b"\t"))]
    if names != FIELDS:
        raise ValueError("an address breaks the header")
    return raw


def as_json(notice: Notice, words: Words, node: str) -> bytes:
    """The body of the webhook's request; the README beside this file tells every key."""
    reason = notice.reason
    return json.dumps(
        {
            "version": VERSION,
            "id": notice.id,
            "kind": reason.kind,
            "tenant": reason.tenant,
            "subject": reason.subject,
            "at": _iso(notice.at),
            "node": node,
            "count": notice.count,
            "since": _iso(notice.since) if notice.since else None,
            "facts": dict(reason.facts),
            "title": words.subject,
            "text": words.text,
        }
    ).encode()


def _iso(at: float) -> str:
    return dt.datetime.fromtimestamp(int(at), dt.UTC).isoformat().replace("+00:00", "Z")

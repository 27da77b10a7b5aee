"""MAIL and RCPT as bytes, and what an envelope needs that a next hop may lack. No I/O."""

import re
from collections.abc import Mapping
from typing import Final

from relay import replies
from relay.errors import Refused
from verdicts.mail import Envelope, Recipient

OWN_FIELDS: Final = 8_192
"""Bytes that our own header fields may add to the size that the sender declared."""
MAX_DIGITS: Final = 20
"""Digits of a size limit (RFC 1870 section 4)."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def check_needs(envelope: Envelope, features: Mapping[str, str]) -> None:
    """Raise Refused when the next hop lacks what the envelope needs: it is never changed silently.

    `features` are the EHLO keywords of the next hop in lower case. RFC 6531 section 3.2, RFC 6152 section 3.
    """
    if envelope.smtputf8 and "smtputf8" not in features:
        raise Refused(replies.NEXT_HOP_LACKS_SMTPUTF8, "smtputf8")
    if envelope.body == "8BITMIME" and "8bitmime" not in features:
        raise Refused(replies.NEXT_HOP_LACKS_8BITMIME, "eightbit")


def mail_command(envelope: Envelope, features: Mapping[str, str]) -> bytes:
    """MAIL FROM with the parameters that the sender gave and the next hop offers (RFC 5321 section 4.1.1.2).

    Raises ValueError on control characters, and Refused on an address that needs SMTPUTF8 without saying so.
    """
    line = f"MAIL FROM:<{envelope.sender}>"
    if envelope.size is not None and "size" in features:
        line += f" SIZE={_size(envelope.size, features['size'])}"
    if envelope.body is not None and "8bitmime" in features:
        line += f" BODY={envelope.body}"
    if envelope.smtputf8:
        line += " SMTPUTF8"
    if envelope.ret and "dsn" in features:  # RFC 3461 section 4
        line += f" RET={envelope.ret}"
    if envelope.envid and "dsn" in features:
        line += f" ENVID={envelope.envid}"
    return _bytes(line, envelope)


def _size(declared: int, limit: str) -> int:
    """What we declare: room for our own fields, but no more than the next hop takes where the message itself fits.

    The limit is the next hop's; none, 0, or what is no number of RFC 1870 section 4, is no limit.
    """
    ours, most = declared + OWN_FIELDS, int(limit) if limit.isdecimal() and len(limit) <= MAX_DIGITS else 0
    return most if declared <= most < ours else ours


def rcpt_command(recipient: Recipient, envelope: Envelope, features: Mapping[str, str]) -> bytes:
    """RCPT TO with the recipient's DSN parameters where offered (RFC 5321 section 4.1.1.3). Raises as MAIL does."""
    line = f"RCPT TO:<{recipient.address}>"
    if recipient.notify and "dsn" in features:
        line += f" NOTIFY={recipient.notify}"
    if recipient.orcpt and "dsn" in features:
        line += f" ORCPT={recipient.orcpt}"
    return _bytes(line, envelope)


def _bytes(line: str, envelope: Envelope) -> bytes:
    # Intake lets none pass; here it would become a command of the attacker's. No control character is printable, and
    # that is quicker to see.
    if not line.isprintable() and _CONTROL.search(line):
        raise ValueError("control character in a command")
    try:
        return f"{line}\r\n".encode("utf-8" if envelope.smtputf8 else "ascii")
    except UnicodeEncodeError:
        raise Refused(replies.NEXT_HOP_LACKS_SMTPUTF8, "smtputf8") from None

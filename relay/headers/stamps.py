"""The fields that we write ourselves. What an outsider said (HELO, Microsoft's report of a HELO) is made harmless."""

import datetime as dt
import email.utils
import functools
import ipaddress
import re

from relay.headers.folding import folded, harmless
from verdicts.fields import Fields
from verdicts.mail import Session

REPORT = "X-Forefront-Antispam-Report"
REPORT_COPY = "X-PP-Forefront-Antispam-Report"

_REPORT_LIMIT = 2000
_ONE_LINE = 800
_HELO_LIMIT = 255
_NOT_IN_A_HOST = re.compile(r"[^A-Za-z0-9._:\[\]-]")


def received(session: Session, node: str, mail_id: str, when: float, *, smtputf8: bool) -> bytes:
    """The Received field of this passage (RFC 5321 section 4.4); `when` is in seconds since the epoch.

    It never has a "for" clause: with it a copy would tell its reader of a recipient who was in Bcc.
    """
    tls = session.tls
    using = (tls.version, tls.cipher) if tls else None
    passage = _passage(node, session.helo, session.peer, session.esmtp, using, smtputf8)
    return f"{passage} id {_host(mail_id)};\r\n\t{_date(int(when))}\r\n".encode("ascii")


def antispam_copy(fields: Fields) -> bytes | None:
    """Microsoft's topmost report under the name that the tenant's rules read after the way back, or None without one.

    Microsoft overwrites its own field when the message returns. The copy has at most 2000 characters, without a part
    cut in two. One that is too long for a line gets a space behind each ";", to be folded there.
    """
    report = harmless(fields.text(REPORT), _REPORT_LIMIT + 1)
    if len(report) > _ONE_LINE:
        report = harmless(report.replace(";", "; "), _REPORT_LIMIT + 1)
    if len(report) > _REPORT_LIMIT:
        report = report[: report.rfind(";", 0, _REPORT_LIMIT) + 1]
    return folded(REPORT_COPY, report) if report else None


@functools.lru_cache(maxsize=1024)
def _passage(node: str, helo: str, peer: str, esmtp: bool, using: tuple[str, str] | None, smtputf8: bool) -> str:
    """The Received field up to the id; the messages of one client share it."""
    lines = [
        f"Received: from {_host(helo)} ({_literal(peer)})",
        *_cipher(using),
        f"\tby {_host(node)} with {_protocol(esmtp, using is not None, smtputf8)}",
    ]
    return "\r\n".join(lines)


@functools.lru_cache(maxsize=16)
def _date(seconds: int) -> str:
    """RFC 5322 section 3.3; most messages of a second share it."""
    return email.utils.format_datetime(dt.datetime.fromtimestamp(seconds, dt.UTC))


def _host(text: str) -> str:
    """A name as it may stand in a Received field: comments, quotes and separators are made "?"."""
    return _NOT_IN_A_HOST.sub("?", text[:_HELO_LIMIT]) or "unknown"


def _literal(peer: str) -> str:
    """The address literal of `peer` (RFC 5321 section 4.1.3)."""
    try:
        address = ipaddress.ip_address(peer.partition("%")[0])
    except ValueError:
        return "[unknown]"
    return f"[IPv6:{address}]" if address.version == 6 else f"[{address}]"


def _protocol(esmtp: bool, tls: bool, smtputf8: bool) -> str:
    """The keyword of the IANA registry "Mail Transmission Types" (RFC 3848, RFC 6531 section 4.3)."""
    secured = "S" if tls else ""
    if smtputf8:
        return f"UTF8SMTP{secured}"
    return f"ESMTP{secured}" if esmtp or tls else "SMTP"


def _cipher(using: tuple[str, str] | None) -> list[str]:
    return [f"\t(using {_host(using[0])} with cipher {_host(using[1])})"] if using else []

"""JUDGE without SMTP: a file before the panel and a tenant's policy. Nothing is kept, counted or sent on."""

import time
from collections.abc import Iterator
from email.utils import getaddresses
from typing import NamedTuple

from relay import evidence, replies
from relay.errors import Refused
from relay.evidence import Plain
from relay.headers.strict import header_is_strict
from relay.policy.decide import decide
from relay.policy.model import Policy
from relay.release import Kept
from relay.tenants.directory import profile
from relay.tenants.model import Tenant
from relay.tenants.proof import prove
from verdicts.fields import Fields, header_longer_than, too_many_fields
from verdicts.mail import NOBODY, Envelope, Mail, Recipient, Session
from verdicts.origin import Origin
from verdicts.panel import Panel

_ADDRESS_CHARACTERS = 20_000
_UNSEEN = "the relay refuses the message before any engine sees it"


class Letter(NamedTuple):
    """A message that did not come by SMTP, and what is said of how it came; what is not said is guessed."""

    content: bytes
    sender: str | None = None
    """The envelope's; empty for the null sender."""
    recipients: tuple[str, ...] = ()
    peer: str | None = None
    """IP address of who handed it to Microsoft."""


class Limits(NamedTuple):
    """What the relay takes; see [smtp] in the configuration."""

    max_message_bytes: int
    max_header_bytes: int
    max_recipients: int


async def examine(panel: Panel, letter: Letter, tenant: Tenant | None, limits: Limits) -> Plain:
    """Verdicts, decision and explanation, by the names that records have, and `notes` on what was guessed.

    Without a tenant the default policy decides. Raises Refused for what the relay would refuse unseen.
    """
    notes: list[str] = []
    mail = _mail(letter, tenant, limits, notes)
    policy = tenant.policy if tenant else Policy()
    begun = time.monotonic()
    judgement = await panel.judge(mail)
    seconds = time.monotonic() - begun
    decision = decide(judgement, policy)
    told: Plain = {
        "tenant": mail.tenant,
        "peer": letter.peer or mail.origin.address or "",
        "sender": mail.envelope.sender,
        "recipients": [recipient.address for recipient in mail.envelope.recipients],
        "message_id": mail.fields.text("Message-ID")[: evidence.TEXT_LIMIT],
        "subject": mail.fields.text("Subject")[: evidence.TEXT_LIMIT],
        "size": mail.content.size,
        "category": str(decision.category),
        "action": str(decision.action),
        "would": None if decision.would is None else str(decision.would),
        "rule": decision.rule,
        "verdicts": evidence.plain(judgement.verdicts, policy.weights),
        "seconds": {"judge": round(seconds, 6)},
        "notes": notes,
    }
    return told | {"explanation": evidence.explanation(told)}


def _mail(letter: Letter, tenant: Tenant | None, limits: Limits, notes: list[str]) -> Mail:
    content = Kept(_with_crlf(letter.content, notes))
    _check(content, limits)
    fields = Fields.parse(content.view())
    if too_many_fields(fields):
        raise Refused(replies.HEADER_TOO_BIG, "header_too_big", _UNSEEN)
    if content.bare:
        notes.append("it has a bare CR or LF, which only BDAT may carry: the relay refuses it after DATA")
    peer = letter.peer or "127.0.0.1"
    return Mail(
        Session("judge", peer, network="operator"),
        _envelope(letter, fields, limits.max_recipients, notes),
        content,
        tenant.name if tenant else "",
        profile(tenant) if tenant else NOBODY,
        Origin.of(fields)._replace(address=letter.peer) if letter.peer else None,
        proven=tenant is None or prove(fields, tenant).ok,
    )


def _with_crlf(content: bytes, notes: list[str]) -> bytes:
    if b"\n" not in content or b"\r" in content:
        return content
    notes.append("its lines ended in LF; they were judged as CRLF, as SMTP brings them")
    return content.replace(b"\n", b"\r\n")


def _check(content: Kept, limits: Limits) -> None:
    """Raises Refused as the relay does before it judges (`relay/proving.py`)."""
    if content.size > limits.max_message_bytes:
        raise Refused(replies.TOO_BIG, "too_big", _UNSEEN)
    view = content.view()
    if header_longer_than(limits.max_header_bytes, view):
        raise Refused(replies.HEADER_TOO_BIG, "header_too_big", _UNSEEN)
    if content.bare and not header_is_strict(bytes(view[: limits.max_header_bytes])):
        raise Refused(replies.MALFORMED, "malformed", _UNSEEN)


def _envelope(letter: Letter, fields: Fields, most: int, notes: list[str]) -> Envelope:
    sender, recipients = letter.sender, letter.recipients
    if sender is None:
        name = "Return-Path" if fields.first("Return-Path") else "From"
        sender = next(_addresses(fields, name), "")
        notes.append(f"the envelope's sender was taken from {name}")
    if not recipients:
        name = "Delivered-To" if fields.first("Delivered-To") else "To"
        recipients = tuple(_addresses(fields, name, *(("Cc",) if name == "To" else ())))[:most]
        notes.append(f"the envelope's recipients were taken from {'To and Cc' if name == 'To' else name}")
    return Envelope(sender, tuple(map(Recipient, recipients)))


def _addresses(fields: Fields, *names: str) -> Iterator[str]:
    texts = [text[:_ADDRESS_CHARACTERS] for name in names for text in fields.texts(name)][:100]
    return (address for _, address in getaddresses(texts) if "@" in address)

"""What the tenant blocks and allows: senders, networks, attachments and links of its own lists.

Blocking needs no proof: whoever names a blocked sender is blocked. An entry that allows must not be spoofed. So a
sender is allowed only when the From domain is authentic (aligned SPF or DKIM, RFC 7489 section 3.1), and a network only
by Microsoft's own evidence, in mail that proved to come through the tenant's rule. What is blocked is not allowed.
"""

import asyncio
import hashlib
from collections.abc import Iterable, Iterator
from typing import Literal

from pydantic import Field

from verdicts.contract import Engine, EngineOptions, Finding, Severity, Tools, Unscanned
from verdicts.decoding import PIECE
from verdicts.domains import host_of
from verdicts.identity.authentication import Authentication, authenticate
from verdicts.identity.dmarc import aligned
from verdicts.identity.mailboxes import Mailboxes, mailboxes
from verdicts.lists import Entry
from verdicts.mail import Mail
from verdicts.parts import Part
from verdicts.web.links import links

_NOT_MICROSOFT = frozenset(("", "operator"))  # networks whose evidence is not Microsoft's
_PART_COST = 2_048  # what a part costs besides its bytes, as bytes
_TURN = 262_144  # bytes decoded and hashed before other messages get their turn: about a millisecond
_LINKS_AT_ONCE = 50


class Lists(Engine):
    """Looks at the tenant's lists. Needs nothing but DNS, for senders that are allowed."""

    class Options(EngineOptions):
        """[engines.lists]."""

        block: Literal["spam", "malicious"] = "malicious"
        """What a blocked message is."""
        allow_weight: float = Field(0.0, ge=-1000, le=0, allow_inf_nan=False)
        """Weight of an allowed message's finding. That it is clean instead of spam or suspicious needs none."""

    def __init__(self, options: Options, tools: Tools) -> None:
        super().__init__(options, tools)
        self._severity = Severity.MALICIOUS if options.block == "malicious" else Severity.SPAM
        self._allow_weight = options.allow_weight

    async def judge(self, mail: Mail) -> Iterable[Finding]:
        """Raises `Unscanned` when an entry might be about what is not read."""
        now, known = self.tools.clock.time(), mail.profile.lists
        authors = mailboxes(mail.fields, "From")
        entries = [*_by_sender(mail, authors, now), *known.network(mail.origin.address or "", now)]
        if "hash" in known:
            entries += await _by_hash(mail, now)
        if "url" in known:
            entries += await _by_url(mail, now)
        blocked = [self._blocked(entry) for entry in _once(entries, "block")]
        unread = await _unread(mail, authors)
        if unread:
            raise Unscanned(unread, blocked)
        allowing = _once(entries, "allow")
        if blocked:
            return [*blocked, *(_unused(entry, "a blocking entry is stronger") for entry in allowing)]
        return [await self._allowed(mail, authors, entry) for entry in allowing]

    def _blocked(self, entry: Entry) -> Finding:
        return Finding(f"LIST_BLOCK_{entry.matter.upper()}", self._severity, detail=_told(entry))

    async def _allowed(self, mail: Mail, authors: Mailboxes, entry: Entry) -> Finding:
        fault = _network_fault(mail) if entry.matter == "network" else await self._sender_fault(mail, authors, entry)
        if fault:
            return _unused(entry, fault)
        return Finding("LIST_ALLOW", weight=self._allow_weight, detail=_told(entry), allows=True)

    async def _sender_fault(self, mail: Mail, authors: Mailboxes, entry: Entry) -> str:
        """Why the sender is not proved to be the one of `entry`; empty when it is."""
        box = authors.boxes[0] if len(authors.boxes) == 1 else None
        if box is None or entry not in mail.profile.lists.sender(box.address, self.tools.clock.time()):
            return "the one author is not this sender"
        proved = await authenticate(mail, self.tools)
        if not proved.authentic or proved.author.domain != host_of(box.domain):
            return f"the From domain is not authentic: SPF {proved.spf.result}, DMARC {proved.dmarc.result}"
        if proved.dmarc.spf and not _network_fault(mail):
            return ""
        return "" if _wholly_signed(proved) else "neither SPF by Microsoft's evidence nor a signature of all of it"


def _wholly_signed(proved: Authentication) -> bool:
    """Whether a signature of the author's domain leaves nobody room to add to the message (RFC 6376 section 8.2).

    What is signed in part only does not pass at all.
    """
    good = (one for one in proved.dkim if one.result == "pass" and not one.loose)
    return proved.dmarc.dkim and any(aligned(proved.author.domain, one.domain) for one in good)


def _by_sender(mail: Mail, authors: Mailboxes, now: float) -> list[Entry]:
    """By the envelope's sender and every author."""
    addresses = dict.fromkeys([mail.envelope.sender, *(box.address for box in authors.boxes)])
    return [entry for address in addresses if address for entry in mail.profile.lists.sender(address, now)]


async def _by_hash(mail: Mail, now: float) -> list[Entry]:
    """By what is attached, and by what is shown: anything can be called an attachment, or not."""
    found: list[Entry] = []
    spent = 0
    for cost, digest in _digests((await mail.read_structure()).parts):
        spent += cost
        if digest:
            found += mail.profile.lists.hash(digest, now)
        if spent >= _TURN:
            spent = 0
            await asyncio.sleep(0)
    return found


def _digests(parts: Iterable[Part]) -> Iterator[tuple[int, str]]:
    """What each step cost, as bytes decoded, and behind each part its SHA-256."""
    for part in parts:
        digest = hashlib.sha256()
        cost = min(PIECE, part.end - part.start)  # by what is read: it may decode to nothing
        for piece in part.decoded_pieces():
            digest.update(piece)
            yield cost, ""
        yield _PART_COST, digest.hexdigest()


async def _by_url(mail: Mail, now: float) -> list[Entry]:
    found: list[Entry] = []
    for number, link in enumerate((await links(mail)).links):
        found += mail.profile.lists.url(link.url.host, link.url.path, now)
        if number % _LINKS_AT_ONCE == 0:
            await asyncio.sleep(0)
    return found


async def _unread(mail: Mail, authors: Mailboxes) -> str:
    """What an entry may be about and is not read; empty when there is nothing."""
    known = mail.profile.lists
    if "sender" in known and authors.truncated:
        return "more authors, or longer ones, than are read"
    if "hash" in known and mail.structure.truncated:
        return "more parts, deeper ones or longer fields than are read"
    if "url" in known:
        return next(iter((await links(mail)).unread), "")
    return ""


def _network_fault(mail: Mail) -> str:
    """Why the origin is not proved; empty when it is."""
    if mail.session.network in _NOT_MICROSOFT:
        return "the connection is not Microsoft's, nor is the evidence"
    return "" if mail.proven else "it did not come through the tenant's own rule, so the evidence may be anybody's"


def _once(entries: Iterable[Entry], kind: str) -> list[Entry]:
    return list(dict.fromkeys(entry for entry in entries if entry.kind == kind))


def _unused(entry: Entry, why: str) -> Finding:
    return Finding("LIST_ALLOW_UNUSED", detail=f"{why}; {_told(entry)}")


def _told(entry: Entry) -> str:
    return f"{entry.matter} {entry.value[:200]}: {entry.reason}"

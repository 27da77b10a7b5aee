"""Who pretends to be somebody else: names and domains that are made to be taken for those the recipient trusts.

What the tenant tells of itself (its domains, its people) is compared with the names and addresses that people see. An
own domain in From must be authentic (aligned SPF or DKIM, RFC 7489 section 3.1).
"""

import asyncio
import re
from collections.abc import Iterable
from typing import NamedTuple

from pydantic import Field

from verdicts.contract import Engine, EngineOptions, Finding, Severity, Tools, Unscanned
from verdicts.domains import host_of
from verdicts.identity.authentication import Authentication, authenticate
from verdicts.identity.dmarc import aligned
from verdicts.identity.mailboxes import Mailbox, mailboxes
from verdicts.identity.people import People
from verdicts.mail import Mail, Profile
from verdicts.origin import directions
from verdicts.web.hosts import registered
from verdicts.web.protected import Domain, Protected

FREE_MAIL = frozenset((
    "aol.com", "gmail.com", "gmx.com", "gmx.de", "gmx.net", "googlemail.com",
    "hotmail.com", "icloud.com", "live.com", "mail.com", "mail.ru", "me.com",
    "msn.com", "outlook.com", "proton.me", "protonmail.com", "qq.com", "web.de",
    "yahoo.com", "yandex.com", "yandex.ru", "zoho.com",
))  # fmt: skip
_ADDRESS = re.compile(r"[\w.+'-]{1,64}+@((?:[\w-]{1,63}+\.)++[\w-]{2,63}+)")
_MOST_DOMAINS = 10  # of one message's senders; each is compared with all that are protected
_AT_ONCE = 20  # people learnt before other messages get their turn: a millisecond or two


class Known(NamedTuple):
    """What of a tenant may be imitated."""

    profile: Profile
    people: People
    own: frozenset[str]

    def is_own(self, domain: str) -> bool:
        """Whether it is the tenant's, or below one of them."""
        while domain and domain not in self.own:
            domain = domain.partition(".")[2]
        return bool(domain)


class Impersonation(Engine):
    """Compares who a message says it is from with whom the tenant trusts."""

    class Options(EngineOptions):
        """[engines.impersonation]."""

        protected_domains: tuple[Domain, ...] = Field((), max_length=1_000)
        """Domains of others that attackers imitate, besides the tenant's own."""
        free_mail: frozenset[str] = FREE_MAIL
        """Domains at which anybody gets an address."""

    def __init__(self, options: Options, tools: Tools) -> None:
        super().__init__(options, tools)
        self._protected = Protected(options.protected_domains, tools.clock)
        self._free_mail = options.free_mail
        self._known: dict[str, Known] = {}

    async def judge(self, mail: Mail) -> Iterable[Finding]:
        """Raises `Unscanned` when there are more authors, or longer ones, than are read."""
        known = await self._tenant(mail)
        authors, replies = mailboxes(mail.fields, "From"), mailboxes(mail.fields, "Reply-To")
        domains = _domains(mail, (*authors.boxes, *replies.boxes))
        findings = [
            *[finding for box in authors.boxes for finding in await self._author(mail, known, box)],
            *await self._lookalikes(mail.profile, domains[:_MOST_DOMAINS]),
            *self._replies(known, authors.boxes, replies.boxes),
        ]
        findings += await self._first_contact(mail, findings)
        if authors.truncated or replies.truncated or len(domains) > _MOST_DOMAINS:
            raise Unscanned("more authors, or longer ones, than are read", findings)
        return findings

    async def _tenant(self, mail: Mail) -> Known:
        """Made once for each tenant, and again when it tells something else of itself."""
        known = self._known.get(mail.tenant)
        if known is None or known.profile is not mail.profile:
            known = self._known[mail.tenant] = await _learn(mail.profile)
        return known

    async def _author(self, mail: Mail, known: Known, box: Mailbox) -> list[Finding]:
        domain = host_of(box.domain)
        own = known.is_own(domain)
        findings = []
        if own and not _from_inside(mail):
            findings += _unproved("OWN_DOMAIN_UNPROVED", domain, await authenticate(mail, self.tools))
        person = known.people.find(box.name) if box.name and not own else None
        if person is not None and box.address.casefold() in person.addresses:
            findings += _unproved("PERSON_UNPROVED", person.name, await authenticate(mail, self.tools))
        elif person is not None:
            detail = f"{person.name} does not write from {box.address[:200]}"
            findings.append(Finding("PERSON_IMPERSONATED", Severity.SUSPICIOUS, 3.0, detail))
        return findings + _address_in_name(box.name, domain)

    async def _lookalikes(self, profile: Profile, domains: Iterable[str]) -> list[Finding]:
        compared = [(domain, await self._protected.lookalike(domain, profile.domains)) for domain in domains]
        return [
            Finding("LOOKALIKE_DOMAIN", Severity.SUSPICIOUS, 4.0, f"{domain} looks like {meant}")
            for domain, meant in compared
            if meant is not None
        ]

    def _replies(self, known: Known, authors: Iterable[Mailbox], replies: Iterable[Mailbox]) -> list[Finding]:
        """Answers that would go elsewhere than to the author."""
        homes = {registered(host_of(box.domain)) for box in authors}
        away = [host_of(box.domain) for box in replies if box.address]
        away = [domain for domain in away if registered(domain) not in homes and not known.is_own(domain)]
        free = [domain for domain in away if domain in self._free_mail]
        if free and not homes & self._free_mail:
            return [Finding("REPLY_TO_FREE_MAIL", weight=1.5, detail=f"answers go to {free[0]}")]
        return [Finding("REPLY_TO_ELSEWHERE", weight=0.5, detail=f"answers go to {away[0]}")] if away else []

    async def _first_contact(self, mail: Mail, others: list[Finding]) -> list[Finding]:
        """A stranger is nothing odd, but one of whom something is odd already."""
        sender = mail.envelope.sender
        if not sender:
            return []
        try:
            messages = await self.tools.history.messages(mail.tenant, sender)
        except OSError as error:
            return [Finding("FIRST_CONTACT_UNKNOWN", detail=str(error)[:200])]
        if messages:
            return []
        severity = Severity.SUSPICIOUS if others else Severity.NOTE
        return [Finding("FIRST_CONTACT", severity, 0.5, "no message of this sender was delivered before")]


async def _learn(profile: Profile) -> Known:
    people = People()
    for number, person in enumerate(profile.people):
        people.add(person)
        if number % _AT_ONCE == 0:
            await asyncio.sleep(0)
    return Known(profile, people, frozenset(profile.domains))


def _domains(mail: Mail, boxes: Iterable[Mailbox]) -> list[str]:
    """The domains of all senders, each once."""
    names = [mail.envelope.sender.rpartition("@")[2], *(box.domain for box in boxes)]
    return list(dict.fromkeys(filter(None, map(host_of, names))))


def _address_in_name(name: str, domain: str) -> list[Finding]:
    """A name that is an address, where clients show only names."""
    for found in _ADDRESS.finditer(name):
        if registered(host_of(found[1])) != registered(domain):
            detail = f"the name says {found[0][:200]}, the address is at {domain}"
            return [Finding("NAME_HAS_OTHER_ADDRESS", Severity.SUSPICIOUS, 2.0, detail)]
    return []


def _unproved(name: str, who: str, proved: Authentication) -> list[Finding]:
    """What it means that nothing proves the sender; that his DNS did not answer is no proof against him."""
    if proved.authentic:
        return []
    asked = [(proved.spf.result, proved.spf.domain), *((one.result, one.domain) for one in proved.dkim)]
    unknown = [domain for result, domain in asked if result == "temperror" and aligned(proved.author.domain, domain)]
    severity = Severity.NOTE if unknown or proved.dmarc.result == "temperror" else Severity.SUSPICIOUS
    return [Finding(name, severity, 3.0, f"{who}: SPF {proved.spf.result}, DMARC {proved.dmarc.result}")]


def _from_inside(mail: Mail) -> bool:
    """Whether Microsoft says that it did not come from outside (Microsoft, "Anti-spam message headers")."""
    said = directions(mail.fields)
    return mail.proven and bool(said) and said <= {"INT", "OUT"}

"""DMARC: whether a message is of the domain that its author claims, and what that domain wants otherwise (RFC 7489)."""

from collections.abc import Iterable
from typing import NamedTuple

from dmarc import DMARC, Error, Policy

from verdicts.contract import Dns
from verdicts.identity.author import Author
from verdicts.identity.dkim import Signature
from verdicts.identity.spf import Spf
from verdicts.web.hosts import registered

MAX_RECORD = 4_096
"""Characters of a DMARC record; an honest one has some hundred."""

_FAULTS = {"temperror": "no answer for the DMARC record", "permerror": "the DMARC record cannot be read"}
_MILDER = {"reject": "quarantine", "quarantine": "none", "none": "none"}


class Dmarc(NamedTuple):
    """What DMARC says, and on what grounds."""

    result: str = "none"
    """"none" (the domain publishes nothing), "pass", "fail", "temperror" or "permerror"."""
    domain: str = ""
    """The author's domain; empty when there is not exactly one."""
    policy: str = ""
    """What the domain asks for when it fails: "none", "quarantine", "reject"; empty when it asks for nothing."""
    spf: bool = False
    """Whether SPF passes for an aligned domain."""
    dkim: bool = False
    """Whether a signature of an aligned domain passes."""
    reason: str = ""
    """Why it is an error, or fails."""


class Published(NamedTuple):
    """What a domain publishes."""

    policy: str = ""
    strict_spf: bool = False
    strict_dkim: bool = False
    fault: str = ""
    """"temperror" or "permerror"."""


def aligned(author: str, domain: str, *, strict: bool = False) -> bool:
    """Whether a domain that was proven speaks for the author's (RFC 7489 section 3.1)."""
    if not author or not domain:
        return False
    return author == domain or (not strict and registered(author) == registered(domain))


def check(published: Published, author: Author, spf: Spf, dkim: Iterable[Signature], *, too_much: bool) -> Dmarc:
    """`published` by the author's domain; `too_much`: whether there are signatures that nobody looked at."""
    if not author.domain:
        return Dmarc("permerror", reason=f"From: {author.fault}")
    found = Dmarc("none", author.domain, published.policy)
    near_spf = aligned(author.domain, spf.domain, strict=published.strict_spf)
    near_dkim = [one for one in dkim if aligned(author.domain, one.domain, strict=published.strict_dkim)]
    found = found._replace(spf=near_spf and spf.result == "pass", dkim=any(one.result == "pass" for one in near_dkim))
    if published.fault or not published.policy:
        return found._replace(result=published.fault or "none", reason=_FAULTS.get(published.fault, ""))
    if found.spf or found.dkim:
        return found._replace(result="pass")
    if too_much or (near_spf and spf.result == "temperror") or any(one.result == "temperror" for one in near_dkim):
        return found._replace(result="temperror", reason="SPF or DKIM could not be checked")
    return found._replace(result="fail", reason=_why(near_spf, spf, near_dkim))


def _why(near_spf: bool, spf: Spf, near_dkim: list[Signature]) -> str:
    by_spf = spf.result if near_spf else f"{spf.result} for {spf.domain or 'nobody'}"
    by_dkim = near_dkim[0].result if near_dkim else "no signature of it"
    return f"SPF: {by_spf}; DKIM: {by_dkim}"


async def discover(dns: Dns, domain: str) -> Published:
    """What `domain` publishes (RFC 7489 section 6.6.3); nothing when it is empty."""
    if not domain:
        return Published()
    above = registered(domain)
    try:
        record = await _record(dns, domain)
        at_own = record is not None
        if record is None and above != domain:
            record = await _record(dns, above)
    except OSError:
        return Published(fault="temperror")
    return Published() if not record else _read(record, domain, "" if at_own else above)


async def _record(dns: Dns, domain: str) -> str | None:
    """The one record; None when there is none, empty when there are several, which count for nothing."""
    found = [text for text in await dns.txt(f"_dmarc.{domain}") if text.startswith("v=DMARC1")]
    return None if not found else (found[0] if len(found) == 1 else "")


def _read(record: str, domain: str, above: str) -> Published:
    if len(record) > MAX_RECORD:
        return Published(fault="permerror")
    try:
        policy: Policy = DMARC().parse_record(record, domain, above or None, strict=False)
    except Error:
        return Published(fault="permerror")
    wanted = (policy.sp.value if above else None) or policy.p.value
    if policy.pct == 0:  # the domain tries it out, as with t=y
        wanted = _MILDER[wanted]
    return Published(wanted, policy.aspf.value == "s", policy.adkim.value == "s")

"""SPF, DKIM, DMARC and ARC of a message, as they were when Microsoft took it in (`identity/authentication.py`).

What fails here and passed at Microsoft was altered in between, which Exchange does to some messages: it is told apart,
and is a note. So is a DMARC failure behind a chain of trusted sealers.
"""

from collections.abc import Iterable, Iterator
from typing import Literal

from pydantic import Field

from verdicts.contract import Engine, EngineOptions, Finding, Severity, Tools, Unscanned
from verdicts.identity.authentication import Authentication, authenticate
from verdicts.identity.dkim import EXPIRED, Signature
from verdicts.mail import Mail

Word = Literal["note", "suspicious", "spam", "malicious"]

_ED25519_BITS = 256
_GOOD_BITS = 2_048  # RFC 8301 section 3.2
_DETAIL_CHARACTERS = 200
_MICROSOFT = "microsoft.com"


class AuthenticationEngine(Engine):
    """Says what is wrong with the proofs of who sent a message; of a message that is well proven it says nothing."""

    class Options(EngineOptions):
        """[engines.authentication]."""

        dmarc_reject: Word = "spam"
        """How bad a DMARC failure is where the author's domain asks to reject."""
        dmarc_quarantine: Word = "suspicious"
        """The same where it asks for quarantine."""
        dmarc_none: Word = "note"
        """The same where it asks for nothing."""
        spf_fail: Word = "suspicious"
        """How bad an SPF failure is of a message that nothing else proves."""
        spf_softfail: Word = "note"
        """The same for "softfail"."""
        dkim_fail: Word = "note"
        """How bad a broken signature is on a message that nothing else proves."""
        dkim_partial: Word = "suspicious"
        """How bad a body is of which only the beginning is signed (l=): anybody can add to it."""
        arc_fail: Word = "note"
        """How bad a broken ARC chain is."""
        author: Word = "spam"
        """How bad it is that From is missing, unreadable, there twice, or names several domains: whoever writes it so
        gets around DMARC, and so it should not be milder than `dmarc_reject`."""
        sealers: tuple[str, ...] = Field((), max_length=1_000)
        """Domains whose ARC seals are believed. Where all of a chain are (Microsoft's own always are) and its oldest
        one saw DMARC pass, a DMARC failure is a note."""
        undecided: Literal["unscanned", "note"] = "unscanned"
        """What it means that DMARC cannot be told because the DNS did not answer."""

    def __init__(self, options: Options, tools: Tools) -> None:
        super().__init__(options, tools)
        self._options = options
        self._sealers = {_MICROSOFT, *(domain.lower() for domain in options.sealers)}

    async def judge(self, mail: Mail) -> Iterable[Finding]:
        """Raises `Unscanned` when it cannot be told who sent it."""
        told = await authenticate(mail, self.tools)
        findings = [
            *self._author(told),
            *self._spf(told, mail.origin.address or "nobody"),
            *self._dkim(told),
            *self._dmarc(told),
            *self._arc(told),
        ]
        reason = told.too_much or (told.dmarc.reason if told.dmarc.result == "temperror" and not told.authentic else "")
        if reason and (told.too_much or self._options.undecided == "unscanned"):
            raise Unscanned(reason, findings)
        return findings

    def _author(self, told: Authentication) -> Iterator[Finding]:
        if told.author.fault:
            severity = Severity.NOTE if told.author.domain else _severity(self._options.author)
            yield Finding(f"FROM_{told.author.fault.upper().replace(' ', '_')}", severity)

    def _spf(self, told: Authentication, address: str) -> Iterator[Finding]:
        result, domain, scope, reason = told.spf
        if result == "pass":
            return
        if told.microsoft.spf == "pass" and result in ("fail", "softfail", "neutral"):
            yield _finding("SPF_ALTERED", Severity.NOTE, f"{domain} ({scope}): passed at Microsoft, for its sender")
            return
        word = {"fail": self._options.spf_fail, "softfail": self._options.spf_softfail}.get(result, "note")
        severity = Severity.NOTE if self._excused(told) else _severity(word)
        yield _finding(f"SPF_{result.upper()}", severity, f"{address} for {domain} ({scope}) {reason}")

    def _dkim(self, told: Authentication) -> Iterator[Finding]:
        for one in told.dkim:
            told_of = f"{one.domain} {one.selector}"
            if one.result == "pass":
                yield from _weaknesses(one, told_of)
            elif one.partial:
                yield _finding("DKIM_PARTIAL", _severity(self._options.dkim_partial), f"{told_of}: {one.reason}")
            elif one.result == "fail" and one.domain in told.microsoft.signers:
                yield _finding("DKIM_ALTERED", Severity.NOTE, f"{told_of}: passed at Microsoft; {one.reason}")
            else:
                name = "DKIM_EXPIRED" if one.reason == EXPIRED else f"DKIM_{one.result.upper()}"
                bad = one.result == "fail" and not self._excused(told)
                severity = _severity(self._options.dkim_fail) if bad else Severity.NOTE
                yield _finding(name, severity, f"{told_of}: {one.reason}")

    def _dmarc(self, told: Authentication) -> Iterator[Finding]:
        if not told.author.domain:
            return
        found = told.dmarc
        if found.result == "fail":
            yield self._failure(told)
        elif found.result in ("temperror", "permerror"):
            yield _finding(f"DMARC_{found.result.upper()}", Severity.NOTE, f"{found.domain}: {found.reason}")
        elif found.result == "none":
            yield _finding("DMARC_NONE", Severity.NOTE, found.domain)
        if told.microsoft.compauth == "fail":
            yield _finding("COMPAUTH_FAIL", Severity.NOTE, f"{found.domain}: Microsoft takes it for forged")
        if not told.authentic and _proven(told):
            yield _finding("MISALIGNED", Severity.NOTE, f"{found.domain}, proven are {', '.join(_proven(told))}")

    def _failure(self, told: Authentication) -> Finding:
        found, words = told.dmarc, self._options
        detail = f"{found.domain} asks for {found.policy}; {found.reason}"
        if told.microsoft.dmarc == "pass":
            return _finding("DMARC_FAIL_ALTERED", Severity.NOTE, detail)
        if self._forwarded(told):
            return _finding("DMARC_FAIL_FORWARDED", Severity.NOTE, detail)
        word = {"reject": words.dmarc_reject, "quarantine": words.dmarc_quarantine}.get(found.policy, words.dmarc_none)
        return _finding("DMARC_FAIL", _severity(word), detail)

    def _excused(self, told: Authentication) -> bool:
        """Whether something else proves the message, or proved it before it was altered or passed on."""
        return told.authentic or told.microsoft.dmarc == "pass" or self._forwarded(told)

    def _forwarded(self, told: Authentication) -> bool:
        """Whether the chain vouches for it, and Microsoft, whose seals all its customers get, does not doubt it."""
        vouched = told.arc.vouched and told.arc.vouched == told.author.domain and told.microsoft.compauth != "fail"
        return bool(vouched) and self._sealers.issuperset(told.arc.sealers)

    def _arc(self, told: Authentication) -> Iterator[Finding]:
        if told.arc.result == "fail":
            temporary = told.arc.temporary
            severity = Severity.NOTE if temporary else _severity(self._options.arc_fail)
            yield _finding("ARC_TEMPERROR" if temporary else "ARC_FAIL", severity, told.arc.reason)


def _weaknesses(one: Signature, told_of: str) -> Iterator[Finding]:
    if one.bits != _ED25519_BITS and one.bits < _GOOD_BITS:
        yield _finding("DKIM_WEAK_KEY", Severity.NOTE, f"{told_of}: {one.bits} bits")


def _proven(told: Authentication) -> list[str]:
    """The domains that SPF and DKIM prove, whatever From says."""
    signed = {one.domain for one in told.dkim if one.result == "pass"}
    return sorted(signed | ({told.spf.domain} if told.spf.result == "pass" else set()))


def _severity(word: Word) -> Severity:
    return Severity[word.upper()]


def _finding(name: str, severity: Severity, detail: str) -> Finding:
    """Details hold strangers' words."""
    return Finding(name, severity, detail="".join(filter(str.isprintable, detail)).strip()[:_DETAIL_CHARACTERS])

"""Scope: which messages an engine is asked about, by `tenants`, `directions`, `min_bytes`, `max_bytes` and `beyond`."""

from verdicts.contract import Direction, EngineOptions, Outcome, Verdict
from verdicts.domains import host_of
from verdicts.identity.author import author_of
from verdicts.mail import Mail
from verdicts.origin import directions

_FROM_CHARACTERS = 1_000
_ALL = 3


def direction(mail: Mail) -> Direction:
    """Where the message goes, seen from its tenant.

    A sender's address is easily forged, and a forger must not choose which engines see his mail. So it is the tenant's
    own only when it came through the tenant's rule, envelope and From both say so, and Microsoft does not say that it
    came from outside: "DIR:INB" in X-Forefront-Antispam-Report (Microsoft, "Anti-spam message headers in Microsoft
    365"). In doubt it is incoming.
    """
    domains = mail.profile.domains
    own = _domain(mail.envelope.sender) in domains and _from_domain(mail) in domains
    if not (mail.proven and own) or _from_outside(mail):
        return "incoming"
    inside = all(_domain(recipient.address) in domains for recipient in mail.envelope.recipients)
    return "internal" if inside else "outgoing"


class Scope:
    """The scope of one engine."""

    __slots__ = ("_options",)

    def __init__(self, options: EngineOptions) -> None:
        self._options = options

    def verdict(self, name: str, mail: Mail) -> Verdict | None:
        """The verdict of the engine called `name` on a message that it is not asked about; None when it is."""
        options, size = self._options, mail.content.size
        reason = self._foreign(mail, size)
        if reason:
            return Verdict(name, Outcome.SKIPPED, reason=reason)
        if options.max_bytes is None or size <= options.max_bytes:
            return None
        outcome = Outcome.SKIPPED if options.beyond == "skip" else Outcome.UNSCANNED
        return Verdict(name, outcome, reason=f"the message is larger than {options.max_bytes} bytes")

    def _foreign(self, mail: Mail, size: int) -> str:
        """Why the message is none of the engine's business; empty when it is."""
        options = self._options
        if options.tenants and mail.tenant not in options.tenants:
            return "not for this tenant"
        if size < options.min_bytes:
            return f"the message is smaller than {options.min_bytes} bytes"
        if len(options.directions) < _ALL and (way := direction(mail)) not in options.directions:
            return f"not for {way} mail"
        return ""


def is_limited(options: EngineOptions) -> bool:
    """Whether there is mail that the engine is not asked about."""
    chosen = (options.tenants, options.min_bytes, options.max_bytes is not None, len(options.directions) < _ALL)
    return any(chosen)


def _domain(address: str) -> str:
    return host_of(address.rpartition("@")[2])


def _from_domain(mail: Mail) -> str:
    """The domain of the one From field, which has one address; else nothing."""
    text = mail.fields.text("From")
    plain = len(text) <= _FROM_CHARACTERS and text.count("@") == 1
    return author_of(mail.fields).domain if plain else ""


def _from_outside(mail: Mail) -> bool:
    return "INB" in directions(mail.fields)

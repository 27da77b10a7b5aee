"""Why tenants should hear something: from their domains' proofs, and from what was counted. No I/O."""

import datetime as dt
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from typing import Final

from relay.onboarding.notices.kinds import KINDS, Again, Reason
from relay.records.verifications import PROVEN, Row
from relay.tenants.model import Tenant

LAPSED: Final = "lapsed"
_DAY = 86_400.0
_DOMAIN_KINDS = frozenset(kind for kind, again in KINDS.items() if again in (Again.AT_CHANGE, Again.WHILE_IT_STANDS))
_FAILURES: Mapping[str, str] = {
    "dns": "Its name cannot be looked up.",
    "connect": "No connection can be made to it.",
    "tls": "It offers no TLS, or shows a certificate that is not valid for its name.",
    "timeout": "It does not answer in time.",
    "hung_up": "It breaks connections off.",
    "protocol": "It answers what is not SMTP.",
}


def of_domains(rows: Iterable[Row], label: str, lapse_days: float) -> list[Reason]:
    """What there is to tell of the domains' proofs. `label`: a domain's record is at LABEL.DOMAIN; `lapse_days`: for
    how long a domain is protected without it.
    """
    known = list(rows)
    records = Counter((row.tenant, row.domain) for row in known)
    proven = Counter((row.tenant, row.domain) for row in known if row.state in PROVEN)
    reasons = []
    for row in known:
        if row.state in _DOMAIN_KINDS:
            domain = (row.tenant, row.domain)
            elsewhere = proven[domain] > (row.state in PROVEN)
            facts = {
                "domain": row.domain,
                "region": row.region,
                "record": f'{label}.{row.domain}  TXT  "{row.value}"',
                "consequence": _consequence(row, elsewhere, lapse_days),
            }
            subject = row.domain if records[domain] == 1 else f"{row.domain} ({row.region})"
            reasons.append(Reason(row.tenant, row.state, subject, row.changed, facts))
    return reasons


def _consequence(row: Row, elsewhere: bool, lapse_days: float) -> str:
    """What a missing record leads to, `elsewhere`: unless another one proves the domain."""
    if elsewhere:
        return f"The domain stays protected by the record of another region; this one is that of {row.region}."
    if row.state == LAPSED:
        return "The domain is not protected any more: its mail is put off."
    ends = dt.datetime.fromtimestamp(row.changed + lapse_days * _DAY, dt.UTC)
    return f"Unless it comes back, protection is suspended on {ends:%Y-%m-%d}, and mail is put off from then on."


def of_count(tenant: Tenant, kind: str, subject: str, failure: str = "") -> Reason | None:
    """Something that was counted; `failure` is how a next hop fails, where it is known. None for other kinds."""
    if kind not in KINDS or kind in _DOMAIN_KINDS:
        return None
    facts = {}
    if kind == "next_hop":
        facts = {"hop": subject, "failure": _FAILURES.get(failure, "")}
    elif kind == "unproven":
        facts = {"consequence": _treatment(tenant)}
    return Reason(tenant.name, kind, subject, facts=facts)


def _treatment(tenant: Tenant) -> str:
    if tenant.proof == "require":
        return "Sluice refuses such mail."
    return "Sluice lets such mail pass, as the tenant's setting proof is log."


def own_domains(tenant: Tenant, rows: Iterable[Row]) -> Collection[str]:
    """The domains at which contacts are reached by the tenant's own next hop: those that are, or once were, proved to
    be the tenant's. Who owns a domain whose proof has lapsed should hear so.
    """
    proved = {row.domain for row in rows if row.tenant == tenant.name and row.state in (*PROVEN, LAPSED)}
    return {domain.name for domain in tenant.domain if domain.verified or domain.name in proved}

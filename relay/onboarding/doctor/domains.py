"""A tenant's settings, and its domains: whether they are proved, and where their mail comes in."""

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence

from relay.dns import Resolver
from relay.onboarding.doctor.result import Result, Topic, listed
from relay.onboarding.domains.findsmtp import Found, find
from relay.onboarding.domains.mailhosts import Ours
from relay.onboarding.domains.outcomes import Outcome
from relay.onboarding.environment import Environment
from relay.records.verifications import PROVEN, Row
from relay.tenants.model import Domain, Tenant

OVERDUE = 3
"""Times of the pause between two looks at a record, after which it is told that nobody looks."""
_STATES: Mapping[str, str] = {
    "pending": "its TXT record was not seen yet, and its mail is put off",
    "failed": "its TXT record was not seen in time, and its mail is put off",
    "lapsing": "its TXT record went away: its mail will be put off soon",
    "lapsed": "its TXT record went away, and its mail is put off",
}
"""What the states of `records/verifications.py` mean that are not "verified"."""


def settings(tenant: Tenant, environments: Mapping[str, Environment]) -> Iterator[Result]:
    """Whether the tenant is set up so that its mail is protected."""
    topic = Topic("tenant.environment", tenant.name, tenant.name)
    environment = environments.get(tenant.environment)
    if not environments:
        yield topic.skipped("no [environments] are configured")
    elif environment is None:
        lacks = f"there is no environment {tenant.environment}" if tenant.environment else "it has no environment"
        yield topic.failed(
            f"{lacks}; there are: {listed(environments)}", f"sluice tenant set '{tenant.name}' environment=NAME"
        )
    elif tenant.multi_region and not environment.smart_host_multi_region:
        yield topic.warning(
            f"it has multi_region, and {environment.name} has no smart host for that",
            f"set smart_host_multi_region in [environments.{environment.name}]",
        )
    else:
        yield topic.ok(f"{environment.name}, smart host {environment.host(tenant.multi_region)}")
    yield _protection(tenant)


def _protection(tenant: Tenant) -> Result:
    topic = Topic("tenant.protection", tenant.name, tenant.name)
    if not tenant.domain:
        return topic.warning("it has no domain", f"sluice domain add '{tenant.name}' DOMAIN")
    lacking = [
        *(["mail without its loop value is delivered as well (proof = log)"] if tenant.proof == "log" else []),
        *(["nothing is withheld or marked (policy.observe)"] if tenant.policy.observe else []),
    ]
    if lacking:
        return topic.warning("; ".join(lacking), "change it when the time of trying is over: sluice tenant set")
    return topic.ok(f"the loop value is required, the policy acts, domains: {len(tenant.domain)}")


def verification(tenant: Tenant, domain: Domain, rows: Sequence[Row], pause: float, now: float) -> Iterator[Result]:
    """Whether the domain is protected. `pause`: seconds between two looks of the running relay."""
    if domain.verified:
        yield Topic("domain.verified", domain.name, tenant.name).ok("the operator vouches for it")
        return
    again = f"sluice domain verify '{tenant.name}' {domain.name} looks again, and shows the record to publish"
    if not rows:
        yield Topic("domain.verified", domain.name, tenant.name).failed("nothing proves it, its mail is put off", again)
    proved = any(row.state in PROVEN for row in rows)
    for row in rows:
        topic = Topic("domain.verified", f"{domain.name} ({row.region})", tenant.name)
        told = _STATES.get(row.state, row.state) + (f" ({row.problem})" if row.problem else "")
        if row.state == "verified" and row.checked and now - row.checked > OVERDUE * pause:
            yield topic.warning(
                f"proved, but nobody has looked for {(now - row.checked) / 3600:.0f} hours",
                "see whether the relay runs",
            )
        elif row.state == "verified":
            yield topic.ok("its TXT record proves it")
        elif proved:
            yield topic.warning(told if row.state == "lapsing" else f"not proved in this region: {row.problem}", again)
        else:
            yield topic.failed(told, again)


async def mx(resolver: Resolver, tenant: Tenant, domain: Domain, ours: Ours, *, private: bool) -> AsyncIterator[Result]:
    """Whether the domain's MX records name the host that its mail goes on to, as FIND SMTP reads them."""
    found = await find(domain.name, resolver, ours, private=private)
    take = f"sluice domain set '{tenant.name}' {domain.name} --next-hop {found.host}"
    yield compared(Topic("domain.mx", domain.name, tenant.name), found, domain.next_hop.host, take)


def compared(topic: Topic, found: Found, hop: str, take: str) -> Result:
    """What FIND SMTP found, beside the next hop's host; `take` is the command that takes what it suggests."""
    names = [host.name for host in found.hosts if host.name]
    if found.outcome in (Outcome.NO_ANSWER, Outcome.BROKEN):
        return topic.unknown(found.explanation, found.next_step)
    if found.outcome is Outcome.OURSELVES:
        return topic.failed(found.explanation, found.next_step)
    if hop in names and found.outcome in (Outcome.USABLE, Outcome.OTHER):
        return topic.ok(f"its MX record is its next hop, {hop}")
    if hop not in names and found.usable:
        return topic.warning(f"its MX record is {listed(names)}, and its next hop {hop}", take)
    return topic.warning(f"{found.explanation} Its next hop is {hop}.", found.next_step)

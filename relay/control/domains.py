"""What operators ask the DNS: which host is a domain's next hop, and whether its records prove it."""

import asyncio
import time
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

from config.load import load
from config.settings import Settings
from relay.control import tenants
from relay.control.common import Plain, Unusable, opened
from relay.dns import Resolver
from relay.errors import NotFound
from relay.onboarding.domains import findsmtp
from relay.onboarding.domains.findsmtp import Found
from relay.onboarding.domains.mailhosts import Ours, by_name
from relay.onboarding.domains.outcomes import Outcome
from relay.onboarding.domains.verifying import Checked
from relay.onboarding.environment import environments
from relay.records import verifications
from relay.tenants.names import a_label


def domain_find_smtp(config: Path, domain: str) -> Plain:
    """FIND SMTP: `outcome`, whether it is `usable`, the `host` to take, all `hosts`, `explanation` and `next_step`.

    Nothing is stored, and the domain need not be a tenant's. Raises ConfigProblems, Unusable.
    """
    settings = load(config)
    try:
        return _plain(asyncio.run(_find(settings, domain)))
    except ValueError as error:
        raise Unusable(f"{domain[:253]!a}: {error}") from None


def host_judge(config: Path, host: str) -> Plain:
    """Whether a host that was typed will do as a next hop, told as FIND SMTP tells it. Raises ConfigProblems."""
    return _plain(asyncio.run(_judge_host(load(config), host)))


def domain_add(config: Path, name: str, domain: str, next_hop: str | None = None, *, vouched: bool = False) -> Plain:
    """Give the tenant a domain, with the next hop that FIND SMTP finds where none is given; the domain as `domain_list`
    has it, with the records that its DNS should have.

    Raises ConfigProblems, NotFound, Unusable (with the next step, where no host can be taken), StoreFailed.
    """
    if next_hop is not None:
        _refuse_ourselves(load(config), next_hop)
    else:
        found = domain_find_smtp(config, domain)
        if not found["usable"]:
            raise Unusable(f"{found['explanation']} {found['next_step']}")
        next_hop = found["host"]
    return tenants.domain_add(config, name, domain, next_hop, vouched=vouched)


def domain_set(config: Path, name: str, domain: str, *, next_hop: str | None, vouched: bool | None) -> Plain:
    """Change where a domain's mail goes on to, or whether it is vouched for; what is None stays. The domain as
    `domain_list` has it.

    Raises ConfigProblems, NotFound, Unusable, StoreFailed.
    """
    if next_hop is not None:
        _refuse_ourselves(load(config), next_hop)
    return tenants.domain_set(config, name, domain, next_hop=next_hop, vouched=vouched)


def _refuse_ourselves(settings: Settings, next_hop: str) -> None:
    """Nobody may type a loop. By the name alone: a host may be typed before the DNS knows it."""
    found = findsmtp.judged("", [by_name(next_hop.partition(":")[0], ours(settings))])
    if found.outcome is Outcome.OURSELVES:
        raise Unusable(f"{found.explanation} {found.next_step}")


async def _find(settings: Settings, domain: str) -> Found:
    resolver = Resolver(settings.dns.servers, settings.dns.timeout)
    return await findsmtp.find(domain, resolver, ours(settings), private=settings.onboarding.private_addresses)


async def _judge_host(settings: Settings, host: str) -> Found:
    resolver = Resolver(settings.dns.servers, settings.dns.timeout)
    return await findsmtp.judge_host(host, resolver, ours(settings), private=settings.onboarding.private_addresses)


def ours(settings: Settings) -> Ours:
    """This relay, with all the operator's environments: mail that is handed to any of them goes in circles."""
    known = environments(settings.environments).values()
    names = {settings.node.name, *(host for one in known for host in (one.smart_host, one.smart_host_multi_region))}
    listening = (endpoint.rpartition(":")[0].strip("[]") for endpoint in settings.smtp.listen)
    egress = (address for one in known for address in one.addresses(multi_region=True))
    return Ours(frozenset(name.lower() for name in names if name), frozenset((*listening, *egress)))


def _plain(found: Found) -> Plain:
    return asdict(found) | {"usable": found.usable}


def domain_verify(config: Path, domain: str, tenant: str | None = None) -> Plain:
    """Look for the domain's records now, and store what that came to: the domain as `domain_list` has it, whether it
    is `proven`, and in each of its `records` whether it was `seen` ("yes", "no", "unknown") and what `servers` said.

    Raises ConfigProblems, NotFound, StoreFailed.
    """
    from relay import assembly  # noqa: PLC0415 - the whole relay, and few commands need it

    settings = load(config)
    name = _domain(config, domain, tenant)["domain"]
    with opened(settings) as store:
        rows = [row for row in verifications.load(store) if row.domain == name]
        checked = asyncio.run(assembly.verifier(settings, store, time.time).verify(rows))
    found = _domain(config, domain, tenant)
    records = [record | _heard(record["region"], checked) for record in found["records"]]
    proven = found["vouched"] or all(record["state"] == "verified" for record in records)
    return found | {"records": records, "proven": proven}


def _domain(config: Path, domain: str, tenant: str | None) -> Plain:
    try:
        name = a_label(domain.strip().removesuffix("."))
    except ValueError as error:
        raise Unusable(f"{domain[:253]!a}: {error}") from None
    found = [one for one in tenants.domain_list(config, tenant) if one["domain"] == name]
    if not found:
        raise NotFound(f"{tenant} has no domain {name}" if tenant else f"no tenant has the domain {name}")
    return found[0]


def _heard(region: str, checked: Iterable[Checked]) -> Plain:
    one = next((each for each in checked if each.row.region == region), None)
    if one is None:
        return {"seen": "unknown", "servers": []}
    servers = [
        {"server": told.server, "said": told.said, "records": len(told.records), "detail": told.detail}
        for told in one.hearing.told
    ]
    return {"seen": one.look.seen.name.lower(), "servers": servers}

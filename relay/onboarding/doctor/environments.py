"""Which of the operator's environments matter: those of the tenants that are looked at, or all when none has one."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from relay.onboarding.doctor.result import Result, Topic
from relay.onboarding.environment import Environment
from relay.tenants.model import Tenant


@dataclass(frozen=True, slots=True)
class Places:
    """Names and addresses that Exchange Online is told of."""

    hosts: tuple[str, ...]
    """Smart hosts."""
    egress: Mapping[str, str]
    """Egress addresses, each with the domain that its name should be in; "" for any."""


def places(environments: Mapping[str, Environment], tenants: Sequence[Tenant]) -> Places:
    """What the environments of `tenants` name."""
    used = {(one.environment, one.multi_region) for one in tenants if one.environment in environments}
    if not used:
        used = {(name, multi_region) for name in environments for multi_region in (False, True)}
    known = [(environments[name], multi_region) for name, multi_region in sorted(used)]
    hosts = dict.fromkeys(environment.host(multi_region) for environment, multi_region in known)
    egress = {
        address: environment.ptr_domain
        for environment, multi_region in known
        for address in environment.addresses(multi_region)
    }
    return Places(tuple(filter(None, hosts)), egress)


def validated(environment: Environment, domains: Collection[str]) -> Result:
    """Whether the mailbox with which Exchange validates a connector is nobody's. `domains`: those of all tenants."""
    topic, address = Topic("environment.validation", environment.name), environment.validation_address
    if address.rpartition("@")[2].lower() not in domains:
        return topic.ok(f"mail to {address} is accepted and thrown away")
    return topic.failed(
        f"mail to {address} is thrown away, and its domain is a tenant's",
        "choose an address that is nobody's as validation_address, in a domain of your own",
    )

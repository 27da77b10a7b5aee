"""Directory: from a recipient's address to the tenant and the next hop, by one look-up."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from relay.tenants.hops import NextHop
from relay.tenants.model import Domain, Tenant
from relay.tenants.names import a_label
from verdicts.lists import Lists
from verdicts.mail import NOBODY, Person, Profile

_LONGEST = 4096
"""Characters of an address beyond which it is not looked at; a command line may be long, an address may not."""


@dataclass(frozen=True, slots=True, eq=False)
class Route:
    """Where a recipient's mail goes. Two routes are equal when tenant and next hop are: they fit in one transaction."""

    tenant: Tenant
    domain: Domain
    profile: Profile = NOBODY
    """What engines are told of the tenant."""

    @property
    def hop(self) -> NextHop:
        """The next hop."""
        return self.domain.next_hop

    def __eq__(self, other: object) -> bool:
        if self is other:  # nearly always
            return True
        return isinstance(other, Route) and (self.tenant.name, self.hop) == (other.tenant.name, other.hop)

    def __hash__(self) -> int:
        return hash((self.tenant.name, self.hop))


Proven = Collection[tuple[str, str]]
"""Tenant and domain of those that their TXT record proves."""


def _owned(tenant: Tenant, domain: Domain, proven: Proven) -> bool:
    return domain.verified or (tenant.name, domain.name) in proven


def profile(tenant: Tenant, proven: Proven = ()) -> Profile:
    """What engines are told of `tenant`; of its domains those that are proved to be its own."""
    domains = tuple(domain.name for domain in tenant.domain if _owned(tenant, domain, proven))
    people = tuple(Person(person.name, person.addresses) for person in tenant.person)
    return Profile(domains, people, Lists(entry.compiled() for entry in tenant.list))


class Directory:
    """All protected domains. Never changed: a reload makes a new one."""

    def __init__(self, tenants: Iterable[Tenant], proven: Proven = ()) -> None:
        """Raises ValueError when a protected domain belongs to two tenants."""
        self._routes: dict[str, Route] = {}
        self._waiting: set[str] = set()
        for tenant in tenants:
            known = profile(tenant, proven)
            for domain in tenant.domain:
                if _owned(tenant, domain, proven):
                    self._add(Route(tenant, domain, known))
                else:
                    self._waiting.add(domain.name)

    def _add(self, route: Route) -> None:
        if self._routes.setdefault(route.domain.name, route) is not route:
            raise ValueError(f"two tenants have the domain {route.domain.name}")

    def __len__(self) -> int:
        """How many domains are protected."""
        return len(self._routes)

    def route(self, address: str) -> Route | None:
        """The route of "local@domain", or None when the domain is not protected or `address` is no address.

        The domain is what follows the last "@": a quoted local part may have one too (RFC 5321 section 4.1.2). Only
        names that are not ASCII cost more than the look-up.
        """
        name = _domain(address)
        return None if name is None else self._routes.get(name)

    def waits(self, address: str) -> bool:
        """Whether its domain is a tenant's that is not proved yet, or not any more."""
        return _domain(address) in self._waiting


def _domain(address: str) -> str | None:
    local, _, domain = address.rpartition("@")
    if not local or len(address) > _LONGEST:
        return None
    if domain.isascii():
        return domain.lower()
    try:
        return a_label(domain)
    except ValueError:
        return None

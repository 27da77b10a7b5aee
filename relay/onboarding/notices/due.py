"""What is due now, by which way: tenants, proofs of domains and the last notices in, notices out. No I/O."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from relay.onboarding.notices.kinds import NEVER, Last, Reason, Rules, is_due
from relay.onboarding.notices.reasons import of_count, of_domains, own_domains
from relay.onboarding.notices.sending import Way
from relay.records.notices import Key
from relay.records.verifications import Row
from relay.tenants.model import Tenant

LONGEST_SUBJECT: Final = 255
"""Characters of a subject that the database takes; longer ones are next to impossible."""


@dataclass(frozen=True, slots=True)
class State:
    """What the database says."""

    tenants: Mapping[str, Tenant]
    proofs: Sequence[Row]
    last: Mapping[Key, Last]
    """The last notices, by what `key` makes."""


@dataclass(frozen=True, slots=True)
class Due:
    """A notice that is due."""

    reason: Reason
    way: Way
    tenant: Tenant
    own: Collection[str]
    """The domains of the tenant whose next hops may be used."""
    last: Last

    @property
    def key(self) -> Key:
        """What it is remembered by."""
        return key(self.tenant.name, self.reason.kind, self.reason.subject, self.way)


def key(tenant: str, kind: str, subject: str, way: Way) -> Key:
    """What the last notice by `way` is remembered by: each way has its own, so that none waits for the other."""
    return tenant, f"{way.name} {kind}", subject[:LONGEST_SUBJECT]


def wanted(tenant: Tenant | None, kind: str, way: Way, rules: Rules) -> bool:
    """Whether notices of this kind about the tenant are sent by `way`."""
    return tenant is not None and kind in rules.kinds and way.serves(tenant)


def find(
    state: State, ways: Sequence[Way], rules: Rules, now: float, failure: Callable[[str, str], str] = lambda *_: ""
) -> list[Due]:
    """All notices that are due `now`. `failure` tells how a tenant's next hop fails, if it is known."""
    of_proofs = of_domains(state.proofs, rules.label, rules.lapse_days)
    own = _own(state)
    found = []
    for way in ways:
        for reason in [*of_proofs, *_counted(state, way, failure)]:
            tenant = state.tenants.get(reason.tenant)
            last = state.last.get(key(reason.tenant, reason.kind, reason.subject, way), NEVER)
            if tenant and wanted(tenant, reason.kind, way, rules) and is_due(reason, last, now, rules.interval):
                found.append(Due(reason, way, tenant, own(tenant), last))
    return found


def _own(state: State) -> Callable[[Tenant], Collection[str]]:
    """`own_domains`, once for each tenant, and of its own proofs: thousands of domains may lapse at once, and while
    this computes, the thread that serves mail waits.
    """
    proofs: dict[str, list[Row]] = {}
    for row in state.proofs:
        proofs.setdefault(row.tenant, []).append(row)
    known: dict[str, Collection[str]] = {}

    def own(tenant: Tenant) -> Collection[str]:
        if tenant.name not in known:
            known[tenant.name] = own_domains(tenant, proofs.get(tenant.name, ()))
        return known[tenant.name]

    return own


def _counted(state: State, way: Way, failure: Callable[[str, str], str]) -> Iterator[Reason]:
    for tenant, kind, subject in state.last:
        by, _, of = kind.partition(" ")
        known = state.tenants.get(tenant)
        if by == way.name and known is not None:
            reason = of_count(known, of, subject, failure(tenant, subject))
            if reason is not None:
                yield reason

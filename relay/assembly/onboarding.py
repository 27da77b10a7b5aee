"""What tenants are onboarded by, from Settings: who may talk to us, who looks for domains' records."""

import math
from collections.abc import Callable, Iterable, Mapping

import structlog

from config.settings import Settings
from relay.dns import Resolver
from relay.dns.authority import Authority
from relay.intake.admission import Admission
from relay.intake.microsoft import Published, read_ranges, shipped, shipped_list
from relay.observe import metrics
from relay.onboarding.domains.verification import Limits as ProofLimits
from relay.onboarding.domains.verifying import Tell, Verifier
from relay.onboarding.ranges.notebook import Memory
from relay.onboarding.ranges.refresh import Standing, standing
from relay.records.store import Store

log = structlog.get_logger("assembly")


def admission(settings: Settings, memory: Memory) -> Admission:
    """Microsoft's ranges of the chosen clouds, as they are shipped or remembered, and the operator's networks."""
    networks = [(network, "operator") for network in settings.admission.networks]
    if settings.admission.microsoft:
        ranges = read_ranges(shipped(), settings.admission.clouds, memory.fetched())
        networks += ranges.networks
        metrics.RANGES_TIMESTAMP.set(ranges.timestamp)
    _tell_of_ranges(memory, standings(settings, memory) if settings.admission.microsoft else {})
    return Admission(networks)


def _tell_of_ranges(memory: Memory, clouds: Mapping[str, Standing]) -> None:
    if memory.problem and clouds:
        log.warning("Microsoft's ranges that were fetched cannot be read, older ones count", problem=memory.problem)
    metrics.RANGES_CHECKED.set(min((memory.cloud(name).checked for name in clouds), default=math.nan))
    metrics.RANGES_HELD.set(sum(one.waiting is not None for one in clouds.values()))


def shipped_lists(settings: Settings) -> dict[str, Published]:
    """Microsoft's lists for the chosen clouds as they are shipped, by cloud."""
    return {name: shipped_list(name).published for name in settings.admission.clouds}


def standings(settings: Settings, memory: Memory) -> dict[str, Standing]:
    """What counts for each of the chosen clouds, and what waits for an operator's yes."""
    return {name: standing(ours, memory.cloud(name)) for name, ours in shipped_lists(settings).items()}


def verifier(settings: Settings, store: Store, now: Callable[[], float], tell: Iterable[Tell] = ()) -> Verifier:
    """Who looks whether domains have their records; `tell` hear of what changed."""
    chosen = settings.onboarding
    resolver = Resolver(settings.dns.servers, settings.dns.timeout)
    authority = Authority(resolver, servers=chosen.name_servers, private=chosen.private_addresses)
    limits = ProofLimits(chosen.verify_hours * 3_600, chosen.lapse_days * 86_400, chosen.recheck_hours * 3_600)
    return Verifier(store, authority, chosen.txt_label, limits, now, tell)

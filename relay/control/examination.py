"""Which checks of `onboarding/doctor/` a configuration and its tenants call for."""

import time
from collections.abc import AsyncIterator, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from config.load import Problem
from config.settings import Settings
from relay.checks import check as find_mistakes
from relay.control.domains import ours
from relay.dns import Resolver
from relay.errors import ConfigurationError
from relay.onboarding.doctor import arc, certificate, domains, hops, lookups, mail, ranges, running, stores
from relay.onboarding.doctor.clock import Clocks
from relay.onboarding.doctor.engines import engine
from relay.onboarding.doctor.environments import Places, places, validated
from relay.onboarding.doctor.result import Result, Topic
from relay.onboarding.doctor.run import EACH, Check, apart
from relay.onboarding.environment import environments
from relay.onboarding.ranges.notebook import Notebook
from relay.records.store import Store
from relay.records.verifications import Row
from relay.tenants.hops import NextHop
from relay.tenants.model import Domain, Tenant
from verdicts import registry

BUILDING = 20.0
"""Seconds for an engine to be built and closed, beyond what it may take for a letter."""


@dataclass(frozen=True, slots=True)
class Known:
    """What the store says of who is protected."""

    tenants: tuple[Tenant, ...] = ()
    rows: tuple[Row, ...] = ()


class Scene:
    """What the checks are given."""

    def __init__(self, config: Path, settings: Settings, known: Known, store: Store | None, roots: Path | None) -> None:
        self.config, self.settings, self.known, self.store, self.roots = config, settings, known, store, roots
        self.clocks = Clocks()
        self.resolver = self.new_resolver()
        self.environments = environments(settings.environments)
        self.ours = ours(settings)
        self.places: Places = places(self.environments, known.tenants)
        self.proofs: dict[tuple[str, str], list[Row]] = {}
        """By tenant and domain: there may be thousands."""
        for row in known.rows:
            self.proofs.setdefault((row.tenant, row.domain), []).append(row)

    def new_resolver(self) -> Resolver:
        """One more; each event loop needs its own."""
        return Resolver(self.settings.dns.servers, self.settings.dns.timeout)


def checks(scene: Scene) -> Iterator[Check]:
    """All of them, in the order in which they are told."""
    yield Check(Topic("configuration", str(scene.config)), partial(_configuration, scene.config))
    yield from _certificate(scene)
    yield from _lookups(scene)
    yield from _running(scene)
    yield from _stores(scene)
    yield from _engines(scene)
    for tenant in scene.known.tenants:
        yield from _tenant(scene, tenant)
    yield from _hops(scene)


def mistake(problem: Problem) -> Result:
    """A mistake in the configuration as a result."""
    remedy = "correct it; sluice check tells all mistakes at once"
    return Topic("configuration", str(problem.file)).failed(str(problem), remedy)


async def _configuration(config: Path) -> AsyncIterator[Result]:
    report = await apart(lambda: find_mistakes(config, []))
    for problem in report.mistakes:
        yield mistake(problem)
    for note in report.notes:
        yield Topic("configuration", str(config)).warning(note, "see config/README.md")
    if not report.mistakes and not report.notes:
        yield Topic("configuration", str(config)).ok("it has no mistakes")


def _certificate(scene: Scene) -> Iterator[Check]:
    smtp, names = scene.settings.smtp, scene.places.hosts or (scene.settings.node.name,)
    work = partial(certificate.certificate, smtp.certificate, smtp.private_key, scene.roots, names, time.time())
    yield Check(Topic("certificate.pair", str(smtp.certificate or "smtp.certificate")), work)


def _lookups(scene: Scene) -> Iterator[Check]:
    resolver, known, name = scene.resolver, scene.places, scene.settings.node.name
    for host in known.hosts:
        yield Check(Topic("smarthost.addresses", host), partial(lookups.smart_host, resolver, host))
    for address, domain in known.egress.items():
        yield Check(Topic("egress.ptr", address), partial(lookups.egress, resolver, address, domain))
    yield Check(Topic("node.address", name), partial(lookups.node, resolver, name, known.egress))
    domains = {domain.name for tenant in scene.known.tenants for domain in tenant.domain}
    used = {tenant.environment for tenant in scene.known.tenants}
    for environment in scene.environments.values():
        if environment.name in used or not used & scene.environments.keys():
            result = validated(environment, domains)
            yield _told(Topic(result.id, result.subject), [result])
    arc_table = scene.settings.arc
    if arc_table is not None:
        work = partial(arc.record, resolver, arc_table.domain, arc_table.selector, arc_table.private_key)
        yield Check(Topic("arc.record", f"{arc_table.selector}._domainkey.{arc_table.domain}"), work)


def _told(topic: Topic, results: Iterable[Result]) -> Check:
    """A check that waits for nothing."""

    async def plain() -> AsyncIterator[Result]:
        for result in results:
            yield result

    return Check(topic, plain, at_once=True)


def _running(scene: Scene) -> Iterator[Check]:
    settings = scene.settings
    http = settings.http.listen
    yield Check(Topic("relay.ready", http), partial(running.relay, http, settings.smtp.certificate))
    for endpoint in settings.smtp.listen:
        yield Check(Topic("relay.listens", endpoint), partial(running.listens, endpoint))
    if settings.admission.microsoft:
        yield Check(Topic("ranges.age", "ranges"), partial(_ranges, settings))


async def _ranges(settings: Settings) -> AsyncIterator[Result]:
    from relay import assembly  # noqa: PLC0415 - the whole relay, and few commands need it

    memory = await apart(Notebook(settings.node.state).read)
    for name, one in assembly.standings(settings, memory).items():
        cloud = memory.cloud(name)
        yield ranges.age(name, one.current.timestamp, cloud.checked, time.time())
        yield ranges.asked(name, cloud.checked, memory.problem or cloud.problem)
        version, why = (one.waiting.published.version, one.change.suspicion) if one.waiting and one.change else ("", "")
        yield ranges.held(name, version, why)


def _stores(scene: Scene) -> Iterator[Check]:
    state, quarantine = scene.settings.node.state, scene.settings.quarantine_folder
    if scene.store is not None:
        yield Check(Topic("store.reachable", "records"), partial(stores.database, scene.store, scene.clocks))
    for path in (quarantine / "tmp", state / "drafts"):
        topic = Topic("folder.writable", str(path))
        yield Check(topic, partial(stores.folder, topic, path))
    for path in dict.fromkeys((state, quarantine)):
        work = partial(stores.space, path, scene.settings.smtp.max_message_bytes)
        yield Check(Topic("disk.free", str(path)), work)


def _engines(scene: Scene) -> Iterator[Check]:
    deadline = scene.settings.judging.deadline
    for name, table in (scene.settings.engines or registry.DEFAULT).items():
        work = partial(engine, name, partial(registry.seat, name, table), scene.new_resolver, deadline)
        yield Check(Topic("engine.answers", name), work, deadline + BUILDING)


def _tenant(scene: Scene, tenant: Tenant) -> Iterator[Check]:
    yield _told(Topic("tenant.environment", tenant.name, tenant.name), domains.settings(tenant, scene.environments))
    for domain in tenant.domain:
        yield from _domain(scene, tenant, domain)
    if scene.store is not None:
        topic = Topic("mail.seen", tenant.name, tenant.name)
        yield Check(topic, partial(mail.mail, scene.store, tenant, scene.clocks))


def _domain(scene: Scene, tenant: Tenant, domain: Domain) -> Iterator[Check]:
    rows = scene.proofs.get((tenant.name, domain.name), [])
    pause = scene.settings.onboarding.recheck_hours * 3600
    proof = domains.verification(tenant, domain, rows, pause, time.time())
    yield _told(Topic("domain.verified", domain.name, tenant.name), proof)
    private = scene.settings.onboarding.private_addresses
    mx = partial(domains.mx, scene.resolver, tenant, domain, scene.ours, private=private)
    yield Check(Topic("domain.mx", domain.name, tenant.name), mx)


def _hops(scene: Scene) -> Iterator[Check]:
    """Each next hop once, however many tenants and domains it has."""
    from relay import assembly  # noqa: PLC0415 - the whole relay, and few commands need it

    used: dict[NextHop, dict[str, None]] = {}
    for tenant in scene.known.tenants:
        for domain in tenant.domain:
            used.setdefault(domain.next_hop, {})[tenant.name] = None
    if not used:
        return
    topic = Topic("hop.opens", "delivery")
    try:
        delivery = assembly.delivery(scene.settings, scene.resolver)
    except ConfigurationError as error:
        yield _told(topic, [topic.failed(str(error), "correct [delivery]")])
        return
    size = scene.settings.smtp.max_message_bytes
    seconds = max(EACH, 2 * scene.settings.delivery.connect_timeout + scene.settings.dns.timeout + 5)
    for hop, tenants in used.items():
        work = partial(hops.hop, delivery, hop, list(tenants), scene.ours, size, scene.clocks)
        yield Check(Topic("hop.opens", str(hop), next(iter(tenants))), work, seconds)

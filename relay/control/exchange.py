"""What a tenant's administrator is handed for Exchange Online: the script, and the guide for doing it by hand."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from config.load import load
from config.settings import Settings
from relay.control.common import Unusable, opened
from relay.onboarding import tenancy
from relay.onboarding.environment import Environment, environments
from relay.onboarding.exchange import guide, script, steps
from relay.onboarding.exchange.plan import Plan, Variant
from relay.records import tenants, verifications
from relay.records.verifications import PROVEN, Row
from relay.tenants.model import Tenant


@dataclass(frozen=True, slots=True)
class Handout:
    """A text that has the tenant's loop value, and what its reader should know besides."""

    text: str = field(repr=False)
    notes: tuple[str, ...]


def tenant_script(config: Path, name: str) -> Handout:
    """The PowerShell script that sets up the tenant's Exchange Online, in ASCII. It has the tenant's loop value.

    Domains that nothing proves are left out. Raises ConfigProblems, NotFound, Unusable, StoreFailed.
    """
    settings, tenant, rows = _known(config, name)
    hardened, article = (_plan(settings, tenant, rows, variant) for variant in (Variant.HARDENED, Variant.ARTICLE))
    return Handout(script.script(hardened, article), tuple(_notes(settings, tenant, rows)))


def tenant_guide(config: Path, name: str, *, as_in_article: bool = False) -> Handout:
    """The same steps for people, as Markdown. It has the tenant's loop value.

    Raises ConfigProblems, NotFound, Unusable, StoreFailed.
    """
    settings, tenant, rows = _known(config, name)
    plan = _plan(settings, tenant, rows, Variant.ARTICLE if as_in_article else Variant.HARDENED)
    return Handout(guide.guide(plan), tuple(_notes(settings, tenant, rows)))


def _known(config: Path, name: str) -> tuple[Settings, Tenant, Sequence[Row]]:
    settings = load(config)
    with opened(settings) as store:
        return settings, tenancy.found(tenants.load(store)[1], name), verifications.load(store, name)


def _plan(settings: Settings, tenant: Tenant, rows: Sequence[Row], variant: Variant) -> Plan:
    sealer = settings.arc.domain if settings.arc else ""
    return steps.plan(tenant, _environment(settings, tenant), _protected(tenant, rows), sealer, variant)


def _environment(settings: Settings, tenant: Tenant) -> Environment:
    known = environments(settings.environments)
    if tenant.environment not in known:
        raise Unusable(f"{tenant.name} needs an environment: sluice tenant set '{tenant.name}' environment=NAME")
    return known[tenant.environment]


def _protected(tenant: Tenant, rows: Sequence[Row]) -> tuple[str, ...]:
    proven = {row.domain for row in rows if row.state in PROVEN}
    return tuple(one.name for one in tenant.domain if one.verified or one.name in proven)


def _notes(settings: Settings, tenant: Tenant, rows: Sequence[Row]) -> Iterable[str]:
    protected = _protected(tenant, rows)
    for domain in tenant.domain:
        open_regions = [row.region for row in rows if row.domain == domain.name and row.state not in PROVEN]
        if domain.name not in protected:
            yield f"{domain.name} is left out: nothing proves it yet"
        elif open_regions and not domain.verified:
            yield f"{domain.name} is not proved yet in {', '.join(open_regions)}"
    if settings.arc is None:
        yield "no [arc] in the configuration: Exchange is not told to trust a seal"
    yield "it has the tenant's loop value: keep it secret"

"""Every step but the rules: what is looked at first, allow lists, connectors; and the whole plan.

Names and values are those of the onboarding article, with our name in place of the vendor's. Cmdlets and their
properties: https://learn.microsoft.com/powershell/module/exchangepowershell/
"""

from collections.abc import Iterable, Sequence

from relay.errors import Unusable
from relay.onboarding.environment import Environment
from relay.onboarding.exchange import limits, notes, rules
from relay.onboarding.exchange.plan import Form, Kind, Plan, Step, Variant, flag, several, text
from relay.tenants.model import Tenant

OUTBOUND = rules.OUTBOUND
INBOUND = "Disable IP Throttling on Sluice Connector"
_ALLOWED = ("spoof", "addresses", "inbound", "outbound", "validation")
"""Without these the redirect rule would send mail away that cannot come back, or not as it was."""


def plan(
    tenant: Tenant,
    environment: Environment,
    domains: Sequence[str],
    sealer: str = "",
    variant: Variant = Variant.HARDENED,
) -> Plan:
    """The plan for the tenant, of whose domains those in `domains` are protected; `sealer` is the d= of our ARC sets.

    Raises Unusable with all that makes it impossible: nothing of it is to be made then.
    """
    addresses = environment.addresses(tenant.multi_region)
    made = Plan(
        tenant=tenant.name,
        environment=environment.name,
        variant=variant,
        organisation=tenant.microsoft_tenant_id or "",
        steps=tuple(_steps(tenant, environment, addresses, domains, sealer, variant)),
        notes=tuple(notes.of(tenant, environment, variant)),
        secrets=tenant.loop_values,
    )
    wrong = [*limits.of_tenant(tenant, domains), *limits.of_plan(made)]
    if wrong:
        raise Unusable("\n".join(wrong))
    return made


def _steps(
    tenant: Tenant,
    environment: Environment,
    addresses: tuple[str, ...],
    domains: Sequence[str],
    sealer: str,
    variant: Variant,
) -> Iterable[Step]:
    host = environment.host(tenant.multi_region)
    scope = rules.Scope(tuple(domains), tenant.scope.groups, tenant.scope.users)
    yield _organisation(scope)
    yield _spoof(environment, addresses, variant)
    yield _content_filter()
    yield _connection_filter(addresses)
    yield _safe_list()
    if sealer:
        yield _sealer(sealer)
    yield _inbound(addresses)
    made = list(rules.steps(scope, tenant.loop_values, addresses, variant, _ALLOWED))
    before = [step for step in made if not (step.redirects or step.absent)]
    yield from before
    yield _outbound(host, (step.id for step in before))
    yield _validation(environment.validation_address)
    yield from (step for step in made if step not in before)


def _organisation(scope: rules.Scope) -> Step:
    return Step(
        "organisation",
        "Look whether this is the right organisation",
        Kind.ORGANISATION,
        "domains",
        properties=(several("Domains", *scope.domains), flag("WholeDomains", scope.whole)),
        why="The domains must be accepted domains of this organisation. Their sub-domains that it accepts too are "
        "redirected with them, and must be protected domains of Sluice as well: it refuses mail for what it does not "
        "know.",
        hint="Are you signed in to the right organisation?",
    )


def _infrastructure(environment: Environment, addresses: Iterable[str], variant: Variant) -> tuple[str, ...]:
    """Names the senders by the domain of their PTR records, or by their networks: nothing smaller than /24 is taken."""
    if environment.ptr_domain and variant is Variant.HARDENED:
        return (environment.ptr_domain,)
    return tuple(dict.fromkeys(address.rpartition(".")[0] + ".0/24" for address in addresses))


def _spoof(environment: Environment, addresses: Sequence[str], variant: Variant) -> Step:
    """The entries of the other variant go, as its rules do: with those of the article 255 neighbours may spoof."""
    other = Variant.ARTICLE if variant is Variant.HARDENED else Variant.HARDENED
    wanted = _infrastructure(environment, addresses, variant)
    return Step(
        "spoof",
        "Let Sluice hand mail back in its senders' names",
        Kind.SPOOF,
        "spoof",
        "TenantAllowBlockListSpoofItems",
        properties=(
            several("SendingInfrastructure", *wanted),
            several("Former", *(one for one in _infrastructure(environment, addresses, other) if one not in wanted)),
        ),
        needs=("organisation",),
        why="Mail that comes back bears its sender's address and Sluice's network address, which looks like spoofing.",
        hint="Entries of this kind are limited to 1024.",
    )


def _content_filter() -> Step:
    return Step(
        "content-filter",
        "Put spam into the Junk Email folder",
        Kind.SETTINGS,
        "antispam",
        "HostedContentFilterPolicy",
        "Default",
        (
            text("SpamAction", "MoveToJmf"),
            text("HighConfidenceSpamAction", "MoveToJmf"),
            text("PhishSpamAction", "MoveToJmf"),
            text("HighConfidencePhishAction", "Quarantine"),
        ),
        ("organisation",),
        why="What a verdict leads to, in the default policy. Other policies and the presets go before it for the users "
        "they are for: look at those yourself.",
    )


def _connection_filter(addresses: Iterable[str]) -> Step:
    return Step(
        "addresses",
        "Allow Sluice's addresses",
        Kind.ADDRESSES,
        "antispam",
        "HostedConnectionFilterPolicy",
        "Default",
        (several("IPAllowList", *addresses),),
        ("organisation",),
        why="Mail that comes back has been judged already; without this it is judged as if Sluice had written it.",
        hint="The list takes 1273 entries.",
    )


def _safe_list() -> Step:
    return Step(
        "safe-list",
        "Turn on the safe list",
        Kind.SETTINGS,
        "antispam",
        "HostedConnectionFilterPolicy",
        "Default",
        (flag("EnableSafeList", True),),
        ("organisation",),
        why="Microsoft's own list of good senders. Its cmdlet calls the parameter reserved, and other pages use it.",
        hint="If the parameter is not known, turn the safe list on in the portal.",
    )


def _sealer(domain: str) -> Step:
    return Step(
        "sealer",
        "Believe Sluice's ARC seal",
        Kind.SEALERS,
        "arc",
        "ArcConfig",
        "Default",
        (several("ArcTrustedSealers", domain),),
        ("organisation",),
        why="What Sluice found out about SPF, DKIM and DMARC then counts, where its own address would fail them.",
    )


def _inbound(addresses: Iterable[str]) -> Step:
    return Step(
        "inbound",
        "Make the connector on which mail comes back",
        Kind.CONNECTOR,
        "connectors",
        "InboundConnector",
        INBOUND,
        (
            text("ConnectorType", "Partner"),
            flag("Enabled", True),
            several("SenderDomains", "*"),
            several("SenderIPAddresses", *addresses, form=Form.RANGES),
            flag("RestrictDomainsToIPAddresses", False),
            flag("RestrictDomainsToCertificate", False),
            flag("RequireTls", True),
        ),
        ("organisation",),
        why="It keeps Exchange from throttling Sluice. It must not reject mail from other addresses: that would be all "
        "mail from the Internet. Leave enhanced filtering off on it: the rules look at the address it would skip.",
        hint="Microsoft 365 E5 developer subscriptions cannot have inbound connectors.",
    )


def _outbound(host: str, rules_before: Iterable[str]) -> Step:
    """`rules_before` know the addresses from which mail comes back: when it goes to another smart host, they must know
    that one's before it does.
    """
    return Step(
        "outbound",
        "Make the connector on which mail goes to Sluice",
        Kind.CONNECTOR,
        "connectors",
        "OutboundConnector",
        OUTBOUND,
        (
            text("ConnectorType", "Partner"),
            flag("Enabled", True),
            flag("TestMode", False),
            flag("IsTransportRuleScoped", True),
            flag("UseMXRecord", False),
            several("SmartHosts", host),
            text("TlsSettings", "DomainValidation"),
            text("TlsDomain", host),
        ),
        ("organisation", *rules_before),
        why="Only the redirect rule uses it, and only towards a certificate of this very name.",
    )


def _validation(address: str) -> Step:
    return Step(
        "validation",
        "Validate that connector",
        Kind.VALIDATION,
        "connectors",
        "OutboundConnector",
        OUTBOUND,
        (several("Recipients", address),),
        ("outbound",),
        why="Exchange connects and sends a test message, which Sluice takes and throws away.",
        hint="Does Sluice run, with a trusted certificate of that name, and this environment in its configuration?",
    )

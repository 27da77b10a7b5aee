"""What operators do with tenants and their domains. Each change is one transaction; running nodes notice it."""

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from config.load import load
from config.settings import Settings
from relay import checks
from relay.control.common import NotFound, Plain, iso, opened
from relay.onboarding import rotation, tenancy
from relay.onboarding.environment import environments
from relay.onboarding.tenancy import Document, Documents, Environments
from relay.records import rotations, tenants, verifications
from relay.records.store import Connection, Store
from relay.records.verifications import PROVEN, Row
from relay.tenants.model import Tenant
from relay.tenants.names import a_label

Change = Callable[[Documents, Environments], Documents]


@dataclass(frozen=True, slots=True)
class Changes:
    """What applying a tenant file did, by the tenants' names."""

    added: tuple[str, ...]
    changed: tuple[str, ...]
    removed: tuple[str, ...]
    unchanged: tuple[str, ...]
    suspended: tuple[str, ...]
    """Domains that were protected, and are not any more, though the file has them."""


def tenant_apply(config: Path, file: Path) -> Changes:
    """Make the stored tenants equal to `file`; a second time changes nothing. Running nodes notice by the revision.

    Raises ConfigProblems with all mistakes of the file, Unusable, and then nothing is stored; StoreFailed.
    """
    settings = load(config)
    wanted = [tenant.model_dump(mode="json") for tenant in checks.read_tenants(file).tenant]
    with opened(settings) as store:
        proven = verifications.proven(store)
        before, after = _edit(store, settings, lambda _, environments: tenancy.checked(wanted, environments))
        protected = _protected(after, verifications.proven(store))
    gone = _protected(before, proven) - protected
    named = (domain["name"] for document in after for domain in document["domain"])
    return _changes(_by_name(before), _by_name(after), tuple(name for name in named if name in gone))


def _protected(documents: Documents, proven: Collection[tuple[str, str]]) -> set[str]:
    shown = (domain for document in documents for domain in _shown(document, proven)["domain"])
    return {domain["name"] for domain in shown if domain["protected"]}


def _changes(stored: Mapping[str, Plain], wanted: Mapping[str, Plain], suspended: tuple[str, ...]) -> Changes:
    both = [name for name in wanted if name in stored]
    return Changes(
        added=tuple(name for name in wanted if name not in stored),
        changed=tuple(name for name in both if wanted[name] != stored[name]),
        removed=tuple(name for name in stored if name not in wanted),
        unchanged=tuple(name for name in both if wanted[name] == stored[name]),
        suspended=suspended,
    )


def _by_name(documents: Documents) -> dict[str, Document]:
    return {document["name"]: document for document in documents}


def tenant_list(config: Path) -> list[Plain]:
    """The stored tenants; of the loop values only how many there are. Raises ConfigProblems, StoreFailed."""
    with opened(load(config)) as store:
        documents = tenants.load(store)[1]
        proven = verifications.proven(store)
    return [_shown(document, proven) for document in documents]


def tenant_show(config: Path, name: str) -> Plain:
    """One tenant, with the records that prove its domains, and its rotation if there is one.

    Raises ConfigProblems, NotFound, StoreFailed.
    """
    settings = load(config)
    with opened(settings) as store:
        tenant = tenancy.found(tenants.load(store)[1], name)
        rows = verifications.load(store, name)
        state = rotation.look(store, tenant)
    proven = {(row.tenant, row.domain) for row in rows if row.state in PROVEN}
    shown = _shown(tenant.model_dump(mode="json"), proven)
    records = [_plain_row(settings, row) for row in rows]
    return shown | {"records": records, "rotation": state and _plain_rotation(state)}


def tenant_add(config: Path, name: str, values: Mapping[str, Any]) -> Plain:
    """Store a new tenant with a random loop value. Raises ConfigProblems, Unusable, StoreFailed."""
    return _changed(config, name, lambda documents, known: tenancy.added(documents, known, name, values))


def tenant_set(config: Path, name: str, pairs: Mapping[str, str]) -> Plain:
    """Set values of a tenant, by key, as one types them. Raises ConfigProblems, NotFound, Unusable, StoreFailed."""
    return _changed(config, name, lambda documents, known: tenancy.changed(documents, known, name, pairs))


def tenant_remove(config: Path, name: str) -> None:
    """Forget a tenant: mail for its domains is refused from then on. Raises ConfigProblems, NotFound, StoreFailed."""
    settings = load(config)
    with opened(settings) as store:
        _edit(store, settings, lambda documents, _: tenancy.removed(documents, name))


def tenant_rotate(config: Path, name: str) -> Plain:
    """Give the tenant a new loop value beside its old one. Raises ConfigProblems, NotFound, Unusable, StoreFailed."""
    return _changed(
        config,
        name,
        lambda documents, known: tenancy.with_new_value(documents, known, name),
        lambda connection: rotations.begin(connection, name, time.time()),
    )


def tenant_rotate_end(config: Path, name: str, *, force: bool) -> Plain:
    """Take the tenant's old loop value away. Raises ConfigProblems, NotFound, StoreFailed, and Unusable when it was
    seen lately, or the new one never, unless `force` is given.
    """
    settings = load(config)
    with opened(settings) as store:
        tenant = tenancy.found(tenants.load(store)[1], name)
        rotation.end(store, tenant, 0 if force else settings.onboarding.old_value_days, time.time())
    return tenant_show(config, name)


def domain_add(config: Path, name: str, domain: str, next_hop: str, *, vouched: bool = False) -> Plain:
    """Give the tenant a domain with that next hop, whatever it is: `domains.domain_add` looks at it first. The domain,
    as `domain_list` has it.

    Raises ConfigProblems, NotFound, Unusable, StoreFailed.
    """
    document = {"name": domain, "next_hop": next_hop, "verified": vouched}
    _changed(config, name, lambda documents, known: tenancy.with_domain(documents, known, name, document))
    return _listed(config, name, domain)


def domain_set(config: Path, name: str, domain: str, *, next_hop: str | None, vouched: bool | None) -> Plain:
    """Change what is not None of a domain, to whatever it is: `domains.domain_set` looks at it first. The domain, as
    `domain_list` has it: one that is not vouched for any more is not protected until its records are seen.

    Raises ConfigProblems, NotFound, Unusable, StoreFailed.
    """
    given = {"next_hop": next_hop, "verified": vouched}
    values = {key: value for key, value in given.items() if value is not None}
    _changed(config, name, lambda documents, known: tenancy.with_changed_domain(documents, known, name, domain, values))
    return _listed(config, name, domain)


def _listed(config: Path, name: str, domain: str) -> Plain:
    """The domain after a change; others may have been added or removed since, and this one too."""
    found = [one for one in domain_list(config, name) if one["domain"] == a_label(domain)]
    if not found:
        raise NotFound(f"{name} has no domain {domain[:255]!a} any more")
    return found[0]


def domain_remove(config: Path, name: str, domain: str) -> None:
    """Take a domain from its tenant: mail for it is refused from then on.

    Raises ConfigProblems, NotFound, StoreFailed.
    """
    _changed(config, name, lambda documents, known: tenancy.without_domain(documents, known, name, domain))


def domain_list(config: Path, name: str | None = None) -> list[Plain]:
    """All domains with what proves them: tenant, domain, next hop, `protected`, and `records`.

    Raises ConfigProblems, NotFound, StoreFailed.
    """
    settings = load(config)
    with opened(settings) as store:
        documents = tenants.load(store)[1]
        rows = verifications.load(store, name)
    if name is not None:
        documents = [tenancy.found(documents, name).model_dump(mode="json")]
    own: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        own.setdefault((row.tenant, row.domain), []).append(row)
    return [
        _domain(settings, document["name"], one, own.get((document["name"], one["name"]), []))
        for document in documents
        for one in document["domain"]
    ]


def _domain(settings: Settings, tenant: str, domain: Document, own: Sequence[Row]) -> Plain:
    return {
        "tenant": tenant,
        "domain": domain["name"],
        "next_hop": domain["next_hop"],
        "vouched": domain["verified"],
        "protected": domain["verified"] or any(row.state in PROVEN for row in own),
        "records": [_plain_row(settings, row) for row in own],
    }


def _changed(config: Path, name: str, change: Change, besides: Callable[[Connection], None] = lambda _: None) -> Plain:
    settings = load(config)
    with opened(settings) as store:
        _edit(store, settings, change, besides)
    return tenant_show(config, name)


def _edit(
    store: Store, settings: Settings, change: Change, besides: Callable[[Connection], None] = lambda _: None
) -> tuple[Documents, Documents]:
    known = environments(settings.environments)

    def depending(connection: Connection, documents: Documents) -> None:
        verifications.keep(store, connection, tenancy.wanted(documents, known, time.time()))
        besides(connection)

    return tenants.edit(store, lambda documents: change(_full(documents), known), depending)


def _full(documents: Documents) -> Documents:
    """The documents as this version writes them: an earlier one may have known fewer keys."""
    return [Tenant.model_validate(document).model_dump(mode="json") for document in documents]


def _shown(document: Document, proven: Collection[tuple[str, str]]) -> Plain:
    domains = [
        domain | {"protected": domain["verified"] or (document["name"], domain["name"]) in proven}
        for domain in document["domain"]
    ]
    return document | {"loop_values": len(document["loop_values"]), "domain": domains}


def _plain_row(settings: Settings, row: Row) -> Plain:
    times = {name: iso(at) if (at := getattr(row, name)) else None for name in ("added", "changed", "checked", "seen")}
    name = f"{settings.onboarding.txt_label}.{row.domain}"
    said = {key: getattr(row, key) for key in ("domain", "region", "state", "value", "problem")}
    return said | {"name": name} | times


def _plain_rotation(state: rotation.Rotation) -> Plain:
    return {
        "started": iso(state.started),
        "old_seen": "never" if state.old_seen is None else iso(state.old_seen),
        "new_seen": "never" if state.new_seen is None else iso(state.new_seen),
    }

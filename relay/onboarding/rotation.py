"""Rotation of a tenant's loop value: the new one is the first, the old one is valid beside it until nobody uses it."""

from dataclasses import dataclass

import structlog

from relay.errors import NotFound, Unusable
from relay.onboarding import tenancy
from relay.records import queries, rotations, tenants
from relay.records.store import Store
from relay.tenants.model import Tenant
from relay.tenants.proof import OK, OLD_VALUE

log = structlog.get_logger("onboarding")

_DAY = 86_400


@dataclass(frozen=True, slots=True)
class Rotation:
    """One that goes on; times are seconds since the epoch."""

    started: float
    old_seen: float | None
    """When the last message with an old value came, since it began; None for never."""
    new_seen: float | None


def look(store: Store, tenant: Tenant) -> Rotation | None:
    """The tenant's rotation; None when none goes on. Blocks; raises StoreFailed."""
    started = rotations.started(store).get(tenant.name)
    if started is None or len(tenant.loop_values) < 2:
        return None
    old, new = (queries.last_proved(store, tenant.name, proof, started) for proof in (OLD_VALUE, OK))
    return Rotation(started, old, new)


def why_not(rotation: Rotation | None, days: float, now: float) -> str | None:
    """Why the old value cannot go yet; None when it can.

    It goes when nobody has used it for `days`, and the new one is in use: a tenant that had no mail meanwhile has
    perhaps not been told of the new one.
    """
    if rotation is None:
        return "no rotation goes on"
    if rotation.new_seen is None:
        return "no message with the new value has come yet"
    if now - max(rotation.started, rotation.old_seen or 0) < days * _DAY:
        return f"the old value was valid or in use less than {days:g} days ago"
    return None


def end(store: Store, tenant: Tenant, days: float, now: float) -> None:
    """Take the old values away; `days` of 0: whatever was seen. Blocks; raises StoreFailed, NotFound, and Unusable also
    when the tenant has other values than `tenant` by now: of those nobody has looked which is in use.
    """
    going = look(store, tenant)
    reason = why_not(going, days, now) if days else None
    if reason and going is None and len(tenant.loop_values) > 1:
        reason = "its old value is a tenant file's: take it out there, or take it away with --end --force"
    if reason:
        raise Unusable(f"{tenant.name}: {reason}")
    tenants.edit(
        store,
        lambda documents: tenancy.with_one_value(documents, tenant.name, tenant.loop_values),
        lambda connection, _: rotations.end(connection, tenant.name),
    )


def end_unused(store: Store, days: float, now: float) -> None:
    """End all rotations whose old value nobody uses any more. Blocks; raises StoreFailed."""
    going = rotations.started(store)
    if not going:
        return
    for document in tenants.load(store)[1]:
        if document["name"] in going:
            tenant = Tenant.model_validate(document)
            if why_not(look(store, tenant), days, now) is None:
                _end_by_itself(store, tenant, days, now)


def _end_by_itself(store: Store, tenant: Tenant, days: float, now: float) -> None:
    try:
        end(store, tenant, days, now)
    except (Unusable, NotFound) as error:
        log.warning("old loop value stays", tenant=tenant.name, problem=str(error))
    else:
        log.info("old loop value ended", tenant=tenant.name)

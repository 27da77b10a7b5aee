"""What tenants were told, and whether they can be told."""

import asyncio
from pathlib import Path

from config.load import load
from relay.control.common import Plain, Unusable, iso, opened
from relay.onboarding import tenancy
from relay.records import notices, tenants, verifications


def tenant_notices(config: Path, name: str) -> list[Plain]:
    """When the tenant was told last, by way, kind and subject, and how many messages were counted since and not told.

    Raises ConfigProblems, NotFound, StoreFailed.
    """
    with opened(load(config)) as store:
        tenancy.found(tenants.load(store)[1], name)
        rows = notices.load(store, name)
    return [_plain(row) for row in rows]


def _plain(row: notices.Row) -> Plain:
    way, _, kind = row.kind.partition(" ")
    return {
        "way": way,
        "kind": kind,
        "subject": row.subject,
        "sent": iso(row.sent) if row.sent else None,
        "held": row.held,
    }


def tenant_notice_test(config: Path, name: str) -> list[Plain]:
    """Send a test notice by every way: `way`, `result` ("sent", "postponed" or "dropped") and `detail` of each.

    Raises ConfigProblems, ConfigurationError, NotFound, Unusable when there is no way at all, StoreFailed.
    """
    from relay.assembly import notices as assembly_notices  # noqa: PLC0415 - the whole relay, and few commands need it

    settings = load(config)
    with opened(settings) as store:
        tenant = tenancy.found(tenants.load(store)[1], name)
        proofs = verifications.load(store, name)
        said = asyncio.run(assembly_notices.test(settings, store, tenant, proofs))
    if not said:
        raise Unusable("nothing is sent: [notices] has neither sender nor webhook")
    return [{"way": way, "result": sent.result, "detail": sent.detail} for way, sent in said.items()]

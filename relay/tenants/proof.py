"""Proof that a message came through its tenant's own rule: Microsoft's addresses are shared by all its customers.

The rule of the tenant sets a secret loop value in X-PERCEPTION-POINT-CUSTOM. X-MS-Exchange-CrossTenant-Id and
X-OriginatorOrg are set by Exchange Online, but not always; so they prove nothing when they are right or absent, and
disprove when they are wrong. What a missing proof leads to is told by `Tenant.proof`, and is not decided here.
"""

import hmac
from collections.abc import Collection, Sequence
from itertools import islice
from typing import NamedTuple

from relay.tenants.model import Tenant
from relay.tenants.names import a_label
from verdicts.fields import Fields

LOOP = "X-PERCEPTION-POINT-CUSTOM"
TENANT_ID = "X-MS-Exchange-CrossTenant-Id"
ORIGINATOR = "X-OriginatorOrg"

_MOST = 50
"""Fields of one name that are read. Of the loop value the others do not count; more of an identity contradict it."""


class Proof(NamedTuple):
    """Whether the message is this tenant's. It carries no value of any field."""

    ok: bool
    """A right loop value, and nothing that contradicts it."""
    present: bool
    """Whether a right loop value was there, contradicted or not."""
    told: str = "ok"
    """What records say of it: "ok", "ok, old value" when it is not the tenant's first value, or why it is not ok: "no
    loop value", "wrong loop value", "other tenant id" or "other originator"."""


OK, OLD_VALUE = "ok", "ok, old value"
_PROVED = Proof(ok=True, present=True, told=OK)
_PROVED_BY_OLD = Proof(ok=True, present=True, told=OLD_VALUE)
_NO_VALUE = Proof(ok=False, present=False, told="no loop value")
_WRONG_VALUE = Proof(ok=False, present=False, told="wrong loop value")
_OTHER_ID = Proof(ok=False, present=True, told="other tenant id")
_OTHER_ORIGINATOR = Proof(ok=False, present=True, told="other originator")


def prove(fields: Fields, tenant: Tenant) -> Proof:
    """Whether `fields` prove that the message came through the rule of `tenant`."""
    values = list(islice(fields.texts(LOOP), _MOST))
    if not values:
        return _NO_VALUE
    found = _equal(values, tenant.loop_values)
    if not any(found):
        return _WRONG_VALUE
    if tenant.microsoft_tenant_id and not _all_among(fields, TENANT_ID, (tenant.microsoft_tenant_id,)):
        return _OTHER_ID
    if tenant.originator_domains and not _all_among(fields, ORIGINATOR, tenant.originator_domains):
        return _OTHER_ORIGINATOR
    return _PROVED if found[0] else _PROVED_BY_OLD


def _equal(values: Collection[str], secrets: Sequence[str]) -> list[bool]:
    """Of each secret whether a value is it.

    All pairs are compared, each in constant time: the time taken tells neither which secret was right nor how much.
    """
    given = [value.encode() for value in values]
    return [sum(hmac.compare_digest(value, secret.encode()) for value in given) > 0 for secret in secrets]


def _all_among(fields: Fields, name: str, right: Collection[str]) -> bool:
    values = list(islice(fields.texts(name), _MOST + 1))
    return not values or (len(values) <= _MOST and all(_normal(value) in right for value in values))


def _normal(value: str) -> str:
    """A GUID or a domain as the model stores it; what is neither stays as it is and equals nothing."""
    try:
        return a_label(value)
    except ValueError:
        return value

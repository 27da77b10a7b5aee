"""Proof that a message came through its tenant's own rule: Microsoft's addresses are shared by all its customers.

The rule of the tenant sets a secret loop value in X-PERCEPTION-POINT-CUSTOM. X-MS-Exchange-CrossTenant-Id and
X-OriginatorOrg are set by Exchange Online, but not always; so they prove nothing when they are right or absent, and
disprove when they are wrong. What a missing proof leads to is told by `Tenant.proof`, and is not decided here.
"""

import hmac
from collections.abc import Collection
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
    reason: str = ""
    """Why it is not ok: "no loop value", "wrong loop value", "other tenant id" or "other originator"."""


_PROVED = Proof(ok=True, present=True)
_NO_VALUE = Proof(ok=False, present=False, reason="no loop value")
_WRONG_VALUE = Proof(ok=False, present=False, reason="wrong loop value")
_OTHER_ID = Proof(ok=False, present=True, reason="other tenant id")
_OTHER_ORIGINATOR = Proof(ok=False, present=True, reason="other originator")


def prove(fields: Fields, tenant: Tenant) -> Proof:
    """Whether `fields` prove that the message came through the rule of `tenant`."""
    values = list(islice(fields.texts(LOOP), _MOST))
    if not values:
        return _NO_VALUE
    if not _any_equal(values, tenant.loop_values):
        return _WRONG_VALUE
    if tenant.microsoft_tenant_id and not _all_among(fields, TENANT_ID, (tenant.microsoft_tenant_id,)):
        return _OTHER_ID
    if tenant.originator_domains and not _all_among(fields, ORIGINATOR, tenant.originator_domains):
        return _OTHER_ORIGINATOR
    return _PROVED


def _any_equal(values: Collection[str], secrets: Collection[str]) -> bool:
    """Whether a value is one of the secrets.

    All pairs are compared, each in constant time: the time taken tells neither which secret was right nor how much.
    """
    found = False
    for value in values:
        given = value.encode()
        for secret in secrets:
            found |= hmac.compare_digest(given, secret.encode())
    return found


def _all_among(fields: Fields, name: str, right: Collection[str]) -> bool:
    values = list(islice(fields.texts(name), _MOST + 1))
    return not values or (len(values) <= _MOST and all(_normal(value) in right for value in values))


def _normal(value: str) -> str:
    """A GUID or a domain as the model stores it; what is neither stays as it is and equals nothing."""
    try:
        return a_label(value)
    except ValueError:
        return value

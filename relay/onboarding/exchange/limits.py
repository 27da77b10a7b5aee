"""What Exchange Online does not take, told before anything is made.

Limits: https://learn.microsoft.com/office365/servicedescriptions/exchange-online-service-description/exchange-online-limits
and the pages of the cmdlets.
"""

import math
import re
from collections.abc import Iterable, Sequence

from relay.onboarding.exchange.plan import Form, Kind, Plan, Step
from relay.tenants.model import Tenant

LONGEST_NAME = 64
RULE_SIZE = 8 * 1024
PATTERNS_SIZE = 20 * 1024
MOST_ADDRESSES = 1273
MOST_SPOOF_ITEMS = 1024
SECRET_BITS = 128
_WORD = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._~+/=-]*[A-Za-z0-9=])?")
"""A loop value that Exchange finds as a word; how it cuts words at other characters is not documented."""
_PER_PROPERTY = 8
"""Characters that a property costs in a rule beside its name and value: a guess, rather too big."""


def of_tenant(tenant: Tenant, domains: Sequence[str]) -> Iterable[str]:
    """What of the tenant makes its plan impossible."""
    if not domains:
        yield f"{tenant.name} has no protected domain, and its mail would not be taken: see sluice domain list"
    for value in tenant.loop_values:
        if not _WORD.fullmatch(value):
            yield f"{tenant.name}: a loop value has characters at which Exchange may cut it: sluice tenant rotate"
        elif bits(value) < SECRET_BITS:
            yield f"{tenant.name}: a loop value has less than {SECRET_BITS} random bits: sluice tenant rotate"
    for address in tenant.scope.users:
        if domains and address.rpartition("@")[2] not in domains:
            yield f"{tenant.name}: {address} is in no protected domain"


def bits(value: str) -> float:
    """How many bits a random value of these characters has at most: less than that is guessed easily."""
    kinds = (("[0-9]", 10), ("[a-f]", 6), ("[g-z]", 20), ("[A-F]", 6), ("[G-Z]", 20), ("[^0-9A-Za-z]", 6))
    alphabet = sum(size for pattern, size in kinds if re.search(pattern, value))
    distinct = len(set(value))
    return min(len(value), 4 * distinct) * math.log2(min(alphabet, 4 * distinct))


def of_plan(plan: Plan) -> Iterable[str]:
    """What of the plan is more than Exchange takes."""
    for step in plan.steps:
        if len(step.name) > LONGEST_NAME:
            yield f"{step.name}: a name has {LONGEST_NAME} characters at most"
        if step.kind is Kind.RULE and not step.absent and size(step) > RULE_SIZE:
            yield (
                f"{step.name}: {size(step)} characters, and Exchange takes {RULE_SIZE} in a rule: protect members "
                "of a group instead: a dynamic one has everybody"
            )
    yield from _too_many(plan, Kind.ADDRESSES, MOST_ADDRESSES, "addresses in the IP allow list")
    yield from _too_many(plan, Kind.SPOOF, MOST_SPOOF_ITEMS // 2, "senders that may spoof")
    written = sum(len(text) for step in plan.steps for text in _patterns(step))
    if written > PATTERNS_SIZE:
        yield f"the rules have patterns of {written} characters, and Exchange takes {PATTERNS_SIZE} in all"


def size(step: Step) -> int:
    """About how many characters a rule has."""
    return len(step.name) + sum(
        len(one.name) + _PER_PROPERTY + sum(len(text) + 1 for text in one.texts) for one in step.properties
    )


def _too_many(plan: Plan, kind: Kind, most: int, what: str) -> Iterable[str]:
    for step in plan.of(kind):
        count = sum(len(one.texts) for one in step.properties)
        if count > most:
            yield f"{count} {what}, and Exchange takes {most}"


def _patterns(step: Step) -> Iterable[str]:
    for one in step.properties:
        if one.name.endswith("MatchesPatterns") and one.form is Form.EXACT:
            yield from one.texts

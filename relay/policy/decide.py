"""From a judgement and a policy to a decision: a table and three small functions, without I/O.

By severity: NOTE is clean, SUSPICIOUS suspicious, SPAM spam, MALICIOUS malicious. By weight: the most severe threshold
that the sum reaches. The worse of the two counts, severity first. Then:

    findings say    all engines answered    some did not
    malicious       malicious               malicious
    spam            spam                    the stricter action of unscanned and spam
    suspicious      suspicious              the stricter action of unscanned and suspicious
    clean           clean                   unscanned

The stricter action of two is the later one in STRICTNESS; of two that are equal, unscanned is the one named.
"""

import enum
import math
from dataclasses import dataclass

from relay.policy.model import Action, Policy
from verdicts.contract import Judgement, Severity

STRICTNESS = (Action.DELIVER, Action.MARK, Action.DEFER, Action.QUARANTINE, Action.REFUSE)
"""Deferring is stricter than a mark, for what is missing may turn out to be malicious; quarantine and refusal are
stricter than deferring, for whatever is missing could not lead to a milder end."""

_NAME_LIMIT = 80
"""Characters of an engine's or a finding's name in a rule."""
_WEIGHT_LIMIT = 1e9


class Category(enum.StrEnum):
    """What a message is held for."""

    CLEAN = "clean"
    SUSPICIOUS = "suspicious"
    SPAM = "spam"
    MALICIOUS = "malicious"
    UNSCANNED = "unscanned"


_BY_SEVERITY = {
    Severity.NOTE: Category.CLEAN,
    Severity.SUSPICIOUS: Category.SUSPICIOUS,
    Severity.SPAM: Category.SPAM,
    Severity.MALICIOUS: Category.MALICIOUS,
}
_SEVERITIES = {held: severity for severity, held in _BY_SEVERITY.items()}


@dataclass(frozen=True, slots=True)
class Decision:
    """What is done with a message, and why."""

    action: Action
    category: Category
    rule: str
    """The reason for people and records, for example "spam: severity of rspamd/GTUBE"; never for an SMTP reply."""
    would: Action | None = None
    """In observe mode the action that would have been taken; else None."""


@dataclass(frozen=True, slots=True)
class _Case:
    """One category that a message belongs to, and why."""

    category: Category
    rule: str


_NOTHING_FOUND = Decision(Action.DELIVER, Category.CLEAN, "clean: nothing found")
_NOTHING_OBSERVED = Decision(Action.DELIVER, Category.CLEAN, "clean: nothing found", would=Action.DELIVER)


def decide(judgement: Judgement, policy: Policy) -> Decision:
    """What `policy` says of a message with this judgement."""
    if not judgement.findings and not judgement.unanswered:  # most mail
        return _NOTHING_OBSERVED if policy.observe else _NOTHING_FOUND
    decisive = max(_cases(judgement, policy), key=lambda case: STRICTNESS.index(_action(case.category, policy)))
    action = _action(decisive.category, policy)
    rule = f"{decisive.category}: {decisive.rule}"
    if policy.observe:
        return Decision(Action.DELIVER, decisive.category, rule, would=action)
    return Decision(action, decisive.category, rule)


def category(judgement: Judgement, policy: Policy) -> Category:
    """The worst category that applies: malicious, unscanned, spam, suspicious, clean, in this order."""
    return _cases(judgement, policy)[0].category


def _action(held: Category, policy: Policy) -> Action:
    match held:
        case Category.MALICIOUS:
            return policy.malicious
        case Category.SPAM:
            return policy.spam
        case Category.SUSPICIOUS:
            return policy.suspicious
        case Category.UNSCANNED:
            return policy.unscanned
        case Category.CLEAN:
            return Action.DELIVER


def _cases(judgement: Judgement, policy: Policy) -> list[_Case]:
    """The categories that apply, worst first; max() takes the first of equals."""
    found = max(_by_severity(judgement), _by_weight(judgement, policy), key=lambda case: _SEVERITIES[case.category])
    if found.category is Category.MALICIOUS or not judgement.unanswered:
        return [found]
    missing = judgement.unanswered[0]
    unscanned = _Case(Category.UNSCANNED, f"{missing.engine[:_NAME_LIMIT]} {missing.outcome}")
    return [unscanned] if found.category is Category.CLEAN else [unscanned, found]


def _by_severity(judgement: Judgement) -> _Case:
    worst = judgement.severity
    if worst is Severity.NOTE:
        return _Case(Category.CLEAN, "nothing found")
    engine, name = next(
        (verdict.engine, finding.name)
        for verdict in judgement.verdicts
        for finding in verdict.findings
        if finding.severity == worst
    )
    return _Case(_BY_SEVERITY[worst], f"severity of {engine[:_NAME_LIMIT]}/{name[:_NAME_LIMIT]}")


def _by_weight(judgement: Judgement, policy: Policy) -> _Case:
    weight = _weight(judgement, policy)
    for held, threshold in (
        (Category.MALICIOUS, policy.malicious_weight),
        (Category.SPAM, policy.spam_weight),
        (Category.SUSPICIOUS, policy.suspicious_weight),
    ):
        if threshold is not None and weight >= threshold:
            return _Case(held, f"weight {weight:g} >= {threshold:g}")
    return _Case(Category.CLEAN, "nothing found")


def _weight(judgement: Judgement, policy: Policy) -> float:
    """The sum of all weights times their engines' factors.

    A weight that is not a finite number counts for nothing, and none for more than the limit: one engine's NaN or
    infinity must not switch off the thresholds for all.
    """
    return math.fsum(
        max(-_WEIGHT_LIMIT, min(finding.weight * policy.weights.get(verdict.engine, 1.0), _WEIGHT_LIMIT))
        for verdict in judgement.verdicts
        for finding in verdict.findings
        if math.isfinite(finding.weight)
    )

"""From a judgement and a policy to a decision: a table and some small functions, without I/O.

By severity: NOTE is clean, SUSPICIOUS suspicious, SPAM spam, MALICIOUS malicious. By weight: the most severe threshold
that the sum reaches. The worse of the two counts, severity first. Then:

    findings say    all engines answered    some did not
    malicious       malicious               malicious
    spam            spam                    the stricter action of unscanned and spam
    suspicious      suspicious              the stricter action of unscanned and suspicious
    clean           clean                   unscanned

A finding that allows (the tenant's own word, on mail that is proved to be whose it says) turns spam and suspicious into
clean before that, whether by severity or by weight. It changes nothing of malicious, and nothing of what is unscanned;
and it counts only of an engine that has answered.

The stricter action of two is the later one in STRICTNESS; of two that are equal, unscanned is the one named.

What a verdict is to this table is the operator's choice for its engine (`EngineOptions`, `Verdict.handling`):

    verdict                                 its findings    did it answer
    answered                                count           yes
    unscanned                               count           no
    failed, late                            (it has none)   no
    failed, late, and "defer" is chosen     (it has none)   no, and unscanned means defer, whatever the tenant says
    failed, late, and "ignore" is chosen    (it has none)   as if it had not been asked
    skipped                                 (it has none)   as if it had not been asked
    of a shadow engine, whatever it is      don't count     as if it had not been asked
"""

import enum
import math
from collections.abc import Sequence
from typing import NamedTuple

from relay.policy.model import Action, Policy
from verdicts.contract import Handling, Judgement, Outcome, Severity, Verdict

STRICTNESS = (Action.DELIVER, Action.MARK, Action.DEFER, Action.QUARANTINE, Action.REFUSE)
"""Deferring is stricter than a mark, for what is missing may turn out to be malicious; quarantine and refusal are
stricter than deferring, for whatever is missing could not lead to a milder end."""

_NAME_LIMIT = 80
"""Characters of an engine's or a finding's name in a rule."""
WEIGHT_LIMIT = 1e9
"""What one finding can add to the sum, or take from it, at most."""


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
_ALLOWABLE = (Category.SPAM, Category.SUSPICIOUS)
_SEVERITIES = {held: severity for severity, held in _BY_SEVERITY.items()}


class Decision(NamedTuple):
    """What is done with a message, and why."""

    action: Action
    category: Category
    rule: str
    """The reason for people and records, for example "spam: severity of rspamd/GTUBE"; never for an SMTP reply."""
    would: Action | None = None
    """In observe mode the action that would have been taken; else None."""


class _Case(NamedTuple):
    """One category that a message belongs to, and why."""

    category: Category
    rule: str
    defers: bool = False
    """Whether it is deferred, whatever the policy says of the category."""


_CLEAN = _Case(Category.CLEAN, "nothing found")
_DELIVERED = Decision(Action.DELIVER, Category.CLEAN, "clean: nothing found")
_OBSERVED = Decision(Action.DELIVER, Category.CLEAN, "clean: nothing found", would=Action.DELIVER)


def decide(judgement: Judgement, policy: Policy) -> Decision:
    """What `policy` says of a message with this judgement."""
    decisive, *others = _cases(judgement, policy)
    if decisive is _CLEAN:  # most mail
        return _OBSERVED if policy.observe else _DELIVERED
    action = _action(decisive, policy)
    for case in others:
        other = _action(case, policy)
        if STRICTNESS.index(other) > STRICTNESS.index(action):
            decisive, action = case, other
    rule = f"{decisive.category}: {decisive.rule}"
    if policy.observe:
        return Decision(Action.DELIVER, decisive.category, rule, would=action)
    return Decision(action, decisive.category, rule)


def category(judgement: Judgement, policy: Policy) -> Category:
    """The worst category that applies: malicious, unscanned, spam, suspicious, clean, in this order."""
    return _cases(judgement, policy)[0].category


def _action(case: _Case, policy: Policy) -> Action:
    if case.defers:
        return Action.DEFER
    match case.category:
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
    """The categories that apply, worst first."""
    verdicts = judgement.counted
    found, weighed = _by_severity(verdicts), _by_weight(verdicts, policy)
    if weighed is not _CLEAN and _SEVERITIES[weighed.category] > _SEVERITIES[found.category]:
        found = weighed
    if found.category in _ALLOWABLE:
        found = _allowed(verdicts, found)
    unanswered = judgement.unanswered
    if found.category is Category.MALICIOUS or not unanswered:
        return [found]
    unscanned = _missing(unanswered)
    return [unscanned] if found.category is Category.CLEAN else [unscanned, found]


def _allowed(verdicts: Sequence[Verdict], found: _Case) -> _Case:
    """What is left of spam or suspicious where a finding allows it."""
    for verdict in verdicts:
        for finding in verdict.findings:
            if finding.allows and verdict.outcome is Outcome.ANSWERED:
                name = f"{verdict.engine[:_NAME_LIMIT]}/{finding.name[:_NAME_LIMIT]}"
                return _Case(Category.CLEAN, f"{name} allows {found.category}, {found.rule}")
    return found


def _missing(unanswered: Sequence[Verdict]) -> _Case:
    """The first one that defers, else the first one."""
    missing = next((verdict for verdict in unanswered if verdict.handling is Handling.DEFERS), unanswered[0])
    rule = f"{missing.engine[:_NAME_LIMIT]} {missing.outcome}"
    if missing.handling is Handling.DEFERS:
        return _Case(Category.UNSCANNED, f"{rule}, which defers", defers=True)
    return _Case(Category.UNSCANNED, rule)


def _by_severity(verdicts: Sequence[Verdict]) -> _Case:
    worst, engine, name = Severity.NOTE, "", ""
    for verdict in verdicts:
        for finding in verdict.findings:
            if finding.severity > worst:
                worst, engine, name = finding.severity, verdict.engine, finding.name
    if worst is Severity.NOTE:
        return _CLEAN
    return _Case(_BY_SEVERITY[worst], f"severity of {engine[:_NAME_LIMIT]}/{name[:_NAME_LIMIT]}")


def _by_weight(verdicts: Sequence[Verdict], policy: Policy) -> _Case:
    malicious, spam, suspicious = policy.malicious_weight, policy.spam_weight, policy.suspicious_weight
    if malicious is None and spam is None and suspicious is None:
        return _CLEAN
    weight = _weight(verdicts, policy)
    for held, threshold in (
        (Category.MALICIOUS, malicious),
        (Category.SPAM, spam),
        (Category.SUSPICIOUS, suspicious),
    ):
        if threshold is not None and weight >= threshold:
            return _Case(held, f"weight {weight:g} >= {threshold:g}")
    return _CLEAN


def _weight(verdicts: Sequence[Verdict], policy: Policy) -> float:
    """The sum of all weights times their engines' factors.

    A weight that is not a finite number counts for nothing, and none for more than the limit: one engine's NaN or
    infinity must not switch off the thresholds for all.
    """
    weights: list[float] = []
    for verdict in verdicts:
        factor = policy.weights.get(verdict.engine, 1.0)
        for finding in verdict.findings:
            weight = finding.weight * factor
            if -WEIGHT_LIMIT <= weight <= WEIGHT_LIMIT:
                weights.append(weight)
            elif math.isfinite(finding.weight):
                weights.append(math.copysign(WEIGHT_LIMIT, weight))
    return math.fsum(weights)

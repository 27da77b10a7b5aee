import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.policy.decide import STRICTNESS, Category, Decision, category, decide
from relay.policy.model import ALLOWED, Action, Policy
from verdicts.contract import Finding, Handling, Judgement, Outcome, Severity, Verdict


def answered(*findings: Finding, engine: str = "rspamd") -> Verdict:
    return Verdict(engine, Outcome.ANSWERED, findings)


NOTE = answered(Finding("R_SPF_ALLOW"))
SUSPICIOUS = answered(Finding("ODD", Severity.SUSPICIOUS))
SPAM = answered(Finding("GTUBE", Severity.SPAM))
MALICIOUS = answered(Finding("Win.Test.EICAR_HDB-1", Severity.MALICIOUS), engine="clamav")
LATE = Verdict("links", Outcome.LATE, reason="deadline")
FAILED = Verdict("clamav", Outcome.FAILED, reason="refused")
UNSCANNED = Verdict("clamav", Outcome.UNSCANNED, reason="too large")
LATE_IGNORED = LATE._replace(handling=Handling.IGNORED)
LATE_DEFERS = LATE._replace(handling=Handling.DEFERS)
SKIPPED = Verdict("links", Outcome.SKIPPED, reason="not for this tenant")
SHADOW_MALICIOUS = MALICIOUS._replace(engine="new", handling=Handling.SHADOW)
SHADOW_FAILED = FAILED._replace(engine="new", handling=Handling.SHADOW)
UNSCANNED_SPAM = Verdict("clamav", Outcome.UNSCANNED, (Finding("Heuristic", Severity.SPAM),))
UNSCANNED_MALICIOUS = Verdict("clamav", Outcome.UNSCANNED, (Finding("Virus", Severity.MALICIOUS),))
LISTED = answered(Finding("LIST_ALLOW", allows=True), engine="lists")
UNSCANNED_LISTED = Verdict("lists", Outcome.UNSCANNED, LISTED.findings)


@pytest.mark.parametrize(
    ("verdicts", "action", "held", "rule"),
    [
        ((), "deliver", "clean", "clean: nothing found"),
        ((NOTE,), "deliver", "clean", "clean: nothing found"),
        ((NOTE, SUSPICIOUS), "deliver", "suspicious", "suspicious: severity of rspamd/ODD"),
        ((SUSPICIOUS, SPAM), "mark", "spam", "spam: severity of rspamd/GTUBE"),
        ((SPAM, MALICIOUS), "quarantine", "malicious", "malicious: severity of clamav/Win.Test.EICAR_HDB-1"),
        ((NOTE, LATE), "defer", "unscanned", "unscanned: links late"),
        ((FAILED,), "defer", "unscanned", "unscanned: clamav failed"),
        ((UNSCANNED, LATE), "defer", "unscanned", "unscanned: clamav unscanned"),
        ((SUSPICIOUS, LATE), "defer", "unscanned", "unscanned: links late"),
        ((SPAM, LATE), "defer", "unscanned", "unscanned: links late"),
        ((UNSCANNED_SPAM,), "defer", "unscanned", "unscanned: clamav unscanned"),
        ((FAILED, MALICIOUS, LATE), "quarantine", "malicious", "malicious: severity of clamav/Win.Test.EICAR_HDB-1"),
        ((UNSCANNED_MALICIOUS,), "quarantine", "malicious", "malicious: severity of clamav/Virus"),
        ((LISTED,), "deliver", "clean", "clean: nothing found"),
        ((SPAM, LISTED), "deliver", "clean", "clean: lists/LIST_ALLOW allows spam, severity of rspamd/GTUBE"),
        (
            (LISTED, SUSPICIOUS),
            "deliver",
            "clean",
            "clean: lists/LIST_ALLOW allows suspicious, severity of rspamd/ODD",
        ),
        ((SPAM, LISTED, MALICIOUS), "quarantine", "malicious", "malicious: severity of clamav/Win.Test.EICAR_HDB-1"),
        ((SPAM, LISTED, LATE), "defer", "unscanned", "unscanned: links late"),
        ((LISTED, FAILED), "defer", "unscanned", "unscanned: clamav failed"),
        ((SPAM, UNSCANNED_LISTED), "defer", "unscanned", "unscanned: lists unscanned"),
        ((NOTE, LATE_IGNORED, SKIPPED), "deliver", "clean", "clean: nothing found"),
        ((SPAM, LATE_IGNORED), "mark", "spam", "spam: severity of rspamd/GTUBE"),
        ((LATE_IGNORED, FAILED), "defer", "unscanned", "unscanned: clamav failed"),
        ((NOTE, LATE_DEFERS), "defer", "unscanned", "unscanned: links late, which defers"),
        ((FAILED, LATE_DEFERS), "defer", "unscanned", "unscanned: links late, which defers"),
        ((LATE_DEFERS, MALICIOUS), "quarantine", "malicious", "malicious: severity of clamav/Win.Test.EICAR_HDB-1"),
        ((SHADOW_MALICIOUS,), "deliver", "clean", "clean: nothing found"),
        ((SHADOW_FAILED, SHADOW_MALICIOUS, SUSPICIOUS), "deliver", "suspicious", "suspicious: severity of rspamd/ODD"),
    ],
)
def test_the_default_policy(verdicts, action, held, rule):
    assert decide(Judgement(verdicts), Policy()) == Decision(Action(action), Category(held), rule)


@pytest.mark.parametrize(
    ("spam", "unscanned", "action", "held"),
    [
        ("mark", "deliver", "mark", "spam"),
        ("mark", "mark", "mark", "unscanned"),
        ("mark", "defer", "defer", "unscanned"),
        ("mark", "quarantine", "quarantine", "unscanned"),
        ("deliver", "deliver", "deliver", "unscanned"),
        ("quarantine", "defer", "quarantine", "spam"),
        ("refuse", "defer", "refuse", "spam"),
        ("refuse", "quarantine", "refuse", "spam"),
    ],
)
def test_of_spam_and_unscanned_the_stricter_action_is_taken(spam, unscanned, action, held):
    decision = decide(Judgement((SPAM, LATE)), Policy(spam=spam, unscanned=unscanned))
    assert (decision.action, decision.category) == (Action(action), Category(held))


@pytest.mark.parametrize("unscanned", ["deliver", "mark", "quarantine", "defer"])
@pytest.mark.parametrize(
    ("found", "spam", "action"),
    [(NOTE, "mark", "defer"), (SPAM, "mark", "defer"), (SPAM, "quarantine", "quarantine"), (SPAM, "refuse", "refuse")],
)
def test_an_engine_defers_whatever_the_tenant_says_of_unscanned_mail(unscanned, found, spam, action):
    policy = Policy(unscanned=unscanned, spam=spam)
    assert decide(Judgement((found, LATE_DEFERS)), policy).action is Action(action)
    assert decide(Judgement((found, LATE_DEFERS)), policy.model_copy(update={"observe": True})).would is Action(action)


def test_a_shadow_engine_adds_no_weight():
    heavy = answered(Finding("a", weight=100))
    assert category(Judgement((heavy,)), Policy(spam_weight=6)) is Category.SPAM
    assert category(Judgement((heavy._replace(handling=Handling.SHADOW),)), Policy(spam_weight=6)) is Category.CLEAN


def test_a_suspicion_is_not_lost_when_unscanned_mail_is_delivered():
    policy = Policy(suspicious="quarantine", unscanned="deliver")
    assert decide(Judgement((SUSPICIOUS, LATE)), policy).action is Action.QUARANTINE


@pytest.mark.parametrize(
    ("weight", "held", "rule"),
    [
        (1.9, "clean", "clean: nothing found"),
        (2.0, "suspicious", "suspicious: weight 2 >= 2"),
        (6.0, "spam", "spam: weight 6 >= 6"),
        (7.5, "spam", "spam: weight 7.5 >= 6"),
        (15.0, "malicious", "malicious: weight 15 >= 15"),
    ],
)
def test_weights_are_held_against_thresholds(weight, held, rule):
    policy = Policy(suspicious_weight=2, spam_weight=6, malicious_weight=15)
    decision = decide(Judgement((answered(Finding("a", weight=weight - 1), Finding("b", weight=1)),)), policy)
    assert (decision.category, decision.rule) == (Category(held), rule)


def test_what_is_allowed_is_clean_whatever_it_weighs_until_that_is_malicious():
    heavy = answered(Finding("a", weight=7))
    assert category(Judgement((heavy, LISTED)), Policy(spam_weight=6)) is Category.CLEAN
    assert category(Judgement((heavy, LISTED)), Policy(malicious_weight=6)) is Category.MALICIOUS


def test_an_allowed_message_is_not_held_for_spam_when_unscanned_mail_is_delivered():
    policy = Policy(spam="refuse", unscanned="mark")
    assert decide(Judgement((SPAM, LISTED, LATE)), policy).action is Action.MARK
    assert decide(Judgement((SPAM, UNSCANNED_LISTED)), policy).action is Action.REFUSE


def test_observing_tells_that_an_allowed_message_would_have_been_delivered():
    assert decide(Judgement((SPAM, LISTED)), Policy(observe=True)).would is Action.DELIVER


def test_weights_of_all_engines_add_up_and_may_be_negative():
    verdicts = (answered(Finding("a", weight=4)), answered(Finding("b", weight=4), engine="x"))
    ham = answered(Finding("ham", weight=-3), engine="y")
    assert category(Judgement(verdicts), Policy(spam_weight=6)) is Category.SPAM
    assert category(Judgement((*verdicts, ham)), Policy(spam_weight=6)) is Category.CLEAN


def test_an_engines_factor_changes_its_weights_and_not_its_severities():
    policy = Policy(spam_weight=6, weights={"rspamd": 0})
    assert category(Judgement((answered(Finding("a", weight=100)),)), policy) is Category.CLEAN
    assert category(Judgement((SPAM,)), policy) is Category.SPAM
    assert category(Judgement((answered(Finding("a", weight=3)),)), Policy(spam_weight=6, weights={"rspamd": 2})) is (
        Category.SPAM
    )


def test_no_weight_counts_without_a_threshold():
    assert category(Judgement((answered(Finding("a", weight=1e300)),)), Policy()) is Category.CLEAN


def test_severity_is_named_where_weight_says_the_same():
    spam = answered(Finding("GTUBE", Severity.SPAM, weight=20))
    assert decide(Judgement((spam,)), Policy(spam_weight=6)).rule == "spam: severity of rspamd/GTUBE"
    assert decide(Judgement((spam,)), Policy(malicious_weight=20)).rule == "malicious: weight 20 >= 20"


@pytest.mark.parametrize("bad", [math.nan, -math.inf, math.inf, -1e308])
def test_a_weight_that_is_no_number_does_not_switch_off_the_thresholds(bad):
    verdicts = [answered(Finding("a", weight=7)), answered(*[Finding("b", weight=bad)] * 3, engine="x")]
    policy = Policy(spam_weight=6, weights={"x": 1e300})
    assert category(Judgement(tuple(verdicts)), policy) is (Category.CLEAN if bad == -1e308 else Category.SPAM)


@pytest.mark.parametrize(("verdict", "would"), [(NOTE, "deliver"), (SPAM, "mark"), (MALICIOUS, "quarantine")])
def test_observing_delivers_and_tells_what_would_have_been_done(verdict, would):
    decision = decide(Judgement((verdict,)), Policy(observe=True))
    assert (decision.action, decision.would) == (Action.DELIVER, Action(would))
    assert decision.category is decide(Judgement((verdict,)), Policy()).category


def test_a_rule_has_no_endless_names():
    long = Verdict("e" * 500, Outcome.ANSWERED, (Finding("f" * 500, Severity.SPAM),))
    assert len(decide(Judgement((long,)), Policy()).rule) < 200


findings = st.builds(Finding, st.text(max_size=5), st.sampled_from(Severity), st.floats(), st.just(""), st.booleans())
verdicts = st.builds(
    Verdict,
    st.sampled_from(["a", "b"]),
    st.sampled_from(Outcome),
    st.lists(findings, max_size=3).map(tuple),
    handling=st.sampled_from(Handling),
)


def worst(judgement):
    counted = [one for one in judgement.verdicts if one.handling in ("counts", "defers")]
    return max((finding.severity for one in counted for finding in one.findings), default=Severity.NOTE)


policies = st.builds(
    lambda actions, weight, observe: Policy(**actions, spam_weight=weight, observe=observe),
    st.fixed_dictionaries({name: st.sampled_from(sorted(allowed)) for name, (allowed, _) in ALLOWED.items()}),
    st.none() | st.floats(0.1, 100),
    st.booleans(),
)
thresholds = st.none() | st.floats(0.1, 100)
weighing_policies = st.builds(
    lambda policy, changes: policy.model_copy(update=changes),
    policies,
    st.fixed_dictionaries(
        {
            "suspicious_weight": thresholds,
            "malicious_weight": thresholds,
            "weights": st.sampled_from([{}, {"a": 0.0}, {"a": 2.5}, {"a": 1e300}]),
        }
    ),
)


def allowed(judgement: Judgement) -> str:
    """The finding that allows."""
    names = [
        f"{verdict.engine}/{finding.name}"
        for verdict in judgement.verdicts
        if verdict.handling in ("counts", "defers")
        for finding in verdict.findings
        if finding.allows and verdict.outcome is Outcome.ANSWERED
    ]
    return names[0] if names else ""


@given(st.lists(verdicts, max_size=4), policies)
def test_nothing_fails_open(given_verdicts, policy):
    judgement = Judgement(tuple(given_verdicts))
    decision = decide(judgement, policy)
    action = decision.would if policy.observe else decision.action
    if worst(judgement) is Severity.MALICIOUS:
        assert action is policy.malicious
    else:
        defers = [one for one in judgement.unanswered if one.handling is Handling.DEFERS]
        needed = [Action.DEFER if defers else policy.unscanned] if judgement.unanswered else []
        needed += [policy.spam] if worst(judgement) is Severity.SPAM and not allowed(judgement) else []
        assert all(STRICTNESS.index(action) >= STRICTNESS.index(other) for other in needed)


def decided_naively(judgement: Judgement, policy: Policy) -> Decision:
    """The table of the module, read line by line."""
    order = ["clean", "suspicious", "spam", "malicious"]
    found = [(0, "nothing found")]
    counted = [one for one in judgement.verdicts if one.handling in ("counts", "defers")]
    for verdict in counted:
        for finding in verdict.findings:
            if finding.severity > max(found)[0]:
                found.append((int(finding.severity), f"severity of {verdict.engine[:80]}/{finding.name[:80]}"))
    weight = math.fsum(
        max(-1e9, min(finding.weight * policy.weights.get(verdict.engine, 1.0), 1e9))
        for verdict in counted
        for finding in verdict.findings
        if math.isfinite(finding.weight)
    )
    for level in (3, 2, 1):
        threshold = getattr(policy, f"{order[level]}_weight")
        if threshold is not None and weight >= threshold and level > max(found)[0]:
            found.append((level, f"weight {weight:g} >= {threshold:g}"))
    level, rule = found[-1]
    if level in {1, 2} and allowed(judgement):
        level, rule = 0, f"{allowed(judgement)} allows {order[level]}, {rule}"
    cases = [(order[level], rule)]
    silent = [one for one in counted if one.outcome in ("unscanned", "failed", "late")]
    deferring = [one for one in silent if one.handling == "defers"]
    if silent and level < 3:
        missing = [*deferring, *silent][0]
        rule = f"{missing.engine[:80]} {missing.outcome}" + (", which defers" if deferring else "")
        cases = [("unscanned", rule), *(cases if level else [])]
    actions = [Action.DELIVER if name == "clean" else getattr(policy, name) for name, _ in cases]
    if deferring and level < 3:
        actions[0] = Action.DEFER
    at = actions.index(max(actions, key=STRICTNESS.index))
    decision = Decision(actions[at], Category(cases[at][0]), ": ".join(cases[at]))
    return decision._replace(action=Action.DELIVER, would=actions[at]) if policy.observe else decision


@given(st.lists(verdicts, max_size=4), weighing_policies)
def test_a_decision_is_what_the_table_says(given_verdicts, policy):
    judgement = Judgement(tuple(given_verdicts))
    assert decide(judgement, policy) == decided_naively(judgement, policy)


def test_every_action_has_its_strictness():
    assert sorted(STRICTNESS) == sorted(Action)


def test_the_worst_category_comes_first():
    for order in itertools.permutations([SUSPICIOUS, SPAM, LATE, MALICIOUS]):
        assert category(Judgement(order), Policy()) is Category.MALICIOUS
    assert category(Judgement((SPAM, LATE)), Policy(spam="refuse")) is Category.UNSCANNED

"""Which finding of which engine led to what, by which setting."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.evidence import explanation, plain
from relay.policy.decide import decide
from relay.policy.model import Policy
from verdicts.contract import Finding, Handling, Judgement, Outcome, Severity, Verdict


def answered(*findings, engine="rspamd", **more):
    return Verdict(engine, Outcome.ANSWERED, findings, **more)


CLEAN = answered(Finding("R_SPF_ALLOW", weight=-1.0))
SPAM = answered(Finding("GTUBE", Severity.SPAM, 5.0, "pattern"), Finding("NOTE", weight=3.0))
MALICIOUS = answered(Finding("EICAR", Severity.MALICIOUS), engine="clamav")
LATE = Verdict("links", Outcome.LATE, reason="no answer within 2 seconds")
FAILED = Verdict("clamav", Outcome.FAILED, reason="OSError")


def explained(policy, *verdicts):
    decision = decide(Judgement(verdicts), policy)
    return explanation(
        {
            "tenant": "acme",
            "category": str(decision.category),
            "would": decision.would,
            "rule": decision.rule,
            "verdicts": plain(verdicts, policy.weights),
        }
    )


@pytest.mark.parametrize(
    ("policy", "verdicts", "settings", "because"),
    [
        ({}, [CLEAN], [], []),
        ({}, [SPAM], ["policy.spam"], [("rspamd", "GTUBE")]),
        ({}, [SPAM, MALICIOUS], ["policy.malicious"], [("clamav", "EICAR")]),
        ({}, [SPAM, MALICIOUS._replace(handling=Handling.SHADOW)], ["policy.spam"], [("rspamd", "GTUBE")]),
        ({}, [LATE, FAILED], ["policy.unscanned"], [("links", ""), ("clamav", "")]),
        ({}, [LATE, FAILED._replace(handling=Handling.IGNORED)], ["policy.unscanned"], [("links", "")]),
        ({}, [LATE._replace(handling=Handling.DEFERS), FAILED], ["engines.links.on_late"], [("links", "")]),
        ({}, [FAILED._replace(handling=Handling.DEFERS)], ["engines.clamav.on_failure"], [("clamav", "")]),
        ({"observe": True}, [SPAM], ["policy.spam", "policy.observe"], [("rspamd", "GTUBE")]),
        (
            {"malicious_weight": 7},
            [SPAM, CLEAN],
            ["policy.malicious_weight", "policy.malicious"],
            [("rspamd", "GTUBE"), ("rspamd", "NOTE"), ("rspamd", "R_SPF_ALLOW")],
        ),
    ],
)
def test_what_led_to_it(policy, verdicts, settings, because):
    told = explained(Policy(**policy), *verdicts)
    assert (told["tenant"], told["settings"]) == ("acme", settings)
    assert [(one["engine"], one["finding"]) for one in told["because"]] == because


@given(
    st.lists(
        st.builds(
            Verdict,
            st.sampled_from(["a", "b"]),
            st.sampled_from(Outcome),
            st.lists(
                st.builds(Finding, st.just("F"), st.sampled_from(Severity), st.floats(allow_nan=False, width=32)),
                max_size=3,
            ).map(tuple),
            handling=st.sampled_from(Handling),
        ),
        max_size=4,
    ),
    st.sampled_from(
        [{}, {"spam_weight": 3.0}, {"suspicious_weight": 1.0, "weights": {"a": 1e300}}, {"spam": "refuse"}]
    ),
)
def test_whatever_is_not_clean_has_its_reasons(verdicts, policy):
    told = explained(Policy(**policy), *verdicts)
    category = decide(Judgement(tuple(verdicts)), Policy(**policy)).category
    assert bool(told["because"]) == bool(told["settings"]) == (category != "clean")
    json.dumps(told, allow_nan=False)


def test_weights_are_told_as_they_were_added_up():
    told = explained(Policy(spam_weight=5, weights={"rspamd": 2.0}), answered(Finding("A", weight=3.0)))
    assert told["because"] == [
        {"engine": "rspamd", "outcome": "answered", "finding": "A", "severity": "note", "weight": 6.0, "detail": ""}
    ]


def test_silence_is_told_with_its_reason():
    (one,) = explained(Policy(), LATE)["because"]
    assert (one["outcome"], one["detail"]) == ("late", "no answer within 2 seconds")


def test_records_of_older_versions_are_explained():
    finding = {"name": "GTUBE", "severity": "spam", "weight": 0.0, "detail": ""}
    old = {"engine": "x", "outcome": "answered", "reason": "", "seconds": 0.1, "findings": [finding]}
    record = {"tenant": "acme", "category": "spam", "rule": "spam: severity of x/GTUBE", "would": None}
    assert explanation(record | {"verdicts": [old]})["because"][0]["finding"] == "GTUBE"


def test_what_was_not_judged_has_no_reason():
    record = {"tenant": "", "category": "", "rule": "", "would": None, "verdicts": []}
    assert explanation(record) == {"tenant": "", "settings": [], "because": []}

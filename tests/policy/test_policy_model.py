import pytest
from pydantic import ValidationError

from relay.policy.model import ALLOWED, Action, Policy


@pytest.mark.parametrize("name", sorted(ALLOWED))
@pytest.mark.parametrize("action", sorted(Action))
def test_only_sensible_actions_are_allowed_and_the_reason_is_told(name, action):
    allowed, reason = ALLOWED[name]
    if action in allowed:
        assert getattr(Policy(**{name: str(action)}), name) is action
        return
    with pytest.raises(ValidationError) as caught:
        Policy(**{name: action})
    (error,) = caught.value.errors()
    assert error["loc"] == (name,)
    assert reason in error["msg"]


def test_what_no_policy_may_allow():
    assert not ALLOWED["malicious"][0] & {Action.DELIVER, Action.MARK}
    assert Action.REFUSE not in ALLOWED["unscanned"][0]


def test_the_defaults():
    policy = Policy()
    assert (policy.malicious, policy.spam, policy.suspicious, policy.unscanned) == (
        Action.QUARANTINE, Action.MARK, Action.DELIVER, Action.DEFER,
    )  # fmt: skip
    assert not policy.observe


@pytest.mark.parametrize(
    "table",
    [
        {"spam_weight": 0}, {"spam_weight": -1}, {"spam_weight": float("nan")}, {"spam_weight": float("inf")},
        {"weights": {"rspamd": -1}}, {"weights": {"rspamd": float("inf")}}, {"spam": "drop"}, {"spma": "mark"},
        {"suspicious_weight": 5, "spam_weight": 4}, {"suspicious_weight": 5, "malicious_weight": 4},
    ],
)  # fmt: skip
def test_mistakes_are_refused(table):
    with pytest.raises(ValidationError):
        Policy(**table)


def test_thresholds_may_rise_or_be_left_out():
    assert Policy(suspicious_weight=2, malicious_weight=2).spam_weight is None

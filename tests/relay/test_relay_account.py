"""What is counted of a verdict."""

from prometheus_client import REGISTRY

from relay.account import count_verdict, tell_breaker
from relay.observe import metrics
from verdicts.contract import Finding, Handling, Outcome, Severity, Verdict


def value(name, **labels):
    return REGISTRY.get_sample_value(name, labels) or 0.0


def test_verdicts_are_counted_by_kind_and_shadows_apart():
    spam = (Finding("GTUBE", Severity.SPAM),)
    count_verdict(Verdict("counted", Outcome.ANSWERED, spam, 0.1))
    count_verdict(Verdict("counted", Outcome.SKIPPED))
    count_verdict(Verdict("tried", Outcome.ANSWERED, spam, 0.1, handling=Handling.SHADOW))
    assert value("sluice_verdicts_total", engine="counted", kind="spam") == 1
    assert value("sluice_verdicts_total", engine="counted", kind="skipped") == 1
    assert value("sluice_verdicts_total", engine="tried", kind="spam") == 0
    assert value("sluice_shadow_verdicts_total", engine="tried", kind="spam") == 1


def test_engines_that_were_not_asked_took_no_time():
    count_verdict(Verdict("timed", Outcome.ANSWERED, (), 0.1))
    count_verdict(Verdict("timed", Outcome.SKIPPED))
    count_verdict(Verdict("timed", Outcome.FAILED, reason="circuit open"))
    assert value("sluice_engine_seconds_count", engine="timed") == 1


def test_a_reload_forgets_open_circuits():
    tell_breaker("gone", is_open=True)
    assert value("sluice_engine_breaker", engine="gone") == 1
    tell_breaker("gone", is_open=False)
    assert value("sluice_engine_breaker", engine="gone") == 0
    tell_breaker("gone", is_open=True)
    metrics.know_engines(["new"])
    assert value("sluice_engine_breaker", engine="gone") == value("sluice_engine_breaker", engine="new") == 0

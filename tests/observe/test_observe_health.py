"""Readiness by named conditions, and the gauge that follows it."""

from relay.observe import metrics
from relay.observe.health import Health


def test_ready_while_nothing_is_wrong():
    health = Health()
    assert health.ready
    health.set("records", "locked")
    health.set("certificate", "expired")
    assert (health.ready, metrics.READY._value.get()) == (False, 0)
    assert health.problems == {"records": "locked", "certificate": "expired"}
    health.set("records", None)
    health.set("never", None)
    assert health.problems == {"certificate": "expired"}
    health.set("certificate", None)
    assert (health.ready, metrics.READY._value.get()) == (True, 1)


def test_problems_are_a_copy():
    health = Health()
    health.problems["x"] = "y"
    assert health.ready

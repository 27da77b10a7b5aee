"""Plain metrics: they tell what prometheus_client's own would, at once here and, once shared, in the supervisor."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from relay.observe import metrics
from relay.observe.metrics import PlainCounter, PlainGauge, PlainHistogram

amounts = st.lists(st.floats(0, 100) | st.sampled_from(metrics.TIMES) | st.integers(0, 100))


def told(kind, act, *names, **options) -> bytes:
    """The exposition of a metric of `kind` after `act` on it."""
    registry = CollectorRegistry()
    act(kind("sluice_x", "X.", *names, registry=registry, **options))
    lines = generate_latest(registry).splitlines()
    return b"\n".join(line for line in lines if b"_created" not in line)


@given(amounts)
def test_counters_tell_the_same(given_amounts) -> None:
    def act(counter) -> None:
        counter.labels("b").inc()
        for amount in given_amounts:
            counter.labels("a").inc(amount)

    assert told(PlainCounter, act, ["name"]) == told(Counter, act, ["name"])


@given(amounts, st.none() | st.floats(0, 9))
def test_gauges_tell_the_same(given_amounts, at_last) -> None:
    def act(gauge) -> None:
        gauge.inc()
        for amount in given_amounts:
            gauge.dec(amount)
            gauge.inc(amount / 2)
        if at_last is not None:
            gauge.set(at_last)

    assert told(PlainGauge, act) == told(Gauge, act)


@given(amounts)
def test_histograms_tell_the_same(given_amounts) -> None:
    def act(histogram) -> None:
        for amount in given_amounts:
            histogram.labels("a").observe(amount)

    assert told(PlainHistogram, act, ["name"], buckets=metrics.TIMES) == told(
        Histogram, act, ["name"], buckets=metrics.TIMES
    )


class Shared:
    """A number that other processes see."""

    def __init__(self, value: float) -> None:
        self.value, self.writes = value, 0

    def get(self) -> float:
        return self.value

    def set(self, value: float) -> None:
        self.value, self.writes = value, self.writes + 1


def test_a_number_goes_on_where_an_earlier_worker_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "_NUMBERS", [])
    shared = Shared(5.0)
    number = metrics._Number(shared)
    metrics.share()
    number.now += 1
    metrics.share()
    metrics.share()
    assert (shared.value, shared.writes) == (6.0, 1)


WORKER = """
import os
from relay.observe import metrics
metrics.SESSIONS.inc()
metrics.SESSIONS_OPEN.inc()
metrics.STAGE_SECONDS.labels("judge").observe(0.3)
metrics.share()
metrics.SESSIONS.inc()
metrics.RECORDS_LOST.inc()
os._exit(0)
"""
SUPERVISOR = """
import sys
from relay.observe import metrics
metrics.worker_ended(int(sys.argv[1]))
print(metrics.exposition_of_all().decode())
"""


def test_the_supervisor_serves_what_dead_workers_shared(tmp_path: Path) -> None:
    environment = os.environ | {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}
    workers = [subprocess.Popen([sys.executable, "-c", WORKER], env=environment) for _ in range(2)]
    assert [worker.wait() for worker in workers] == [0, 0]
    command = [sys.executable, "-c", SUPERVISOR, str(workers[0].pid)]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    lines = ran.stdout.splitlines()
    assert "sluice_sessions_total 2.0" in lines  # what was not shared is lost with its worker
    assert "sluice_sessions_open 1.0" in lines  # of the worker that nobody has missed yet
    assert 'sluice_stage_seconds_bucket{le="0.25",stage="judge"} 0.0' in lines
    assert 'sluice_stage_seconds_bucket{le="0.5",stage="judge"} 2.0' in lines
    assert 'sluice_stage_seconds_count{stage="judge"} 2.0' in lines
    assert "sluice_records_logged_total 2.0" in lines  # counted by other threads, and seen at once

"""Every metric, and the only door to prometheus-client. `relay/observe/README.md` is checked against this file.

Labels have closed sets of values, and their children exist from the start, so that a rate() over a series that has not
happened yet is 0 and not absent. With several workers the values lie in PROMETHEUS_MULTIPROC_DIR, which must be set
before this module is imported; the supervisor then serves the sum.

What every message counts is a PlainCounter, PlainGauge or PlainHistogram: only the event loop's thread may change it,
and `share` must be called every second. The rest is prometheus_client's own, for any thread and seen at once.
"""

from bisect import bisect_left
from collections.abc import Collection, Iterable, Mapping
from itertools import product
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest, multiprocess


class _Number:
    """A number that stands in place of prometheus_client's, each change of which takes a lock (and writes to a file).

    A scrape of this process reads it as it is; `share` writes it where other processes see it.
    """

    __slots__ = ("_shared", "_told", "now")

    def __init__(self, shared: Any) -> None:
        self.now: float = shared.get()  # not 0 when an earlier worker had our process number
        self._shared, self._told = shared, self.now
        _NUMBERS.append(self)

    def get(self) -> float:
        return self.now

    def get_exemplar(self) -> None:
        """What prometheus_client asks for; we have none."""

    def share(self) -> None:
        if self._told != self.now:
            self._told = self.now
            self._shared.set(self.now)


_NUMBERS: list[_Number] = []


class PlainCounter(Counter):
    """A counter for the event loop's thread alone."""

    def _metric_init(self) -> None:
        super()._metric_init()
        self._value = _Number(self._value)

    def inc(self, amount: float = 1) -> None:  # type: ignore[override]
        """Count `amount` more, never less than 0."""
        self._value.now += amount


class PlainGauge(Gauge):
    """A gauge for the event loop's thread alone."""

    def _metric_init(self) -> None:
        super()._metric_init()
        self._value = _Number(self._value)

    def inc(self, amount: float = 1) -> None:
        """Add `amount`."""
        self._value.now += amount

    def dec(self, amount: float = 1) -> None:
        """Take `amount` away."""
        self._value.now -= amount

    def set(self, value: float) -> None:
        """Make it `value`."""
        self._value.now = value


class PlainHistogram(Histogram):
    """A histogram for the event loop's thread alone."""

    def _metric_init(self) -> None:
        super()._metric_init()
        self._sum = _Number(self._sum)
        self._buckets = [_Number(bucket) for bucket in self._buckets]

    def observe(self, amount: float) -> None:  # type: ignore[override]
        """Count `amount` into the first bucket whose bound it does not exceed; a scrape adds them up."""
        self._sum.now += amount
        self._buckets[bisect_left(self._upper_bounds, amount)].now += 1


TIMES = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
LAGS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)
SIZES = (4_096, 16_384, 65_536, 262_144, 1_048_576, 4_194_304, 16_777_216, 67_108_864)

REFUSALS = (
    "stranger", "too_many_sessions", "too_many_sessions_of_peer", "draining", "tls_required", "client_certificate",
    "proxy_header", "syntax", "errors", "idle", "not_protected", "not_verified", "other_route", "too_many_recipients",
    "too_big", "header_too_big", "bytes_in_flight", "disk_full", "malformed", "loop", "proof", "reply_timeout",
    "smtputf8", "eightbit", "bdat_needed", "policy", "overloaded",
)  # fmt: skip
OUTCOMES = ("delivered", "marked", "quarantined", "deferred", "refused", "rejected_by_next_hop", "sunk", "abandoned")
STAGES = ("read", "judge", "ask", "seal", "hand_over", "keep")
SEAL_RESULTS = ("sealed", "broken_chain", "failed")
VERDICTS = ("clean", "suspicious", "spam", "malicious", "unscanned", "failed", "late", "skipped")
RANGES_FAILURES = ("unreachable", "tls", "timeout", "limited", "status", "malformed", "refused", "state")
NEXT_HOP_FAILURES = ("dns", "connect", "tls", "timeout", "hung_up", "protocol", "no_connection", "changed")
NOTICE_KINDS = ("verified", "failed", "lapsing", "lapsed", "working", "unproven", "loop", "next_hop", "test")
NOTICE_RESULTS = ("sent", "postponed", "dropped")

SESSIONS = PlainCounter("sluice_sessions_total", "Connections accepted.")
SESSIONS_OPEN = PlainGauge("sluice_sessions_open", "Connections open now.", multiprocess_mode="livesum")
REFUSED = PlainCounter("sluice_refusals_total", "Commands, messages and connections refused, by reason.", ["reason"])
MESSAGES = PlainCounter("sluice_messages_total", "Messages, by what became of them.", ["outcome"])
BYTES = PlainCounter("sluice_message_bytes_total", "Bytes of messages read.")
SIZE = PlainHistogram("sluice_message_size_bytes", "Size of messages.", buckets=SIZES)
STAGE_SECONDS = PlainHistogram(
    "sluice_stage_seconds", "Seconds that a stage of a message took.", ["stage"], buckets=TIMES
)
ENGINE_SECONDS = PlainHistogram("sluice_engine_seconds", "Seconds that an engine took.", ["engine"], buckets=TIMES)
VERDICT = PlainCounter("sluice_verdicts_total", "Verdicts, by engine and kind.", ["engine", "kind"])
SHADOW_VERDICT = PlainCounter(
    "sluice_shadow_verdicts_total", "Verdicts of shadow engines, which count for nothing.", ["engine", "kind"]
)
ENGINE_BREAKER = PlainGauge(
    "sluice_engine_breaker", "Workers that do not ask the engine, as its circuit is open.", ["engine"],
    multiprocess_mode="livesum",
)  # fmt: skip
NEXT_HOP_FAILED = PlainCounter("sluice_next_hop_failures_total", "Failures of next hops, by kind.", ["kind"])
POOL_OPEN = PlainGauge(
    "sluice_pool_connections_open", "Connections to next hops open now.", multiprocess_mode="livesum"
)
POOL_BUSY = PlainGauge("sluice_pool_connections_busy", "Connections in a transaction now.", multiprocess_mode="livesum")
POOL_WAITING = PlainGauge(
    "sluice_pool_waiting", "Transactions that wait for a connection.", multiprocess_mode="livesum"
)
POOL_OPENED = PlainCounter("sluice_pool_opened_total", "Connections opened to next hops.")
POOL_GIVEN_BACK = PlainCounter("sluice_pool_given_back_total", "Held transactions given back before the hand-over.")
BYTES_IN_FLIGHT = PlainGauge("sluice_bytes_in_flight", "Message bytes held now.", multiprocess_mode="livesum")
LOOP_LAG = PlainHistogram("sluice_loop_lag_seconds", "How late the event loop woke up.", buckets=LAGS)
LOOP_LAG_WORST = Gauge("sluice_loop_lag_worst_seconds", "Worst lag in the last minute.", multiprocess_mode="livemax")
LOG_LINES_LOST = Counter("sluice_log_lines_lost_total", "Log lines that could not be written.")
RECORDS_BACKLOG = Gauge("sluice_records_backlog", "Records that wait for the database.", multiprocess_mode="livesum")
RECORDS_LOST = Counter("sluice_records_logged_total", "Records that went to the log instead of the database.")
QUARANTINED = Gauge("sluice_quarantine_entries", "Entries in the quarantine.", multiprocess_mode="mostrecent")
LOOPS = PlainCounter("sluice_loops_total", "Messages refused as loops.")
PROOF_FAILURES = PlainCounter("sluice_proof_failures_total", "Messages without a tenant's proof.", ["mode"])
SEALS = PlainCounter("sluice_seals_total", "Messages to be sealed with ARC, by how that went.", ["result"])
CERTIFICATE_EXPIRY = Gauge(
    "sluice_certificate_expiry_timestamp_seconds", "End of the server certificate.", multiprocess_mode="mostrecent"
)
RANGES_TIMESTAMP = Gauge(
    "sluice_microsoft_ranges_timestamp_seconds",
    "Date of the list of Microsoft's ranges that counts; of several clouds the oldest.",
    multiprocess_mode="mostrecent",
)
RANGES_CHECKED = Gauge(
    "sluice_microsoft_ranges_checked_timestamp_seconds",
    "When Microsoft was last asked for newer ranges with success, of several clouds the oldest; 0 for never, NaN when "
    "they are not wanted.",
    multiprocess_mode="mostrecent",
)
RANGES_HELD = Gauge(
    "sluice_microsoft_ranges_held", "Clouds whose new list waits for an operator's yes.", multiprocess_mode="mostrecent"
)
RANGES_FAILED = Counter(
    "sluice_microsoft_ranges_failures_total", "Questions for newer ranges that came to nothing, by kind.", ["kind"]
)
DOMAINS = Gauge(
    "sluice_domains", "Domains to be proved, once for each region, by how far the proof is.", ["state"],
    multiprocess_mode="mostrecent",
)  # fmt: skip
NOTICES = PlainCounter(
    "sluice_notices_total",
    "Notices to escalation contacts and the webhook, by what became of them.",
    ["kind", "result"],
)
RELOADS = Counter("sluice_reloads_total", "Reloads of the configuration.", ["result"])
WORKER_RESTARTS = Counter("sluice_worker_restarts_total", "Workers that died and were started again.")
READY = Gauge("sluice_ready", "1 when the worker is ready for mail.", multiprocess_mode="livemin")


_CHILDREN: Mapping[Any, Iterable[str]] = {
    REFUSED: REFUSALS,
    MESSAGES: OUTCOMES,
    STAGE_SECONDS: STAGES,
    NEXT_HOP_FAILED: NEXT_HOP_FAILURES,
    RANGES_FAILED: RANGES_FAILURES,
    SEALS: SEAL_RESULTS,
    PROOF_FAILURES: ("require", "log"),
    DOMAINS: ("pending", "verified", "lapsing", "lapsed", "failed"),
    RELOADS: ("ok", "failed"),
}


def _children() -> None:
    for metric, values in _CHILDREN.items():
        for value in values:
            metric.labels(value)
    for kind, result in product(NOTICE_KINDS, NOTICE_RESULTS):
        NOTICES.labels(kind, result)


_children()


def know_engines(names: Iterable[str], shadows: Collection[str] = ()) -> None:
    """Make the children of the configured engines exist; `shadows` are those of them that are only tried.

    All circuits are closed then: those of an earlier configuration, which a reload replaced, are forgotten.
    """
    for known in tuple(ENGINE_BREAKER._metrics):
        ENGINE_BREAKER.labels(*known).set(0)
    for name in names:
        ENGINE_SECONDS.labels(name)
        ENGINE_BREAKER.labels(name)
        for kind in VERDICTS:
            (SHADOW_VERDICT if name in shadows else VERDICT).labels(name, kind)


def share() -> None:
    """Make what was counted visible to the supervisor; to be called every second by the event loop's thread."""
    for number in _NUMBERS:
        number.share()


def exposition() -> bytes:
    """The text that Prometheus reads, of this process."""
    return generate_latest()


def exposition_of_all() -> bytes:
    """The text that Prometheus reads, of all workers whose files lie in PROMETHEUS_MULTIPROC_DIR."""
    registry = CollectorRegistry()
    multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return generate_latest(registry)


def worker_ended(pid: int) -> None:
    """Forget the live gauges of a worker that ended."""
    multiprocess.mark_process_dead(pid)  # type: ignore[no-untyped-call]

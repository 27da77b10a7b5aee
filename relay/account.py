"""The account of one message: what is remembered (Record, Entry), counted (metrics) and told (one log line) of it."""

from collections.abc import Mapping
from dataclasses import asdict
from functools import cache

import structlog

from relay.errors import Abandoned, Refused, SluiceError
from relay.evidence import TEXT_LIMIT, plain
from relay.observe import logs, metrics
from relay.policy.decide import Decision
from relay.policy.model import Action
from relay.quarantine.entry import Entry
from relay.quarantine.ids import new_id
from relay.records.model import Record
from relay.replies import Reply
from relay.tenants.directory import Route
from verdicts.contract import Clock, Handling, Judgement, Outcome, Severity, Verdict
from verdicts.mail import Envelope, Mail, Session

log = structlog.get_logger("engines")
_MESSAGES = {outcome: metrics.MESSAGES.labels(outcome) for outcome in metrics.OUTCOMES}
_STAGES = {stage: metrics.STAGE_SECONDS.labels(stage) for stage in metrics.STAGES}
_REFUSED = {reason: metrics.REFUSED.labels(reason) for reason in metrics.REFUSALS}
_verdict_counter = cache(metrics.VERDICT.labels)
_shadow_counter = cache(metrics.SHADOW_VERDICT.labels)
_engine_histogram = cache(metrics.ENGINE_SECONDS.labels)
_NO_FACTORS: Mapping[str, float] = {}
_KINDS = {Severity.NOTE: "clean", Severity.SUSPICIOUS: "suspicious", Severity.SPAM: "spam"}


def count_verdict(verdict: Verdict) -> None:
    """Count one engine's verdict; the panel calls it."""
    kind = str(verdict.outcome)
    if verdict.outcome is Outcome.ANSWERED:
        worst = max([finding.severity for finding in verdict.findings], default=Severity.NOTE)
        kind = _KINDS.get(worst, "malicious")
    counter = _shadow_counter if verdict.handling is Handling.SHADOW else _verdict_counter
    counter(verdict.engine, kind).inc()
    if verdict.seconds:  # it was asked
        _engine_histogram(verdict.engine).observe(verdict.seconds)


def tell_breaker(engine: str, is_open: bool) -> None:
    """Count and log that an engine is not asked any more, or again; the panel calls it."""
    metrics.ENGINE_BREAKER.labels(engine).set(int(is_open))
    log.warning("circuit open" if is_open else "circuit closed", engine=engine)


class _Stage:
    """Times what happens inside; several times add up."""

    __slots__ = ("_name", "_now", "_seconds", "_start")

    def __init__(self, name: str, seconds: dict[str, float], clock: Clock) -> None:
        self._name, self._seconds, self._now = name, seconds, clock.monotonic

    def __enter__(self) -> None:
        self._start = self._now()

    def __exit__(self, *_: object) -> None:
        self._seconds[self._name] = self._seconds.get(self._name, 0.0) + self._now() - self._start


class Account:
    """Filled while the message travels; closed once."""

    __slots__ = ("_clock", "_factors", "_record", "_seconds", "_verdicts", "id", "proof")

    def __init__(self, node: str, session: Session, clock: Clock) -> None:
        at = clock.time()
        self.id = new_id(at)
        self.proof = ""
        self._clock = clock
        self._seconds: dict[str, float] = {}
        self._verdicts: tuple[Verdict, ...] = ()
        self._factors: Mapping[str, float] = _NO_FACTORS
        self._record = Record(
            id=self.id, at=at, node=node, outcome="", peer=session.peer, helo=session.helo, network=session.network
        )

    def stage(self, name: str) -> _Stage:
        """Time what happens inside; several times add up."""
        return _Stage(name, self._seconds, self._clock)

    def was_read(self, size: int, seconds: float, envelope: Envelope) -> None:
        """The data is here: `size` bytes, read in `seconds`."""
        self._seconds["read"] = seconds
        self._record.size = size
        self._record.sender = envelope.sender
        self._record.recipients = [recipient.address for recipient in envelope.recipients]

    def routed(self, route: Route) -> None:
        """Whose it is and where it goes."""
        self._record.tenant, self._record.next_hop = route.tenant.name, str(route.hop)
        self._factors = route.tenant.policy.weights

    def seen(self, mail: Mail) -> None:
        """What the message says of itself, cut, for people who look for it."""
        self._record.message_id = mail.fields.text("Message-ID")[:TEXT_LIMIT]
        self._record.subject = mail.fields.text("Subject")[:TEXT_LIMIT]

    def judged(self, judgement: Judgement, decision: Decision) -> None:
        """All verdicts, and what policy made of them."""
        record = self._record
        self._verdicts = judgement.verdicts
        record.category, record.action, record.rule = str(decision.category), str(decision.action), decision.rule
        record.would = None if decision.would is None else str(decision.would)

    def sunk(self, reply: Reply) -> Reply:
        """Connector validation: thrown away."""
        self._record.outcome = "sunk"
        return reply

    def kept(self, reply: Reply) -> Reply:
        """It lies in quarantine."""
        self._record.outcome, self._record.quarantine_id = "quarantined", self.id
        return reply

    def handed_over(self, reply: Reply) -> Reply:
        """The next hop has answered."""
        taken = "marked" if self._record.action == Action.MARK else "delivered"
        self._record.outcome = taken if reply.positive else "rejected_by_next_hop"
        return reply

    def ended(self, error: SluiceError, *, counted: bool = False) -> Reply:
        """It ended early; the reply is the error's. `counted`: the intake has counted the refusal."""
        permanent = "refused" if error.reply.permanent else "deferred"
        self._record.outcome = "abandoned" if isinstance(error, Abandoned) else permanent
        self._record.reason = str(error)
        if isinstance(error, Refused) and not counted:
            _REFUSED[error.reason].inc()
        return error.reply

    def entry(self, mail: Mail) -> Entry:
        """The quarantine's entry for this message."""
        record = self._record
        return Entry(
            id=self.id,
            at=record.at,
            tenant=mail.tenant,
            session=asdict(mail.session),
            sender=mail.envelope.sender,
            recipients=[asdict(recipient) for recipient in mail.envelope.recipients],
            body=mail.envelope.body,
            smtputf8=mail.envelope.smtputf8,
            ret=mail.envelope.ret,
            envid=mail.envelope.envid,
            size=mail.content.size,
            next_hop=record.next_hop,
            verdicts=plain(self._verdicts, self._factors),
            decision={
                "category": record.category,
                "action": record.action,
                "would": record.would,
                "rule": record.rule,
            },
            message_id=record.message_id,
            subject=record.subject,
        )

    def closed(self, reply: Reply) -> Record:
        """Count and tell the message; its record."""
        record = self._record
        record.proof = self.proof
        record.reply = str(reply)[:TEXT_LIMIT]
        record.verdicts = plain(self._verdicts, self._factors)
        record.seconds = {stage: round(seconds, 6) for stage, seconds in self._seconds.items()}
        _MESSAGES[record.outcome].inc()
        for stage, seconds in self._seconds.items():
            if stage != "read":  # the intake has counted it
                _STAGES[stage].observe(seconds)
        logs.message(
            record.outcome,
            {
                "id": record.id,
                "tenant": record.tenant,
                "peer": record.peer,
                "sender": record.sender,
                "recipients": len(record.recipients),
                "size": record.size,
                "reply": record.reply,
                "reason": record.reason,
                "rule": record.rule,
                "proof": record.proof,
                "seconds": round(sum(self._seconds.values()), 4),
            },
        )
        return record

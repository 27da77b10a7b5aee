"""The account of one message: what is remembered (Record, Entry), counted (metrics) and told (one log line) of it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

import structlog

from relay.errors import Abandoned, Refused, SluiceError
from relay.observe import metrics
from relay.policy.decide import Decision
from relay.policy.model import Action
from relay.quarantine.entry import Entry
from relay.quarantine.ids import new_id
from relay.records.model import Record
from relay.replies import Reply
from relay.tenants.directory import Route
from verdicts.contract import Clock, Judgement, Outcome, Severity, Verdict
from verdicts.mail import Envelope, Mail, Session

log = structlog.get_logger("message")

_MESSAGES = {outcome: metrics.MESSAGES.labels(outcome) for outcome in metrics.OUTCOMES}
_STAGES = {stage: metrics.STAGE_SECONDS.labels(stage) for stage in metrics.STAGES}
_REFUSED = {reason: metrics.REFUSED.labels(reason) for reason in metrics.REFUSALS}
_KINDS = {Severity.NOTE: "clean", Severity.SUSPICIOUS: "suspicious", Severity.SPAM: "spam"}
TEXT_LIMIT = 500


def count_verdict(verdict: Verdict) -> None:
    """Count one engine's verdict; the panel calls it."""
    kind = str(verdict.outcome)
    if verdict.outcome is Outcome.ANSWERED:
        worst = max((finding.severity for finding in verdict.findings), default=Severity.NOTE)
        kind = _KINDS.get(worst, "malicious")
    metrics.VERDICT.labels(verdict.engine, kind).inc()
    metrics.ENGINE_SECONDS.labels(verdict.engine).observe(verdict.seconds)


class Account:
    """Filled while the message travels; closed once."""

    def __init__(self, node: str, session: Session, clock: Clock) -> None:
        self._clock = clock
        self._at = clock.time()
        self.id = new_id(self._at)
        self.proof = ""
        self._seconds: dict[str, float] = {}
        self._outcome = ""
        self._reason = ""
        self._quarantine_id: str | None = None
        self._decision: Decision | None = None
        self._judgement = Judgement()
        self._facts: dict[str, Any] = {
            "node": node,
            "tenant": "",
            "peer": session.peer,
            "helo": session.helo,
            "network": session.network,
            "message_id": "",
            "subject": "",
            "next_hop": "",
        }

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time what happens inside; several times add up."""
        start = self._clock.monotonic()
        try:
            yield
        finally:
            self._seconds[name] = self._seconds.get(name, 0.0) + self._clock.monotonic() - start

    def was_read(self, size: int, seconds: float, envelope: Envelope) -> None:
        """The data is here: `size` bytes, read in `seconds`."""
        self._seconds["read"] = seconds
        recipients = [recipient.address for recipient in envelope.recipients]
        self._facts |= {"size": size, "sender": envelope.sender, "recipients": recipients}

    def routed(self, route: Route) -> None:
        """Whose it is and where it goes."""
        self._facts |= {"tenant": route.tenant.name, "next_hop": str(route.hop)}

    def seen(self, mail: Mail) -> None:
        """What the message says of itself, cut, for people who look for it."""
        self._facts |= {
            "message_id": mail.fields.text("Message-ID")[:TEXT_LIMIT],
            "subject": mail.fields.text("Subject")[:TEXT_LIMIT],
        }

    def judged(self, judgement: Judgement, decision: Decision) -> None:
        """All verdicts, and what policy made of them."""
        self._judgement, self._decision = judgement, decision

    def sunk(self, reply: Reply) -> Reply:
        """Connector validation: thrown away."""
        self._outcome = "sunk"
        return reply

    def kept(self, reply: Reply) -> Reply:
        """It lies in quarantine."""
        self._outcome, self._quarantine_id = "quarantined", self.id
        return reply

    def handed_over(self, reply: Reply) -> Reply:
        """The next hop has answered."""
        marked = self._decision is not None and self._decision.action is Action.MARK
        taken = "marked" if marked else "delivered"
        self._outcome = taken if reply.positive else "rejected_by_next_hop"
        return reply

    def ended(self, error: SluiceError, *, counted: bool = False) -> Reply:
        """It ended early; the reply is the error's. `counted`: the intake has counted the refusal."""
        permanent = "refused" if error.reply.permanent else "deferred"
        self._outcome = "abandoned" if isinstance(error, Abandoned) else permanent
        self._reason = str(error)
        if isinstance(error, Refused) and not counted:
            _REFUSED[error.reason].inc()
        return error.reply

    def entry(self, mail: Mail) -> Entry:
        """The quarantine's entry for this message."""
        return Entry(
            id=self.id,
            at=self._at,
            tenant=mail.tenant,
            session=asdict(mail.session),
            sender=mail.envelope.sender,
            recipients=[asdict(recipient) for recipient in mail.envelope.recipients],
            body=mail.envelope.body,
            smtputf8=mail.envelope.smtputf8,
            ret=mail.envelope.ret,
            envid=mail.envelope.envid,
            size=mail.content.size,
            next_hop=self._facts["next_hop"],
            verdicts=self._verdicts(),
            decision=self._decided(),
            message_id=self._facts["message_id"],
            subject=self._facts["subject"],
        )

    def closed(self, reply: Reply) -> Record:
        """Count and tell the message; its record."""
        _MESSAGES[self._outcome].inc()
        for stage, seconds in self._seconds.items():
            if stage != "read":  # the intake has counted it
                _STAGES[stage].observe(seconds)
        record = Record(
            id=self.id,
            at=self._at,
            **self._facts,
            **self._decided(),
            outcome=self._outcome,
            reason=self._reason,
            proof=self.proof,
            reply=str(reply)[:TEXT_LIMIT],
            quarantine_id=self._quarantine_id,
            verdicts=self._verdicts(),
            seconds={stage: round(seconds, 6) for stage, seconds in self._seconds.items()},
        )
        log.info(self._outcome, **self._line(reply))
        return record

    def _line(self, reply: Reply) -> dict[str, Any]:
        facts = self._facts
        return {
            "id": self.id,
            "tenant": facts["tenant"],
            "peer": facts["peer"],
            "sender": facts["sender"],
            "recipients": len(facts["recipients"]),
            "size": facts["size"],
            "reply": str(reply)[:TEXT_LIMIT],
            "reason": self._reason,
            "rule": self._decision.rule if self._decision else "",
            "proof": self.proof,
            "seconds": round(sum(self._seconds.values()), 4),
        }

    def _decided(self) -> dict[str, Any]:
        decision = self._decision
        if decision is None:
            return {"category": "", "action": "", "would": None, "rule": ""}
        return {
            "category": str(decision.category),
            "action": str(decision.action),
            "would": None if decision.would is None else str(decision.would),
            "rule": decision.rule,
        }

    def _verdicts(self) -> list[dict[str, Any]]:
        return [
            {
                "engine": verdict.engine,
                "outcome": str(verdict.outcome),
                "reason": verdict.reason[:TEXT_LIMIT],
                "seconds": round(verdict.seconds, 6),
                "findings": [
                    {
                        "name": finding.name,
                        "severity": finding.severity.name.lower(),
                        "weight": finding.weight,
                        "detail": finding.detail[:TEXT_LIMIT],
                    }
                    for finding in verdict.findings
                ],
            }
            for verdict in self._judgement.verdicts
        ]

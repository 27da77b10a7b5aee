"""THE LIFE OF A MESSAGE. The order of events is written here and nowhere else; the rooms never call each other.

admit, route, ask, read, prove, judge, decide, dress, hand over | keep | defer, record, reply.

Admitting and reading are done by the intake, which calls the methods of Journey as the client's commands come. Sluice
never owns a message: until the next hop (or the quarantine) has said yes, every way out of here is a 4xx or the next
hop's own word, and the client still has the message.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

import structlog

from relay import replies
from relay.account import Account
from relay.delivery.passage import Passage
from relay.errors import Abandoned, Refused, SluiceError
from relay.intake.draft import Draft
from relay.observe import metrics
from relay.policy.decide import Decision, decide
from relay.policy.model import Action
from relay.replies import Reply
from relay.rooms import Rooms
from relay.tenants.directory import Route
from relay.tenants.loops import too_many_hops
from relay.tenants.proof import prove
from verdicts.fields import header_longer_than
from verdicts.mail import Envelope, Mail, Recipient, Session

log = structlog.get_logger("journey")

WITHHOLDING = {Action.DEFER: replies.DEFERRED, Action.REFUSE: replies.REFUSED_BY_POLICY}


class Journey:
    """One connection's messages, one after the other; implements the intake's Conversation."""

    def __init__(self, rooms: Callable[[], Rooms]) -> None:
        self._rooms_now = rooms
        self._passage: Passage | None = None
        self._gone = False
        self._entered: Rooms | None = None

    async def mail(self, session: Session, envelope: Envelope) -> Reply:
        """MAIL: nothing can be asked yet, since only a recipient names the route."""
        await self.reset()
        self._enter(self._rooms_now())
        self._session, self._envelope = session, envelope
        self._route: Route | None = None
        self._account = Account(self._rooms.node, session, self._rooms.clock)
        return replies.SENDER_OK

    async def rcpt(self, recipient: Recipient) -> Reply:
        """RCPT: route, then ask the next hop while the client waits. Raises SluiceError."""
        await self._follow(self._rooms.route(recipient.address))
        reply = replies.RECIPIENT_OK
        if self._route is not None and self._passage is not None:
            with self._account.stage("ask"):
                reply = await self._passage.ask(recipient)
        if reply.positive:
            self._envelope = replace(self._envelope, recipients=(*self._envelope.recipients, recipient))
        return reply

    async def message(self, draft: Draft) -> Reply:
        """The end of the data: the rest of the way, and one record of it, whatever happens."""
        self._account.was_read(draft.size, draft.seconds, self._envelope)
        try:
            reply = await self._travel(draft)
        except SluiceError as error:
            reply = self._account.ended(error, counted=error is draft.fault)
        except Exception as error:
            log.exception("journey broke", id=self._account.id)
            reply = self._account.ended(SluiceError(replies.LOCAL_FAILURE, "internal", repr(error)))
        await self.reset()
        with suppress(Exception):  # a log or metric that fails must not turn the next hop's word into another
            self._rooms.record(self._account.closed(reply))
        return reply

    async def reset(self) -> None:
        """Forget the transaction, here and at the next hop."""
        await self._give_up_passage()
        self._enter(None)

    def lost(self) -> None:
        """The client hung up: what has not begun to be handed over is left to its next try."""
        self._gone = True

    def hand_over_begun(self) -> bool:
        """Whether body bytes may have gone to the next hop: from then on the hand-over is finished."""
        return self._passage is not None and self._passage.begun

    def _enter(self, rooms: Rooms | None) -> None:
        """Leave the rooms of the last transaction, for those of the next: a reload closes what nobody is in."""
        if self._entered is not None:
            self._entered.users -= 1
        self._entered = rooms
        if rooms is not None:
            rooms.users += 1
            self._rooms = rooms

    async def _give_up_passage(self) -> None:
        passage, self._passage = self._passage, None
        if passage is not None:
            await passage.reset()

    async def _follow(self, route: Route | None) -> None:
        """Bind the transaction to `route`; the first accepted recipient binds it for good."""
        if self._envelope.recipients and route != self._route:
            raise Refused(replies.OTHER_ROUTE, "other_route")
        if route is not None and (route != self._route or self._passage is None):
            await self._give_up_passage()
            self._passage = self._rooms.delivery.passage(route.hop.host, route.hop.port, self._envelope)
            self._account.routed(route)
        self._route = route

    async def _travel(self, draft: Draft) -> Reply:
        if draft.fault is not None:
            raise draft.fault
        if self._route is None:  # connector validation
            return self._account.sunk(replies.ACCEPTED)
        if header_longer_than(self._rooms.max_header_bytes, draft.view()):
            raise Refused(replies.HEADER_TOO_BIG, "header_too_big")
        mail = Mail(self._session, self._envelope, draft, self._route.tenant.name)
        proven = self._prove(mail, self._route)
        with self._account.stage("judge"):
            judgement = await self._rooms.panel.judge(mail)
        decision = decide(judgement, self._route.tenant.policy)
        self._account.judged(judgement, decision)
        if self._gone:
            raise Abandoned
        if decision.action in WITHHOLDING:
            raise Refused(WITHHOLDING[decision.action], "policy", decision.rule)
        if decision.action is Action.QUARANTINE:
            return await self._keep(mail, self._route)
        return await self._hand_over(mail, self._route, draft, decision, proven)

    def _prove(self, mail: Mail, route: Route) -> bool:
        """Did it come through this tenant's rule, and not through us before? Whether it carries the loop value."""
        tenant, recipients = route.tenant, [recipient.address for recipient in mail.envelope.recipients]
        self._account.seen(mail)
        if too_many_hops(mail.fields) or self._rooms.tracer.loops(mail.fields, tenant.name, recipients):
            metrics.LOOPS.inc()
            raise Refused(replies.LOOP, "loop")
        proof = prove(mail.fields, tenant)
        self._account.proof = "ok" if proof.ok else proof.reason
        if not proof.ok:
            metrics.PROOF_FAILURES.labels(tenant.proof).inc()
            if tenant.proof == "require":
                raise Refused(replies.NO_PROOF, "proof", proof.reason)
        return proof.present

    async def _keep(self, mail: Mail, route: Route) -> Reply:
        """On disk before the 250; the next hop's transaction ends with a reset."""
        await self._give_up_passage()
        with self._account.stage("keep"):
            kept = await self._rooms.quarantine.keep(self._account.entry(mail, str(route.hop)), mail.content.pieces)
        if self._gone:
            await asyncio.to_thread(self._rooms.quarantine.delete, kept)  # it comes again
            raise Abandoned
        return self._account.kept(replies.ACCEPTED)

    async def _hand_over(self, mail: Mail, route: Route, draft: Draft, decision: Decision, proven: bool) -> Reply:
        assert self._passage is not None
        dressed = self._rooms.dresser.dress(
            mail,
            self._account.id,
            spam=decision.action is Action.MARK,
            loop_value=None if proven else route.tenant.loop_values[0],
            observe=route.tenant.policy.observe,
        )
        with self._account.stage("hand_over"):
            reply = await self._passage.hand_over(
                dressed.pieces, dressed.size, bare=draft.bare, wanted=lambda: not self._gone
            )
        return self._account.handed_over(reply)

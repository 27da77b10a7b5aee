"""THE LIFE OF A MESSAGE. The order of events is written here and nowhere else; the rooms never call each other.

admit, route, ask, read, prove, judge, decide, dress, seal, hand over | keep | defer, record, reply.

Admitting and reading are done by the intake, which calls the methods of Journey as the client's commands come. Sluice
never owns a message: until the next hop (or the quarantine) has said yes, every way out of here is a 4xx or the next
hop's own word, and the client still has the message.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress

import structlog

from relay import replies
from relay.errors import Abandoned, Refused, SluiceError
from relay.intake.draft import Draft
from relay.judging import check_room, judge
from relay.policy.decide import Decision, decide
from relay.policy.model import Action
from relay.proving import look_at_header, prove
from relay.replies import Reply
from relay.rooms import Rooms
from relay.transaction import Transaction
from verdicts.mail import Envelope, Mail, Recipient, Session

log = structlog.get_logger("journey")
WITHHOLDING = {Action.DEFER: replies.DEFERRED, Action.REFUSE: replies.REFUSED_BY_POLICY}


class Journey:
    """One connection's messages, one after the other; implements the intake's Conversation."""

    def __init__(self, rooms: Callable[[], Rooms]) -> None:
        self._rooms = rooms
        self._now: Transaction | None = None
        self._gone = False

    async def mail(self, session: Session, envelope: Envelope) -> Reply:
        """MAIL: nothing can be asked yet, since only a recipient names the route."""
        await self.reset()
        rooms = self._rooms()
        check_room(rooms)
        self._now = Transaction(rooms, session, envelope)
        return replies.SENDER_OK

    async def rcpt(self, recipient: Recipient) -> Reply:
        """RCPT: route, then ask the next hop while the client waits. Raises SluiceError."""
        now = self._now
        assert now is not None  # the intake keeps the order of commands
        await now.follow(recipient.address)
        reply = replies.RECIPIENT_OK
        if now.route is not None and now.passage is not None:
            with now.account.stage("ask"), now.telling_failures():
                reply = await now.passage.ask(recipient)
        if reply.positive:
            now.accept(recipient)
        return reply

    async def message(self, draft: Draft) -> Reply:
        """The end of the data: the rest of the way, and one record of it, whatever happens."""
        now = self._now
        assert now is not None
        now.account.was_read(draft.size, draft.seconds, now.envelope)
        try:
            reply = await self._travel(now, draft)
        except SluiceError as error:
            error.with_traceback(None)  # it refers to the draft, whose fault the error may be
            reply = now.account.ended(error, counted=error is draft.fault)
        except Exception as error:
            log.exception("journey broke", id=now.account.id)
            reply = now.account.ended(SluiceError(replies.LOCAL_FAILURE, "internal", repr(error)))
        await now.end()
        with suppress(Exception):  # a log or metric that fails must not turn the next hop's word into another
            now.rooms.record(now.account.closed(reply))
        return reply

    async def reset(self) -> None:
        """Forget the transaction, here and at the next hop."""
        if self._now:
            await self._now.end()

    def lost(self) -> None:
        """The client hung up: what has not begun to be handed over is left to its next try."""
        self._gone = True

    def _wanted(self) -> bool:
        return not self._gone

    def hand_over_begun(self) -> bool:
        """Whether body bytes may have gone to the next hop: from then on the hand-over is finished."""
        return bool(self._now and self._now.passage and self._now.passage.begun)

    async def _travel(self, now: Transaction, draft: Draft) -> Reply:
        if draft.fault is not None:
            raise draft.fault
        if now.route is None:  # connector validation
            return now.account.sunk(replies.ACCEPTED)
        look_at_header(draft, now.rooms.max_header_bytes)
        tenant = now.route.tenant
        mail = Mail(now.session, now.envelope, draft, tenant.name, now.route.profile)
        proof = prove(now, mail, tenant)
        mail.proven = proof.ok
        with now.account.stage("judge"):
            judgement = await judge(now.rooms, mail, self._wanted)
        decision = decide(judgement, tenant.policy)
        now.account.judged(judgement, decision)
        if self._gone:
            raise Abandoned
        if decision.action in WITHHOLDING:
            raise Refused(WITHHOLDING[decision.action], "policy", decision.rule)
        if decision.action is Action.QUARANTINE:
            return await self._keep(now, mail)
        return await self._hand_over(now, mail, draft, decision, None if proof.present else tenant.known_value)

    async def _keep(self, now: Transaction, mail: Mail) -> Reply:
        """On disk before the 250; the next hop's transaction ends with a reset."""
        await now.give_up_passage()
        with now.account.stage("keep"):
            kept = await now.rooms.quarantine.keep(now.account.entry(mail), mail.content.pieces)
        if self._gone:  # it comes again
            await asyncio.to_thread(now.rooms.quarantine.delete, kept)
            raise Abandoned
        return now.account.kept(replies.ACCEPTED)

    async def _hand_over(
        self, now: Transaction, mail: Mail, draft: Draft, decision: Decision, missing_value: str | None
    ) -> Reply:
        assert now.passage is not None
        spam, observe = decision.action is Action.MARK, decision.would is not None
        dressed = now.rooms.dresser.dress(mail, now.account.id, spam=spam, loop_value=missing_value, observe=observe)
        if now.rooms.sealer is not None and not observe and mail.proven:
            with now.account.stage("seal"):
                await now.rooms.sealer.seal(mail, dressed, now.account.id)
        with now.account.stage("hand_over"):
            reply = await now.passage.hand_over(
                dressed.pieces, dressed.size, bare=draft.bare, dotted=draft.dotted, wanted=self._wanted
            )
        return now.account.handed_over(reply)

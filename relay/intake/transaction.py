"""The mail transactions of one connection: MAIL, RCPT, DATA, BDAT, and the reply to a message (RFC 5321, RFC 3030)."""

import structlog

from relay import replies
from relay.errors import Refused, SluiceError
from relay.intake import commands
from relay.intake.certificates import any_matches
from relay.intake.draft import Draft, expected_size
from relay.intake.link import HungUpError, Link, LinkError, TooSlowError
from relay.intake.reader import ChunkReader, DataReader, Reader
from relay.intake.service import Conversation, Service
from relay.intake.transfer import receive
from relay.observe.metrics import BYTES, REFUSALS, REFUSED, SIZE, STAGE_SECONDS
from relay.replies import Reply
from verdicts.mail import Envelope, Session, Tls

MAX_CHUNK = 1 << 30
"""A refused BDAT chunk is read and thrown away, so that its bytes never become commands; over this many the connection
is closed instead."""
IDLE_COMMANDS = 100
"""Commands without a message in between that bring none nearer (RSET, NOOP, EHLO ...). Each one over this many counts
as an error; Exchange never sends so many."""
REFUSED_RECIPIENTS = 5
"""Times max_errors: recipients without a message in between that the next hop may refuse with 5yz before the session
ends, so that nobody harvests addresses in it. Honest lists have dead members, hence more than errors."""

log = structlog.get_logger("relay.intake")
_REFUSED = {reason: REFUSED.labels(reason) for reason in REFUSALS}
_READ_SECONDS = STAGE_SECONDS.labels("read")


class LateReplyError(LinkError):
    """The message of this coroutine is answered already, and the session goes on elsewhere."""


class Transactions(Link):
    """A link whose client sends mail, one transaction after the other."""

    def __init__(self, service: Service, session_id: str) -> None:
        super().__init__()
        self._service = service
        self._options = service.options
        self._id = session_id
        # Who the client is.
        self._peer = ""
        self._network: str | None = None
        self._helo = ""
        self._esmtp = True
        self._tls: Tls | None = None
        self._facts: Session | None = None  # all of this, as one value; None when it has changed
        self._errors = 0
        self._idle_commands = 0  # since the last message, as the next
        self._refused_recipients = 0
        # The transaction.
        self._conversation: Conversation | None = None
        self._envelope: Envelope | None = None  # not None: a transaction is open
        self._draft: Draft | None = None
        self._accepted = 0
        self._started: float | None = None  # when DATA or the first BDAT came
        self._replying = False  # message() runs and the client waits for its reply

    # What happens to it from outside.

    def client_left(self) -> None:
        """The client hung up."""
        self._lose()

    def time_passed(self) -> None:
        """The reply takes too long: say so, unless the message may be at the next hop already.

        The coroutine stays with its message to the end; the session goes on in a new one, with a new conversation.
        """
        if self._replying and self._conversation and not self._conversation.hand_over_begun():
            self._count("reply_timeout")
            self.say(replies.REPLY_TIMEOUT)
            self._lose()
            self._conversation = self._draft = None
            self._forget()
            self.go_on()

    def go_on(self) -> None:
        """Take the next commands, in a coroutine of its own."""

    def drain(self) -> None:
        """End now if no transaction is open, else after it."""
        if self._envelope is None:
            self.interrupt()

    def cut(self) -> None:
        """End now, unless a hand-over has begun."""
        if self._replying and self._conversation and self._conversation.hand_over_begun():
            return
        if not self.interrupt():
            self.say(replies.SHUTTING_DOWN)
            self.end()
            self._lose()

    def _lose(self) -> None:
        if self._replying and self._conversation:
            self._replying = False
            self._conversation.lost()

    # What is said.

    def _tell(self, reply: Reply) -> None:
        """Say `reply`. 421 means that the connection closes (RFC 5321 section 3.8); so do too many refusals."""
        self.say(reply)
        if reply.code != 421 and self._too_many_errors():
            self._count("errors")
            self.say(replies.TOO_MANY_ERRORS)
            self.end()
        elif reply.code == 421:
            self.end()

    def _too_many_errors(self) -> bool:
        limit = self._options.max_errors
        return self._errors >= limit or self._refused_recipients >= limit * REFUSED_RECIPIENTS

    def _tell_idler(self, reply: Reply) -> None:
        """Say `reply` to a command that brings no message nearer."""
        self._idle_commands += 1
        self._errors += self._idle_commands > IDLE_COMMANDS
        self._tell(reply)

    def _refuse(self, error: SluiceError) -> None:
        """Answer with the error's reply."""
        self._account(error)
        self._tell(error.reply)
        if not isinstance(error, Refused):
            log.warning("put off", session=self._id, peer=self._peer, reason=error.reason, detail=error.detail)

    def _account(self, error: SluiceError) -> None:
        if isinstance(error, Refused):
            self._count(error.reason)
            self._errors += error.reply.permanent

    def _count(self, reason: str) -> None:
        child = _REFUSED.get(reason)
        if child is not None:
            child.inc()

    # Commands.

    async def _mail(self, argument: str) -> None:
        self._check_mail_allowed()
        envelope = commands.read_mail(argument)
        if envelope.size is not None and envelope.size > self._options.max_message_bytes:
            raise Refused(replies.TOO_BIG, "too_big")
        if not self._service.budget.has_room(expected_size(self._options, envelope.size)):
            raise Refused(replies.NO_ROOM, "bytes_in_flight")
        if self._conversation is None:
            self._conversation = self._service.converse()
        self._envelope = envelope
        try:
            reply = await self._conversation.mail(self._session_facts(), envelope)
        except Exception:
            await self._abandon()
            raise
        self._tell(reply)
        if not reply.positive:
            await self._abandon()

    def _check_mail_allowed(self) -> None:
        options = self._options
        if not self._helo:
            raise Refused(replies.GREETING_NEEDED, "syntax")
        if self._envelope is not None:
            raise Refused(replies.MAIL_GIVEN, "syntax")
        if self._service.sessions.draining:
            raise Refused(replies.SHUTTING_DOWN, "draining")
        if self._network is None:
            raise Refused(replies.STRANGER, "stranger")
        if options.require_tls and self._tls is None:
            none = self._service.tls() is None  # then it is our mistake, and no sender may pay for it
            raise Refused(replies.TLS_NOT_THERE if none else replies.TLS_NEEDED, "tls_required")
        wanted = options.client_certificate_names
        if wanted and not any_matches(wanted, self._tls.names if self._tls else ()):
            raise Refused(replies.CERTIFICATE_NEEDED, "client_certificate")

    def _session_facts(self) -> Session:
        if self._facts is None:
            self._facts = Session(self._id, self._peer, self._helo, self._esmtp, self._network or "", self._tls)
        return self._facts

    async def _rcpt(self, argument: str) -> None:
        if self._envelope is None or self._conversation is None:
            raise Refused(replies.MAIL_NEEDED, "syntax")
        self._check_no_bdat()
        if self._accepted >= self._options.max_recipients:
            raise Refused(replies.TOO_MANY_RECIPIENTS, "too_many_recipients")
        recipient = commands.read_rcpt(argument, smtputf8=self._envelope.smtputf8)
        reply = await self._conversation.rcpt(recipient)
        self._accepted += reply.positive
        self._refused_recipients += reply.permanent  # what is refused here, without the next hop, is an error already
        self._tell(reply)

    def _check_no_bdat(self) -> None:
        if self._started is not None:
            raise Refused(replies.BDAT_BEGUN, "syntax")

    def _open_draft(self) -> Draft:
        """The draft of the transaction; it begins, and takes room in the budget, with DATA or the first BDAT."""
        if self._envelope is None:
            raise Refused(replies.MAIL_NEEDED, "syntax")
        if not self._accepted:
            raise Refused(replies.NO_RECIPIENTS, "syntax")
        if self._draft is None:
            self._draft = Draft(self._options, self._service.budget, self._envelope.size)
        return self._draft

    async def _data(self, argument: str) -> None:
        no_argument(argument)
        self._check_no_bdat()
        draft = self._open_draft()
        if draft.fault:
            self._draft = None  # DATA may be tried again
            raise draft.fault
        self.say(replies.GO_AHEAD)
        await self._receive(DataReader(), draft)
        await self._finish(draft, strict=True)

    async def _bdat(self, argument: str) -> None:
        try:
            size, last = commands.read_bdat(argument)
        except Refused as error:
            self._refuse(error)
            self.end()  # where the chunk ends is unknown, so its bytes would be taken for commands
            return
        if size > MAX_CHUNK:
            self._refuse(Refused(replies.TOO_BIG, "too_big"))
            self.end()
            return
        await self._receive(ChunkReader(size), self._open_draft() if self._accepted else None)
        draft = self._open_draft()
        if last:
            await self._finish(draft, strict=False)
        else:
            self.say(draft.fault.reply if draft.fault else replies.chunk_taken(size))

    async def _receive(self, reader: Reader, draft: Draft | None) -> None:
        started = self._started or self.loop.time()
        deadline = started + self._options.transfer_timeout
        if draft is not None:
            self._started = started
            if self.loop.time() > deadline:  # chunks that come whole are never waited for
                raise TooSlowError
        await receive(self, reader, draft, self._options.data_timeout, deadline)

    async def _finish(self, draft: Draft, *, strict: bool) -> None:
        """Hand the message to the conversation and give its reply. The draft ends here."""
        await draft.finish(strict=strict)
        draft.seconds = self.loop.time() - (self._started or 0.0)
        _READ_SECONDS.observe(draft.seconds)
        BYTES.inc(draft.size)
        SIZE.observe(draft.size)
        if draft.fault:
            self._count(draft.fault.reason)
        await self.flush()
        await self._ask_for_reply(draft)

    async def _ask_for_reply(self, draft: Draft) -> None:
        conversation = self._conversation
        assert conversation is not None
        if self._hung_up:
            raise HungUpError
        self._replying = True
        self.watch(self._options.reply_timeout)
        reply = await self._reply_to(conversation, draft)
        if conversation is not self._conversation:
            raise LateReplyError
        self._replying = False
        self._idle_commands = self._refused_recipients = 0
        self._forget()
        self._tell(reply)
        await self.flush()  # now, even where more commands are here: until the client hears it, it may send it again

    async def _reply_to(self, conversation: Conversation, draft: Draft) -> Reply:
        try:
            return await conversation.message(draft)
        except SluiceError as error:
            if error is not draft.fault:  # which is counted already
                self._account(error)
            return error.reply
        except Exception:
            log.exception("message failed", session=self._id, peer=self._peer)
            await self._reset(conversation)
            return replies.LOCAL_FAILURE
        finally:
            draft.close()

    def _forget(self) -> None:
        """The transaction is over."""
        if self._draft is not None:
            self._draft.close()
        self._envelope = self._draft = self._started = None
        self._accepted = 0

    async def _abandon(self) -> None:
        """End the open transaction, if there is one, without a message."""
        if self._envelope is None or self._conversation is None:
            return
        self._forget()
        await self._reset(self._conversation)

    async def _reset(self, conversation: Conversation) -> None:
        try:
            await conversation.reset()
        except Exception:
            log.exception("reset failed", session=self._id, peer=self._peer)


def no_argument(argument: str) -> None:
    """Raises Refused when there is an `argument`."""
    if argument:
        raise Refused(replies.NO_ARGUMENT, "syntax")

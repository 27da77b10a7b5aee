"""The mail transactions of one connection: MAIL, RCPT, DATA and BDAT (RFC 5321, RFC 3030)."""

import asyncio
from collections.abc import Awaitable

from relay import replies
from relay.errors import Refused
from relay.intake import commands
from relay.intake.answer import Answered
from relay.intake.certificates import any_matches
from relay.intake.draft import Draft, expected_size
from relay.intake.link import TooSlowError
from relay.intake.reader import ChunkReader, DataReader, Reader
from relay.intake.service import Service
from relay.intake.transfer import receive
from verdicts.mail import Session, Tls

MAX_CHUNK = 1 << 30
"""A refused BDAT chunk is read and thrown away, so that its bytes never become commands; over this many the connection
is closed instead."""


class Transactions(Answered):
    """A link whose client sends mail, one transaction after the other."""

    def __init__(self, service: Service, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(service, loop)
        # Who the client is.
        self._network: str | None = None
        self._helo = ""
        self._esmtp = True
        self._tls: Tls | None = None
        self._facts: Session | None = None  # all of this, as one value; None when it has changed

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

    def _receive(self, reader: Reader, draft: Draft | None) -> Awaitable[None]:
        now = self.loop.time()
        started = self._started or now
        deadline = started + self._options.transfer_timeout
        if draft is not None:
            self._started = started
            if now > deadline:  # chunks that come whole are never waited for
                raise TooSlowError
        return receive(self, reader, draft, self._options.data_timeout, deadline)


def no_argument(argument: str) -> None:
    """Raises Refused when there is an `argument`."""
    if argument:
        raise Refused(replies.NO_ARGUMENT, "syntax")

"""The way of a message from its last byte to the reply, and what may end it from outside."""

import asyncio

import structlog

from relay import replies
from relay.errors import SluiceError
from relay.intake.draft import Draft
from relay.intake.link import HungUpError, LinkError
from relay.intake.service import Conversation, Service
from relay.intake.told import Told
from relay.observe.metrics import BYTES, SIZE, STAGE_SECONDS
from relay.replies import Reply
from verdicts.mail import Envelope

log = structlog.get_logger("relay.intake")
_READ_SECONDS = STAGE_SECONDS.labels("read")


class LateReplyError(LinkError):
    """The message of this coroutine is answered already, and the session goes on elsewhere."""


class Answered(Told):
    """A link with at most one transaction at a time, whose message gets one reply."""

    def __init__(self, service: Service, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(service, loop)
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

    # The message.

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
        if self._hung_up:
            raise HungUpError
        conversation = self._conversation
        assert conversation is not None
        self._replying = True
        self.watch(self._options.reply_timeout)
        reply = await self._reply_to(conversation, draft)
        if conversation is not self._conversation:
            raise LateReplyError
        self._replying = False
        self._idle_commands = self._refused_recipients = 0
        self._draft = None  # it is closed
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
            self._draft = None
        self._envelope = self._started = None
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

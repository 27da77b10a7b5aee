"""What all sessions of a worker share, and who of them is there."""

import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from relay import replies
from relay.errors import Refused
from relay.intake.admission import Admission
from relay.intake.budget import Budget
from relay.intake.draft import Draft
from relay.intake.options import IntakeOptions
from relay.observe.metrics import SESSIONS_OPEN
from relay.replies import Reply
from verdicts.mail import Envelope, Recipient, Session


class Conversation(Protocol):
    """What the journey does for one connection, in the order of SMTP. Replies are what the client hears.

    Any SluiceError that it raises is answered with its reply; any other exception with 451 4.3.0.
    """

    async def mail(self, session: Session, envelope: Envelope) -> Reply:
        """A transaction begins; syntax, TLS, SIZE and the budget are checked. Not 2yz: it has not begun."""

    async def rcpt(self, recipient: Recipient) -> Reply:
        """One more recipient; 2yz: it is part of the envelope from now on."""

    async def message(self, draft: Draft) -> Reply:
        """The message is here, or has a `fault`. Ends the transaction. Never cancelled; the draft is closed after."""

    async def reset(self) -> None:
        """The transaction ends without a message: RSET, EHLO, QUIT, STARTTLS, hang-up, time-out. Idempotent."""

    def lost(self) -> None:
        """While `message` runs: the client is gone, or has heard that it took too long."""

    def hand_over_begun(self) -> bool:
        """Whether bytes of the body may have gone to the next hop, so that `message` must not be given up."""


class Member(Protocol):
    """A session, as the drain sees it."""

    def drain(self) -> None:
        """End now if no transaction is open, else after it."""

    def cut(self) -> None:
        """End now, unless a hand-over has begun."""


@dataclass(slots=True)
class Sessions:
    """The sessions of one worker, those included whose client is gone while their message is handed over."""

    draining: bool = False
    members: set[Member] = field(default_factory=set)
    when_empty: Callable[[], object] | None = None
    """Called each time that the last session ends."""
    _peers: dict[str, int] = field(default_factory=dict)

    def enter(self, session: Member, limit: int) -> bool:
        """A connection is there; False when it is one more than `limit`, and no session."""
        if len(self.members) >= limit:
            return False
        self.members.add(session)
        SESSIONS_OPEN.inc()
        return True

    def enter_peer(self, peer: str, limit: int) -> None:
        """Its peer is known. Raises Refused when the peer has more than `limit`."""
        count = self._peers[peer] = self._peers.get(peer, 0) + 1
        if count > limit:
            raise Refused(replies.TOO_MANY_SESSIONS, "too_many_sessions_of_peer")

    def leave(self, session: Member, peer: str | None) -> None:
        """A session ended; `peer` is None when `enter_peer` was not called for it."""
        self.members.discard(session)
        SESSIONS_OPEN.dec()
        if peer is not None:
            left = self._peers.pop(peer) - 1
            if left:
                self._peers[peer] = left
        if self.when_empty is not None and not self.members:
            self.when_empty()


@dataclass(slots=True)
class Service:
    """What a session needs of the worker. A reload replaces `options` and `admission`; open sessions keep theirs."""

    options: IntakeOptions
    admission: Admission
    converse: Callable[[], Conversation]
    tls: Callable[[], ssl.SSLContext | None]
    budget: Budget
    sessions: Sessions = field(default_factory=Sessions)
    failed_handshakes: int = 0

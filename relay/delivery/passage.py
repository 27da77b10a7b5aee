"""Passage: one transaction with a next hop, held open between RCPT and the body."""

from collections.abc import Awaitable, Callable, Coroutine, Iterable
from typing import Any, TypeVar

from relay import replies
from relay.delivery.commands import check_needs, mail_command, rcpt_command
from relay.delivery.connection import Connection
from relay.delivery.failure import HopError, told
from relay.delivery.hop import Hop
from relay.delivery.sender import BATCH, bdat_pieces, data_pieces, joined
from relay.errors import Abandoned, Refused
from relay.replies import Reply
from verdicts.mail import Envelope, Recipient

T = TypeVar("T")


class Passage:
    """Ask recipients, then hand over, then done; or `reset` at any time. One call at a time.

    Replies of the next hop are returned word for word. Raises NextHopFailed (always a 4xx) when there is none, and
    Refused when the next hop lacks what the message needs.
    """

    def __init__(self, hop: Hop, envelope: Envelope) -> None:
        self.begun = False
        """Whether bytes of the body may have gone to the next hop. From then on nothing is tried again."""
        self._hop = hop
        self._envelope = envelope
        self._accepted: list[Recipient] = []
        self._connection: Connection | None = None
        self._open = False

    @property
    def accepted(self) -> tuple[Recipient, ...]:
        """The recipients that the next hop accepted, in order."""
        return tuple(self._accepted)

    async def ask(self, recipient: Recipient) -> Reply:
        """The next hop's reply to this recipient; its reply to MAIL when it refuses that.

        Raises NextHopFailed, Refused.
        """
        reply = await self._on_connection(lambda connection: self._ask(connection, recipient))
        if reply.positive:
            self._accepted.append(recipient)
        self._rest()
        return reply

    async def hand_over(
        self,
        pieces: Callable[[], Iterable[bytes]],
        size: int,
        bare: bool,
        wanted: Callable[[], bool] = lambda: True,
        dotted: bool = True,
    ) -> Reply:
        """Send the content and return the next hop's final reply.

        `size` is in bytes; `bare`: there is a bare CR or LF in it; `dotted`: a line of it may begin with a dot. By BDAT
        where offered (RFC 3030), else by DATA. At least one recipient must have been accepted. `wanted` is asked in
        the very moment before the body begins. Raises NextHopFailed, Refused, Abandoned when it is not wanted any
        more, and what `pieces` raises.
        """
        try:
            return await self._on_connection(
                lambda connection: self._hand_over(connection, pieces, size, bare, wanted, dotted)
            )
        finally:
            self._let_go()

    async def reset(self) -> None:
        """End the transaction without a message, if one is open."""
        self._let_go()

    # The connection: taken, lent back while resting, let go.

    async def _on_connection(self, act: Callable[[Connection], Awaitable[T]]) -> T:
        """Act on the held connection, or on another one.

        When one that had worked before turns out to be dead and the body has not begun, then once more on another;
        each of those has left the pool, so that it ends with a new connection.
        """
        while True:
            proven = False
            try:
                connection = self._take() or await self._acquire()
                proven = connection.proven
                return await act(connection)
            except HopError as error:
                if error.kind == "protocol" and self._connection is not None:
                    self._connection.abort()
                self._let_go()
                if error.kind != "hung_up" or self.begun or not proven:
                    raise told(error) from error
            except BaseException:
                self._let_go()
                raise

    def _take(self) -> Connection | None:
        """The held connection, or one that is free."""
        connection = self._connection
        if connection is not None and connection.alive:
            self._hop.works(connection)
        else:
            self._let_go()
            connection = self._connection = self._hop.take(self)
        return connection

    async def _acquire(self) -> Connection:
        self._connection = await self._hop.acquire(self)
        return self._connection

    def _rest(self) -> None:
        if self._connection is not None:
            self._hop.rests(self._connection)

    def recalled(self) -> None:
        """The connection was taken away while nothing was done with it; what was asked is asked again."""
        self._connection = None
        self._open = False

    def _let_go(self) -> None:
        connection, self._connection = self._connection, None
        self._open = False
        if connection is not None:
            self._hop.release(connection)

    # The transaction.

    def _ask(self, connection: Connection, recipient: Recipient) -> Coroutine[Any, Any, Reply]:
        return self._add(connection, recipient) if self._open else self._begin(connection, recipient)

    async def _add(self, connection: Connection, recipient: Recipient) -> Reply:
        return _final(await connection.exchange([self._rcpt(connection, recipient)]))[0]

    async def _begin(self, connection: Connection, *new: Recipient) -> Reply:
        """MAIL, and RCPT for all who were accepted before and for `new`; the last reply, or the one that refuses MAIL.

        Raises HopError, "changed" when it is not what was said before.
        """
        again, proven = len(self._accepted), connection.proven
        commands = [self._mail(connection), *[self._rcpt(connection, each) for each in (*self._accepted, *new)]]
        connection.dirty = True
        answers = _final(await connection.exchange(commands))
        mail = answers[0]
        if mail.code == 421 and proven:  # an old connection that the next hop closes just now
            raise HopError("hung_up", str(mail))
        if again:
            refused = [str(reply) for reply in answers[: again + 1] if not reply.positive]
            if refused:
                raise HopError("changed", refused[0])
        self._open = mail.positive
        return answers[-1] if self._open else mail

    def _mail(self, connection: Connection) -> bytes:
        try:
            check_needs(self._envelope, connection.features)
            return mail_command(self._envelope, connection.features)
        except Refused as error:
            if self._accepted:  # another server of the same next hop
                raise HopError("changed", str(error)) from error
            raise

    def _rcpt(self, connection: Connection, recipient: Recipient) -> bytes:
        return rcpt_command(recipient, self._envelope, connection.features)

    async def _hand_over(
        self,
        connection: Connection,
        pieces: Callable[[], Iterable[bytes]],
        size: int,
        bare: bool,
        wanted: Callable[[], bool],
        dotted: bool,
    ) -> Reply:
        if not self._open:
            await self._begin(connection)
        content = pieces()
        if size < BATCH:  # it goes in one write, so its pieces need not be looked at one by one
            content = joined(content)
        if "chunking" in connection.features:
            body = bdat_pieces(content, size)
        elif bare:
            raise Refused(replies.NEXT_HOP_LACKS_CHUNKING, "bdat_needed")
        else:
            start = (await connection.exchange([b"DATA\r\n"]))[0]
            if start.positive:
                raise HopError("protocol", f"DATA was answered {start}")
            if start.code >= 400:
                return start
            body = data_pieces(content, dotted=dotted)
        if not wanted():
            connection.abort()  # after DATA nothing else ends the transaction without a message
            raise Abandoned
        self.begun = True
        (reply,) = _final([await connection.send(body, size)])
        connection.dirty = not reply.positive  # RFC 3030 section 3 wants RSET behind a failed BDAT
        return reply


def _final(answers: list[Reply]) -> list[Reply]:
    for reply in answers:
        if reply.code < 400 and not reply.positive:
            raise HopError("protocol", f"3yz was not expected: {reply}")
    return answers

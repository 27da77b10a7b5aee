"""Transaction: one MAIL command and all that belongs to it until its message has ended."""

from collections.abc import Iterator
from contextlib import contextmanager

from relay import replies
from relay.account import Account
from relay.delivery.passage import Passage
from relay.errors import NextHopFailed, Refused
from relay.rooms import Rooms
from relay.tenants.directory import Route
from verdicts.mail import Envelope, Recipient, Session


class Transaction:
    """The rooms that it began with, its envelope, its route, its place at the next hop, and the account of it."""

    def __init__(self, rooms: Rooms, session: Session, envelope: Envelope) -> None:
        self.rooms, self.session, self.envelope = rooms, session, envelope
        self.account = Account(rooms.node, session, rooms.clock)
        self.route: Route | None = None
        """Where it goes; None before the first recipient, and for connector validation."""
        self.passage: Passage | None = None
        self._open, self._failed = True, False
        rooms.users += 1

    @property
    def recipients(self) -> list[str]:
        """The addresses that were accepted."""
        return [recipient.address for recipient in self.envelope.recipients]

    async def follow(self, address: str) -> None:
        """Take the route of `address`; the first accepted recipient binds it for good. Raises Refused."""
        route = self.rooms.route(address)
        if self.envelope.recipients and route != self.route:
            raise Refused(replies.OTHER_ROUTE, "other_route")
        if route is not None and (route != self.route or self.passage is None):
            await self.give_up_passage()
            self.passage = self.rooms.delivery.passage(route.hop.host, route.hop.port, self.envelope)
            self.account.routed(route)
        self.route = route

    def accept(self, recipient: Recipient) -> None:
        """One more recipient."""
        self.envelope = self.envelope.with_recipient(recipient)

    @contextmanager
    def telling_failures(self) -> Iterator[None]:
        """Tell the rooms, once for a message, when what happens inside shows that the next hop fails.

        There is no record of a message whose recipients cannot be asked: its sender hears so and goes.
        """
        try:
            yield
        except NextHopFailed as error:
            if self.route is not None and not self._failed:
                self._failed = True
                self.rooms.hop_failed(self.route.tenant.name, str(self.route.hop), error.reason)
            raise

    async def give_up_passage(self) -> None:
        """End the transaction at the next hop, if one is open there."""
        passage, self.passage = self.passage, None
        if passage is not None:
            await passage.reset()

    async def end(self) -> None:
        """It is over, here and at the next hop; may be called again."""
        await self.give_up_passage()
        if self._open:
            self._open = False
            self.rooms.users -= 1  # a reload closes rooms that nobody is in

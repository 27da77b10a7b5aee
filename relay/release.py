"""Release: a withheld message takes the rest of its way, dressed as a clean one, to the next hop that it was for."""

from collections.abc import Iterator

from relay.delivery.delivery import Delivery
from relay.dressing import Dresser
from relay.quarantine.entry import Entry
from relay.replies import Reply
from relay.sealing import Sealer
from relay.tenants.hops import NextHop
from relay.tenants.model import Tenant
from relay.tenants.proof import prove
from verdicts.mail import Envelope, Mail, Recipient, Session


class Kept:
    """The bytes of a kept message as the Content of a Mail."""

    def __init__(self, message: bytes) -> None:
        self._message = message
        self.size = len(message)

    def pieces(self) -> Iterator[bytes]:
        """The bytes, in one piece."""
        yield self._message

    def view(self) -> memoryview:
        """All bytes."""
        return memoryview(self._message)

    @property
    def bare(self) -> bool:
        """Whether there is a CR or LF that is not half of a CRLF: then only BDAT carries it."""
        pairs = self._message.count(b"\r\n")
        return any(self._message.count(half) != pairs for half in (b"\r", b"\n"))


async def release(
    entry: Entry,
    message: bytes,
    delivery: Delivery,
    dresser: Dresser,
    tenant: Tenant | None,
    sealer: Sealer | None = None,
) -> dict[str, Reply]:
    """Hand `message` to the entry's next hop; what that said, word for word, by recipient.

    The loop value is added where the message came without it and `tenant` is still known. Raises NextHopFailed,
    Refused. `sealer` seals it as it would have been sealed on its way, with what is found out now.
    """
    hop, kept = NextHop.parse(entry.next_hop), Kept(message)
    mail = Mail(Session(**entry.session | {"tls": None}), _envelope(entry), kept, entry.tenant)
    passage = delivery.passage(hop.host, hop.port, mail.envelope)
    try:
        said = {recipient.address: await passage.ask(recipient) for recipient in mail.envelope.recipients}
        if passage.accepted:
            proof = tenant and prove(mail.fields, tenant)
            missing = tenant.known_value if tenant and proof and not proof.present else None
            dressed = dresser.dress(mail, entry.id, loop_value=missing)
            if sealer is not None and proof and proof.ok:
                await sealer.seal(mail, dressed, entry.id)
            final = await passage.hand_over(dressed.pieces, dressed.size, bare=kept.bare)
            said |= {recipient.address: final for recipient in passage.accepted}
        return said
    finally:
        await passage.reset()


def _envelope(entry: Entry) -> Envelope:
    return Envelope(
        sender=entry.sender,
        recipients=tuple(Recipient(**recipient) for recipient in entry.recipients),
        body=entry.body,
        smtputf8=entry.smtputf8,
        size=entry.size,
        ret=entry.ret,
        envid=entry.envid,
    )

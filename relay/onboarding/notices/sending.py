"""The ways to a tenant's escalation contacts: mail, and one webhook of the operator's. Mail never waits for them."""

import asyncio
import hashlib
import hmac
from collections.abc import Collection
from dataclasses import dataclass
from email.headerregistry import Address
from typing import Final, Literal, Protocol

from relay.delivery.delivery import Delivery
from relay.errors import NextHopFailed, Refused
from relay.onboarding.notices import letters
from relay.onboarding.notices.kinds import Notice
from relay.onboarding.notices.texts import Words
from relay.tenants.hops import NextHop
from relay.tenants.model import Tenant
from relay.tenants.proof import LOOP
from relay.tools import PooledHttp
from verdicts.contract import Clock
from verdicts.mail import Envelope, Recipient

WEBHOOK_SECONDS: Final = 20.0
"""How long the webhook may take to answer."""
MAIL_SECONDS: Final = 60.0
"""How long a mail server may take for one notice: those of other tenants wait behind it."""
_ANSWER_BYTES: Final = 65_536

Result = Literal["sent", "postponed", "dropped"]
_BEST: Final[tuple[Result, ...]] = ("sent", "postponed", "dropped")
"""The better ones first."""


@dataclass(frozen=True, slots=True)
class Sent:
    """What became of a notice. "postponed": nobody has it, and it may be tried again; "dropped": it is not."""

    result: Result
    detail: str = ""
    """For the log: who heard, or why not."""


@dataclass(slots=True)
class Attempt:
    """One notice that is to be sent."""

    notice: Notice
    words: Words
    tenant: Tenant
    own: Collection[str]
    """The domains of the tenant whose next hops may be used."""
    begun: bool = False
    """Whether somebody may have it; from then on it is not tried again."""

    def begin(self) -> bool:
        """To be called in the moment before it goes out."""
        self.begun = True
        return True


class Way(Protocol):
    """One way to send notices."""

    name: str

    def serves(self, tenant: Tenant) -> bool:
        """Whether anything about the tenant is told by this way."""

    async def send(self, attempt: Attempt) -> Sent:
        """Send one notice."""

    async def close(self) -> None:
        """Close connections."""


class MailWay:
    """Mail to a tenant's contacts: by `server` when there is one, else by the tenant's own next hops."""

    name = "mail"

    def __init__(self, sender: Address, node: str, delivery: Delivery, server: NextHop | None = None) -> None:
        self._sender, self._node = sender, node
        self._delivery, self._server = delivery, server

    def serves(self, tenant: Tenant) -> bool:
        """Whether it has contacts, and wants them to be told."""
        return tenant.notices and bool(tenant.contacts)

    async def send(self, attempt: Attempt) -> Sent:
        """One message to each contact; sent when one of them is reached."""
        contacts = attempt.tenant.contacts
        told = await asyncio.gather(*(self._to(contact, attempt) for contact in contacts))
        best: Result = min((one.result for one in told), key=_BEST.index, default="dropped")
        return Sent(best, "; ".join(f"{to}: {one.detail}" for to, one in zip(contacts, told, strict=True)))

    async def _to(self, contact: str, attempt: Attempt) -> Sent:
        hop = self._server or _next_hop(contact, attempt)
        if hop is None:
            return Sent("dropped", "not in a domain that is proved to be the tenant's, and there is no notices.server")
        try:
            to = letters.address(contact)
            content = letters.mail(attempt.notice, attempt.words, sender=self._sender, contact=to, node=self._node)
        except ValueError:
            return Sent("dropped", "no address that mail can be sent to")
        if self._server is None:
            # It comes from our address, but the tenant's rule may also want its value, else it sends it here. The
            # rule takes the value off where our script made it; the operator's server never gets to see it.
            content = f"{LOOP}: {attempt.tenant.known_value}\r\n".encode("ascii") + content
        return await self._hand_over(hop, to.addr_spec, content, attempt)

    async def _hand_over(self, hop: NextHop, address: str, content: bytes, attempt: Attempt) -> Sent:
        """With the null sender, so that nothing ever comes back (RFC 3834 section 4, RFC 5321 section 4.5.5)."""
        utf8, recipient = not address.isascii(), Recipient(address)
        body = "8BITMIME" if utf8 else None
        envelope = Envelope("", (recipient,), body=body, smtputf8=utf8, size=len(content))
        passage = self._delivery.passage(hop.host, hop.port, envelope)
        try:
            async with asyncio.timeout(MAIL_SECONDS):
                reply = await passage.ask(recipient)
                if reply.positive:
                    reply = await passage.hand_over(lambda: [content], len(content), bare=False, wanted=attempt.begin)
        except NextHopFailed as error:
            return Sent("dropped" if passage.begun else "postponed", str(error))
        except TimeoutError:
            return Sent("dropped" if passage.begun else "postponed", f"not done within {MAIL_SECONDS:g} seconds")
        except (Refused, ValueError) as error:
            return Sent("dropped", str(error))
        finally:
            await passage.reset()
        return Sent("sent" if reply.positive else "dropped" if reply.permanent else "postponed", str(reply))

    async def close(self) -> None:
        """Close connections."""
        await self._delivery.close()


def _next_hop(contact: str, attempt: Attempt) -> NextHop | None:
    name = contact.rpartition("@")[2]
    domains = (domain for domain in attempt.tenant.domain if domain.name == name and name in attempt.own)
    return next((domain.next_hop for domain in domains), None)


class WebhookWay:
    """One POST of JSON for each notice, signed as those of the engine `webhook` are."""

    name = "webhook"

    def __init__(self, url: str, secret: bytes, node: str, clock: Clock) -> None:
        self._url, self._secret, self._node, self._clock = url, secret, node, clock
        self._http = PooledHttp()

    def serves(self, tenant: Tenant) -> bool:
        """Whether the tenant wants notices at all."""
        return tenant.notices

    async def send(self, attempt: Attempt) -> Sent:
        """Sent when the answer is 2xx. The same notice comes again when an answer is lost; its `id` tells."""
        body = letters.as_json(attempt.notice, attempt.words, self._node)
        try:
            async with asyncio.timeout(WEBHOOK_SECONDS):
                answer = await self._http.post(self._url, headers=self._headers(body), body=[body], limit=_ANSWER_BYTES)
        except (OSError, ValueError) as error:  # TimeoutError is an OSError
            # Not the URL: whoever knows it may need nothing else.
            return Sent("postponed", f"{type(error).__name__}: {error}".replace(self._url, "(url)"))
        return Sent("sent" if 200 <= answer.status < 300 else "postponed", f"HTTP status {answer.status}")

    def _headers(self, body: bytes) -> list[tuple[str, str]]:
        timestamp = str(int(self._clock.time()))
        signature = hmac.new(self._secret, timestamp.encode() + b"." + body, hashlib.sha256)
        return [
            ("Content-Type", "application/json"),
            ("Content-Length", str(len(body))),
            ("Sluice-Timestamp", timestamp),
            ("Sluice-Signature", f"v1={signature.hexdigest()}"),
        ]

    async def close(self) -> None:
        """Close connections."""
        await self._http.close()

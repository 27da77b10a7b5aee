"""Who a message is really of: SPF, DKIM, DMARC and ARC as they were when Microsoft took it in, computed once per mail.

The connecting address and HELO are Microsoft's evidence (`mail.origin`), never those of our own client.
"""

import asyncio
from collections.abc import Awaitable
from typing import NamedTuple, TypeVar

from verdicts.contract import Dns, Kind, Tools
from verdicts.domains import a_label
from verdicts.identity import arc, dkim, dmarc, spf
from verdicts.identity.arc import Arc
from verdicts.identity.author import Author, author_of
from verdicts.identity.dkim import Signature
from verdicts.identity.dmarc import Dmarc
from verdicts.identity.results import Microsoft, microsoft_of
from verdicts.identity.signatures import SignedMessage
from verdicts.identity.spf import Spf
from verdicts.mail import Mail

LOOKUP_SECONDS = 6.0
"""For all look-ups of one message; what is not known then is "temperror" (RFC 7208 section 4.6.4 names 20 s)."""

_KEY = "authentication:running"

T = TypeVar("T")


class Authentication(NamedTuple):
    """What is proven of a message."""

    author: Author
    spf: Spf
    dkim: tuple[Signature, ...]
    dmarc: Dmarc
    arc: Arc
    microsoft: Microsoft
    too_much: str = ""
    """Why no signature was looked at; empty when they were."""

    @property
    def authentic(self) -> bool:
        """Whether SPF or DKIM proves the one domain that stands in From, published policy or not."""
        return bool(self.author.domain) and (self.dmarc.spf or self.dmarc.dkim)


class _Running:
    """One authentication at work, and how many wait for it."""

    def __init__(self, mail: Mail, tools: Tools) -> None:
        self.task = asyncio.create_task(_authenticate(mail, tools))
        self.waiting = 0


async def authenticate(mail: Mail, tools: Tools) -> Authentication:
    """The authentication of `mail`, for any number of engines at the same time.

    It ends early only when all who wait for it are cancelled; who comes then begins anew.
    """
    running = mail.cache.get(_KEY)
    if not isinstance(running, _Running):
        running = mail.cache[_KEY] = _Running(mail, tools)
    running.waiting += 1
    try:
        return await asyncio.shield(running.task)
    finally:
        running.waiting -= 1
        if not running.waiting and not running.task.done():
            del mail.cache[_KEY]
            running.task.cancel()
            await asyncio.wait((running.task,))  # it holds on to the bytes of the message


async def _authenticate(mail: Mail, tools: Tools) -> Authentication:
    dns = _Lookups(tools.dns)
    author = author_of(mail.fields)
    message = await SignedMessage.read(mail)
    async with asyncio.TaskGroup() as group:
        by_policy = group.create_task(dmarc.discover(dns, author.domain))  # first: a sender's DNS may be slow by intent
        by_spf = group.create_task(_spf(mail, dns))
        by_arc = group.create_task(arc.check(message, dns))
        by_dkim = group.create_task(
            dkim.check(message, dns, tools.clock.time(), lambda domain: dmarc.aligned(author.domain, domain))
        )
    signatures, sender = by_dkim.result(), by_spf.result()
    policy = dmarc.check(by_policy.result(), author, sender, signatures, too_much=bool(message.too_much))
    microsoft = microsoft_of(mail.fields) if mail.proven else Microsoft()
    return Authentication(author, sender, signatures, policy, by_arc.result(), microsoft, message.too_much)


async def _spf(mail: Mail, dns: Dns) -> Spf:
    sender, origin = mail.envelope.sender, mail.origin
    helo = origin.helo or ""
    if origin.address is None:
        domain = a_label(sender.rpartition("@")[2] if sender else helo)
        return Spf("temperror", domain, "mfrom" if sender else "helo", "Microsoft does not tell the sender's address")
    return await spf.check(dns, origin.address, sender, helo)


class _Lookups:
    """Look-ups that all have to end in time: the wait for one more is an OSError."""

    def __init__(self, dns: Dns) -> None:
        self._dns = dns
        self._until = asyncio.get_running_loop().time() + LOOKUP_SECONDS

    async def txt(self, name: str) -> tuple[str, ...]:
        """See `contract.Dns`."""
        return await self._in_time(self._dns.txt(name))

    async def addresses(self, name: str) -> tuple[str, ...]:
        """See `contract.Dns`."""
        return await self._in_time(self._dns.addresses(name))

    async def records(self, name: str, kind: Kind) -> tuple[str, ...]:
        """See `contract.Dns`."""
        return await self._in_time(self._dns.records(name, kind))

    async def _in_time(self, answer: Awaitable[T]) -> T:
        async with asyncio.timeout_at(self._until):
            return await answer

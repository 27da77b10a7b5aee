"""A next hop, opened as delivery opens it, and politely left again: no mail is sent."""

import asyncio
import ipaddress
import re
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from ssl import SSLObject

from relay.delivery.commands import MAX_DIGITS
from relay.delivery.connection import Connection
from relay.delivery.delivery import Delivery
from relay.delivery.failure import HopError
from relay.delivery.opening import Opener
from relay.onboarding.doctor.clock import Clocks
from relay.onboarding.doctor.result import Result, Topic, listed
from relay.onboarding.domains.mailhosts import Ours
from relay.tenants.hops import NextHop

MOST = 5
"""Addresses of a next hop that are tried."""
WANTED: Mapping[str, str] = {
    "chunking": "messages with a bare CR or LF are refused",
    "8bitmime": "messages with 8-bit text are refused",
    "smtputf8": "messages with addresses beyond ASCII are refused",
    "pipelining": "each message takes several round trips more",
}
"""What a next hop should offer, and what comes of it when it does not."""
REMEDIES: Mapping[str, str] = {
    "dns": "see the domain's MX record, and correct next_hop",
    "connect": "see whether next_hop is right and whether port 25 may leave this network: many providers block it",
    "tls": "see that next_hop is the name in the domain's MX record: its certificate must be for that name",
    "protocol": "see that next_hop is a mail server, and that no firewall changes what is said on port 25",
}
"""By the kind of a HopError."""
_DATE = re.compile(r"(?:[A-Z][a-z]{2}, )?\d{1,2} [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d (?:[+-]\d{4}|GMT|UTC)")


@dataclass(frozen=True, slots=True)
class Seen:
    """What one address of a next hop said: its offer, or why there is none."""

    address: str
    error: HopError | None = None
    features: Mapping[str, str] | None = None
    tls: str = ""
    """Version and end of the certificate where TLS was used."""


async def hop(
    delivery: Delivery, which: NextHop, tenants: Sequence[str], ours: Ours, size: int, clocks: Clocks
) -> AsyncIterator[Result]:
    """Everything about a next hop, for each of the tenants that use it.

    `ours`: this relay; `size`: the largest message that we take, in bytes; `clocks` hears of the
    time in its greeting.
    """
    opener = delivery.opener(which.host, which.port)
    try:
        addresses = await opener.addresses()
    except HopError as error:
        for tenant in tenants:
            yield Topic("hop.addresses", str(which), tenant).unknown(error.detail, "ask again; see [dns]")
        return
    tried = await asyncio.gather(*(_look(opener, address, which, clocks) for address in addresses[:MOST]))
    for tenant in tenants:
        yield reached(Topic("hop.addresses", str(which), tenant), which.host, addresses, ours)
        for result in judged(which, tenant, tried, size, delivery.tls):
            yield result


def reached(topic: Topic, host: str, addresses: Sequence[str], ours: Ours) -> Result:
    """Whether the next hop has addresses, and is not this relay. Loopback is nobody's: it may be a laboratory's."""
    right = "let next_hop be the host in the domain's MX record"
    if not addresses:
        return topic.failed("it has no address", right)
    own = [one for one in addresses if one in ours.addresses and not ipaddress.ip_address(one).is_loopback]
    if own or host in ours.names:
        return topic.failed("it is this relay itself: mail would go round in circles", right)
    return topic.ok(listed(addresses))


async def _look(opener: Opener, address: str, which: NextHop, clocks: Clocks) -> Seen:
    begun = time.time()
    try:
        connection = await opener.connect_to(address)
    except HopError as error:
        return Seen(address, error)
    try:
        clocks.heard(f"the greeting of {which}", date_in(connection.greeting), begun, time.time())
        return Seen(address, None, dict(connection.features), _tls(connection))
    finally:
        connection.quit()
        with suppress(TimeoutError):
            async with asyncio.timeout(1):
                await connection.closed()


def _tls(connection: Connection) -> str:
    secured = connection.transport.get_extra_info("ssl_object") if connection.transport else None
    if not isinstance(secured, SSLObject):
        return ""
    ends = (secured.getpeercert() or {}).get("notAfter", "")
    return f"{secured.version()}, certificate until {ends}" if ends else f"{secured.version()}"


def date_in(greeting: str) -> float | None:
    """The time that a greeting tells, in seconds since the epoch; Exchange's ends with "ready at Fri, 27 Nov 2026 ...".

    None when it tells none.
    """
    match = _DATE.search(greeting)
    if match is None:
        return None
    try:
        return parsedate_to_datetime(match[0]).timestamp()
    except (ValueError, OverflowError):
        return None


def judged(which: NextHop, tenant: str, tried: Sequence[Seen], size: int, mode: str) -> list[Result]:
    """What the answers of its addresses mean. `mode`: delivery.tls."""
    topic = Topic("hop.opens", str(which), tenant)
    failed, offers = [seen for seen in tried if seen.error], [seen for seen in tried if not seen.error]
    told = listed(f"{seen.error.kind}: {seen.error.detail}" for seen in failed if seen.error)
    if not tried:
        return []
    if not offers:
        assert failed[0].error is not None
        return [topic.failed(told, REMEDIES.get(failed[0].error.kind, REMEDIES["connect"]))]
    opened = f"{listed(seen.address for seen in offers)} takes mail"
    worst = min(offers, key=lambda seen: _limit(seen.features or {}) or float("inf"))
    return [
        topic.warning(f"{opened}, but not {told}", "delivery goes to the others; tell the owner") if failed
        else topic.ok(opened),
        secured(Topic("hop.tls", str(which), tenant), offers, mode),
        sized(Topic("hop.size", str(which), tenant), worst.features or {}, size),
        offered(Topic("hop.features", str(which), tenant), offers),
    ]  # fmt: skip


def secured(topic: Topic, offers: Sequence[Seen], mode: str) -> Result:
    """Whether mail is encrypted on the way to it, and to whom."""
    plain = [seen.address for seen in offers if not seen.tls]
    if plain:
        return topic.warning(f"mail goes to {listed(plain)} in plain text", 'set delivery.tls to "verify"')
    if mode != "verify":
        return topic.warning("the certificate was not looked at", 'set delivery.tls to "verify"')
    return topic.ok(offers[0].tls)


def sized(topic: Topic, features: Mapping[str, str], size: int) -> Result:
    """Whether it takes messages as large as we do (RFC 1870)."""
    limit = _limit(features)
    if limit is None or limit >= size:
        return topic.ok(f"it takes {f'{limit:,} bytes' if limit else 'any size'}, and we take {size:,}")
    return topic.warning(
        f"it takes {limit:,} bytes, and we take {size:,}: messages between are refused by it",
        f"let smtp.max_message_bytes be {limit} or less, and the tenant's rule except larger messages",
    )


def _limit(features: Mapping[str, str]) -> int | None:
    """The largest message by EHLO; None where there is no limit, or none that is a number."""
    text = features.get("size", "").strip()
    return int(text) or None if text.isdecimal() and text.isascii() and len(text) <= MAX_DIGITS else None


def offered(topic: Topic, offers: Sequence[Seen]) -> Result:
    """Whether it offers what messages may need."""
    lacking = [name for name in WANTED if any(name not in (seen.features or {}) for seen in offers)]
    if not lacking:
        return topic.ok(f"it offers {listed(name.upper() for name in WANTED)}")
    return topic.warning(
        "; ".join(f"it does not offer {name.upper()}: {WANTED[name]}" for name in lacking),
        "see that next_hop is the host in the domain's MX record: Exchange Online offers it",
    )

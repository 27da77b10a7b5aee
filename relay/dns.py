"""The resolver, and the only door to dnspython. Next hops and engines have one each: neither waits for the other.

Answers are kept for their TTL, and look-ups of the same thing at the same time are one look-up. `Resolver` also is
`verdicts.contract.Dns`, what engines look things up with.
"""

import asyncio
import ipaddress
import time
from collections import OrderedDict
from collections.abc import Sequence
from typing import Final, Literal

import dns.asyncresolver
import dns.exception
import dns.name
import dns.nameserver
import dns.rdatatype
import dns.resolver

MAX_ENTRIES: Final = 10_000
"""Answers kept; what was not used for longest goes first. Engines look up names that strangers choose."""
MAX_TTL: Final = 3_600.0
"""Seconds that an answer is kept at most."""
AT_ONCE: Final = 300
"""Questions at a time: each takes a socket, and a stranger's message may have hundreds of links."""
NEGATIVE_TTL: Final = 30.0
"""Seconds that "there is none" is kept (RFC 2308 section 5 allows more; a new record should soon be seen)."""


Kind = Literal["A", "AAAA", "MX", "PTR", "TXT"]


class DnsError(OSError):
    """No answer could be had: no server answers, or it says that it failed. May pass."""


_Key = tuple[dns.name.Name, dns.rdatatype.RdataType]
_Answer = tuple[tuple[str, ...], float]
"""The records as text, and for how many seconds they may be kept."""


class Resolver:
    """Looks up names at `servers` ("address:port", "[address]:port"), or at the system's when there are none.

    `timeout`: seconds for one look-up, over all servers and attempts, and waiting for its turn.
    """

    def __init__(self, servers: Sequence[str], timeout: float) -> None:
        self._resolver = _configured(servers)
        self._resolver.timeout = timeout / 2  # leaves time for a second attempt
        self._timeout = timeout
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._kept: OrderedDict[_Key, tuple[tuple[str, ...], float]] = OrderedDict()
        self._running: dict[_Key, asyncio.Task[tuple[str, ...]]] = {}

    async def addresses(self, name: str, ipv6: bool = True) -> tuple[str, ...]:
        """IPv4 addresses of `name`, then IPv6 ones where wanted; CNAMEs are followed; empty when there are none.

        An address is its own answer, and "localhost" is never looked up (RFC 6761 section 6.3). Raises DnsError.
        """
        literal = _literal(name, ipv6)
        if literal is not None:
            return literal
        if not ipv6:
            return await self._look_up(name, dns.rdatatype.A)
        kinds = (dns.rdatatype.A, dns.rdatatype.AAAA)
        answers = await asyncio.gather(*(self._look_up(name, kind) for kind in kinds), return_exceptions=True)
        found = tuple(address for answer in answers if isinstance(answer, tuple) for address in answer)
        failures = [answer for answer in answers if isinstance(answer, BaseException)]
        if failures and not found:
            raise failures[0]
        return found

    async def txt(self, name: str) -> tuple[str, ...]:
        """TXT records of `name`, the strings of each joined (RFC 7208 section 3.3); empty when there are none.

        Raises DnsError.
        """
        return await self._look_up(name, dns.rdatatype.TXT)

    async def records(self, name: str, kind: Kind) -> tuple[str, ...]:
        """Records of one kind as text, MX as "10 mx.acme.example"; empty when there are none. Raises DnsError."""
        return await self._look_up(name, dns.rdatatype.from_text(kind))

    async def _look_up(self, name: str, kind: dns.rdatatype.RdataType) -> tuple[str, ...]:
        try:
            key = (dns.name.from_text(name), kind)
        except (dns.exception.DNSException, UnicodeError):
            return ()  # a name that cannot be, such as one with a label too long, has no records
        kept = self._kept.get(key)
        if kept is not None and kept[1] > time.monotonic():
            self._kept.move_to_end(key)
            return kept[0]
        task = self._running.get(key)
        if task is None:
            task = self._running[key] = asyncio.create_task(self._ask(key))
            task.add_done_callback(lambda done: self._ended(key, done))
        return await asyncio.shield(task)  # who is cancelled does not cancel it for the others

    def _ended(self, key: _Key, task: asyncio.Task[tuple[str, ...]]) -> None:
        del self._running[key]
        if not task.cancelled():
            task.exception()  # nobody may be left to hear of it

    async def _ask(self, key: _Key) -> tuple[str, ...]:
        try:
            async with asyncio.timeout(self._timeout), self._turns:  # dnspython's own limit was seen to overrun
                records, ttl = await self._resolve(*key)
        except (TimeoutError, dns.exception.DNSException, OSError) as error:
            raise DnsError(f"{key[0]} {key[1].name}: {str(error) or 'no answer in time'}") from error
        if ttl > 0:
            self._keep(key, records, ttl)
        return records

    async def _resolve(self, name: dns.name.Name, kind: dns.rdatatype.RdataType) -> _Answer:
        try:
            answer = await self._resolver.resolve(name, kind, search=False, lifetime=self._timeout)
        except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
            return (), NEGATIVE_TTL
        ttl = min(answer.chaining_result.minimum_ttl, MAX_TTL)
        if kind == dns.rdatatype.TXT:
            return tuple(b"".join(record.strings).decode("utf-8", "replace") for record in answer), ttl
        return tuple(record.to_text().removesuffix(".") for record in answer), ttl

    def _keep(self, key: _Key, records: tuple[str, ...], ttl: float) -> None:
        self._kept[key] = (records, time.monotonic() + ttl)
        self._kept.move_to_end(key)
        while len(self._kept) > MAX_ENTRIES:
            self._kept.popitem(last=False)


def _configured(servers: Sequence[str]) -> dns.asyncresolver.Resolver:
    if not servers:
        try:
            return dns.asyncresolver.Resolver()
        except dns.resolver.NoResolverConfiguration:  # look-ups fail then; next hops given as addresses still work
            return dns.asyncresolver.Resolver(configure=False)
    resolver = dns.asyncresolver.Resolver(configure=False)
    resolver.nameservers = [_server(server) for server in servers]
    return resolver


def _server(text: str) -> dns.nameserver.Nameserver:
    host, _, port = text.rpartition(":")
    return dns.nameserver.Do53Nameserver(host.strip("[]"), int(port))


def _literal(name: str, ipv6: bool) -> tuple[str, ...] | None:
    if name.lower() in {"localhost", "localhost."}:
        return ("127.0.0.1", "::1") if ipv6 else ("127.0.0.1",)
    try:
        return (str(ipaddress.ip_address(name.strip("[]"))),)
    except ValueError:
        return None

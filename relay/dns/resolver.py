"""The resolver. Next hops, engines and onboarding have one each: none waits for the others.

Answers are kept for their TTL, and look-ups of the same thing at the same time are one look-up. `Resolver` also is
`verdicts.contract.Dns`, what engines look things up with.
"""

import asyncio
import ipaddress
import time
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from typing import Any, Final

import dns.asyncresolver
import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.nameserver
import dns.rdatatype
import dns.resolver

from relay.dns.answers import Answer, Kind, Said
from relay.dns.sockets import Weighing

MAX_ENTRIES: Final = 10_000
"""Answers kept; what was not used for longest goes first. Engines look up names that strangers choose."""
MAX_TTL: Final = 3_600.0
"""Seconds that an answer is kept at most."""
AT_ONCE: Final = 300
"""Questions at a time: each takes a socket, and a stranger's message may have hundreds of links."""
NEGATIVE_TTL: Final = 30.0
"""Seconds that "there is none" is kept (RFC 2308 section 5 allows more; a new record should soon be seen)."""


class DnsError(OSError):
    """No answer could be had: no server answers, says that it failed, or what it says cannot be read. May pass."""


_Key = tuple[dns.name.Name, dns.rdatatype.RdataType]


class Resolver:
    """Looks up names at `servers` ("address:port", "[address]:port"), or at the system's when there are none.

    `timeout`: seconds for one look-up, over all servers and attempts, and waiting for its turn.
    """

    def __init__(self, servers: Sequence[str], timeout: float) -> None:
        self._resolver = _configured(servers)
        self._resolver.timeout = timeout / 2  # leaves time for a second attempt
        self._timeout = timeout
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._way = Weighing()
        self._kept: OrderedDict[_Key, tuple[Answer, float]] = OrderedDict()
        self._running: dict[_Key, asyncio.Task[Answer]] = {}

    async def addresses(self, name: str, ipv6: bool = True) -> tuple[str, ...]:
        """IPv4 addresses of `name`, then IPv6 ones where wanted; CNAMEs are followed; empty when there are none.

        An address is its own answer, and "localhost" is never looked up (RFC 6761 section 6.3). Raises DnsError.
        """
        literal = _literal(name, ipv6)
        if literal is not None:
            return literal
        if not ipv6:
            return await self.records(name, "A")
        answers = await asyncio.gather(*(self.ask(name, kind) for kind in ("A", "AAAA")))
        found = tuple(address for answer in answers for address in answer.records)
        return found or tuple(address for answer in answers for address in _certain(name, answer))

    async def txt(self, name: str) -> tuple[str, ...]:
        """TXT records of `name`, the strings of each joined (RFC 7208 section 3.3); empty when there are none.

        Raises DnsError.
        """
        return await self.records(name, "TXT")

    async def records(self, name: str, kind: Kind) -> tuple[str, ...]:
        """Records of one kind as text, MX as "10 mx.acme.example"; empty when there are none. Raises DnsError."""
        return _certain(name, await self.ask(name, kind))

    async def ask(self, name: str, kind: Kind) -> Answer:
        """What became of the question for records of one kind; CNAMEs are followed. Raises nothing.

        What cannot be read counts as broken when it came by TCP; by UDP anybody can send it, and it is passed over.
        """
        try:
            key = (dns.name.from_text(name), dns.rdatatype.from_text(kind))
        except (dns.exception.DNSException, UnicodeError):
            return Answer(Said.NO_NAME, detail="no name is like this")  # such as one with a label too long
        kept = self._kept.get(key)
        if kept is not None and kept[1] > time.monotonic():
            self._kept.move_to_end(key)
            return kept[0]
        task = self._running.get(key)
        if task is None:
            task = self._running[key] = asyncio.create_task(self._ask(key))
            task.add_done_callback(lambda done: self._ended(key, done))
        return await asyncio.shield(task)  # who is cancelled does not cancel it for the others

    def _ended(self, key: _Key, task: asyncio.Task[Answer]) -> None:
        del self._running[key]
        if not task.cancelled():
            task.exception()  # nobody may be left to hear of it

    async def _ask(self, key: _Key) -> Answer:
        try:
            async with asyncio.timeout(self._timeout), self._turns:  # dnspython's own limit was seen to overrun
                answer, ttl = await self._resolve(*key)
        except (TimeoutError, dns.exception.DNSException, OSError) as error:
            return _failure(error)
        if ttl > 0:
            self._keep(key, answer, ttl)
        return answer

    async def _resolve(self, name: dns.name.Name, kind: dns.rdatatype.RdataType) -> tuple[Answer, float]:
        try:
            found = await self._resolver.resolve(name, kind, search=False, lifetime=self._timeout, backend=self._way)
        except dns.resolver.NXDOMAIN as error:
            return Answer(Said.NO_NAME, alias=_alias(name, error.canonical_name)), NEGATIVE_TTL
        except dns.resolver.NoAnswer as error:
            return _without(name, error.kwargs["response"]), NEGATIVE_TTL
        ttl = min(found.chaining_result.minimum_ttl, MAX_TTL)
        return Answer(Said.FOUND, texts(found), alias=_alias(name, found.canonical_name)), ttl

    def _keep(self, key: _Key, answer: Answer, ttl: float) -> None:
        self._kept[key] = (answer, time.monotonic() + ttl)
        self._kept.move_to_end(key)
        while len(self._kept) > MAX_ENTRIES:
            self._kept.popitem(last=False)


def texts(records: Iterable[Any]) -> tuple[str, ...]:
    """Records of dnspython's as `Answer.records` has them."""
    return tuple(
        b"".join(record.strings).decode("utf-8", "replace")
        if record.rdtype == dns.rdatatype.TXT
        else record.to_text().removesuffix(".")
        for record in records
    )


def _certain(name: str, answer: Answer) -> tuple[str, ...]:
    if not answer.said.certain:
        raise DnsError(f"{name}: {answer.detail}")
    return answer.records


def _alias(name: dns.name.Name, end: dns.name.Name) -> str:
    return "" if name == end else end.to_text(omit_final_dot=True).lower()


def _without(name: dns.name.Name, response: dns.message.QueryMessage) -> Answer:
    """No record, or a server that asks nobody for us and only tells who would know (RFC 2308 section 2.2)."""
    kinds = {rrset.rdtype for rrset in response.authority}
    asks = response.flags & (dns.flags.AA | dns.flags.RA)
    if dns.rdatatype.NS in kinds and dns.rdatatype.SOA not in kinds and not asks:
        raise DnsError("the server only names other servers")
    return Answer(Said.NO_RECORD, alias=_alias(name, response.canonical_name()))


def _failure(error: Exception) -> Answer:
    """Why there is no answer: what became of each server, as dnspython remembers it."""
    troubles = getattr(error, "kwargs", {}).get("errors") or ()
    broken = any(_is_broken(trouble) for *_, trouble, _ in troubles)
    told = (f"{_address(server)}: {_plain(trouble)}" for server, _, _, trouble, _ in troubles)
    detail = "; ".join(dict.fromkeys(told))
    return Answer(Said.BROKEN if broken else Said.NO_ANSWER, detail=detail or _plain(error))


def _address(server: str) -> str:
    """As `dns.servers` writes it; dnspython says "Do53:192.0.2.1@53"."""
    host, _, port = server.removeprefix("Do53:").rpartition("@")
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _is_broken(trouble: object) -> bool:
    passing = (dns.exception.Timeout, dns.message.Truncated)
    return isinstance(trouble, dns.exception.DNSException) and not isinstance(trouble, passing)


def _plain(trouble: object) -> str:
    if isinstance(trouble, TimeoutError | dns.exception.Timeout):
        return "no answer in time"
    return f"it answered {trouble}" if isinstance(trouble, str) else str(trouble) or type(trouble).__name__


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

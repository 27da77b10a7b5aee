"""What the servers of a zone themselves say: no cache between, and each of them asked."""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Final

import dns.exception
import dns.name

from relay.dns.addresses import is_public
from relay.dns.answers import Said
from relay.dns.asking import Question, Reply, ask
from relay.dns.resolver import DnsError, Resolver
from relay.dns.sockets import Weighing

MAX_SERVERS: Final = 8
"""Addresses of a zone's servers that are asked: a stranger's zone may name any number."""
MAX_STEPS: Final = 10
"""Zones that one look-up goes through, by CNAME and delegation (resolvers follow 8 to 16 CNAMEs)."""


@dataclass(frozen=True, slots=True)
class Told:
    """What one server said."""

    server: str
    """Its name and address, or the address alone."""
    said: Said
    records: tuple[str, ...] = ()
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Hearing:
    """What all servers said, in the order in which they were asked."""

    told: tuple[Told, ...] = ()
    problem: str = ""
    """Why the way to the servers ended early, for people."""

    @property
    def said(self) -> Said:
        """Found where any server has it; gone where one says so and none has it; else that nobody can tell."""
        ends = [told.said for told in self.told]
        order = (Said.FOUND, Said.NO_RECORD, Said.NO_NAME, Said.BROKEN)
        return next((said for said in order if said in ends), Said.NO_ANSWER)

    @property
    def records(self) -> tuple[str, ...]:
        """The records of all servers, each once."""
        return tuple(dict.fromkeys(record for told in self.told for record in told.records))

    @property
    def agreed(self) -> bool:
        """Whether all servers that answered said the same."""
        return len({(told.said, frozenset(told.records)) for told in self.told if told.said.certain}) <= 1

    @property
    def detail(self) -> str:
        """Why there is no answer, server by server."""
        silent = [f"{told.server}: {told.detail}" for told in self.told if not told.said.certain]
        return "; ".join(filter(None, [self.problem, *silent]))


@dataclass(frozen=True, slots=True)
class _Place:
    """Where to ask: the name, a zone that it is in, and the names of that zone's servers."""

    name: dns.name.Name
    zone: dns.name.Name
    servers: tuple[str, ...]


class Authority:
    """Asks for TXT records at the servers that have the zone; `resolver` finds these.

    `servers` ("address:port"): asked instead, as resolvers, where the operator wants no others to be asked.
    `port`: of the zones' servers. `private`: ask them at addresses too that are not public; a domain's owner chooses
    what stands there, and could point us at our own network. `seconds`: for one look-up in all; `attempt`: for one
    server by UDP, and as much by TCP.
    """

    def __init__(
        self,
        resolver: Resolver,
        *,
        servers: Sequence[str] = (),
        port: int = 53,
        private: bool = False,
        seconds: float = 20.0,
        attempt: float = 2.0,
    ) -> None:
        self._resolver = resolver
        self._instead = [(server, Resolver([server], seconds)) for server in servers]
        self._port = port
        self._private = private
        self._seconds = seconds
        self._attempt = attempt
        self._way = Weighing()

    async def txt(self, name: str) -> Hearing:
        """What is said about the TXT records of `name`. Raises nothing."""
        if self._instead:
            return Hearing(tuple(await asyncio.gather(*(_by(*instead, name) for instead in self._instead))))
        told: list[Told] = []
        try:
            async with asyncio.timeout(self._seconds):
                problem = await self._walk(dns.name.from_text(name), told)
        except TimeoutError:
            problem = "not all could be asked in time"
        except (dns.exception.DNSException, UnicodeError):
            problem = "no name is like this"
        return Hearing(tuple(told), problem)

    async def _walk(self, name: dns.name.Name, told: list[Told]) -> str:
        """Zone by zone, to where the name's records are. Why a way ended early, if one did."""
        problem, seen = "", set[_Place]()
        waiting = [await self._place(name)]
        while waiting:
            place = waiting.pop(0)
            if isinstance(place, str):
                problem = place
            elif place in seen or len(seen) == MAX_STEPS:
                problem = "the aliases and delegations go in circles, or too far"
            else:
                seen.add(place)
                waiting += await self._onward(place, await self._ask(place, told))
        return problem

    async def _onward(self, place: _Place, replies: Iterable[Reply]) -> list["_Place | str"]:
        """Where the answer is to be had instead, each place once."""
        aliases = dict.fromkeys(reply.alias for reply in replies if reply.alias is not None)
        places = [await self._place(alias) for alias in aliases]
        delegations = {reply.zone: reply.servers for reply in replies if reply.zone is not None}
        return places + [_Place(place.name, zone, servers) for zone, servers in delegations.items()]

    async def _place(self, name: dns.name.Name) -> "_Place | str":
        """The nearest zone above `name`, or why there is none. Whoever has a zone above it tells the way down."""
        failed = "no zone was found"
        for depth in range(len(name.labels), 0, -1):
            zone = name.split(depth)[1]
            answer = await self._resolver.ask(zone.to_text(), "NS")
            if answer.records and not answer.alias:
                return _Place(name, zone, answer.records)
            failed = answer.detail or failed
        return failed

    async def _ask(self, place: _Place, told: list[Told]) -> list[Reply]:
        """Ask all servers of a place at once; those that do not lead on go into `told` as soon as they have spoken."""
        names = place.servers[: 2 * MAX_SERVERS]
        found = await asyncio.gather(*(self._addresses(name, told) for name in names))
        ranked = [each for rank in zip_longest(*found) for each in rank if each is not None]
        chosen = {address: f"{name} ({address})" for name, address in reversed(ranked)}
        question = Question(place.name, place.zone)
        asked = list(reversed(chosen.items()))[:MAX_SERVERS]
        return await asyncio.gather(*(self._ask_one(question, address, server, told) for address, server in asked))

    async def _ask_one(self, question: Question, address: str, server: str, told: list[Told]) -> Reply:
        reply = await ask(question, address, self._port, self._attempt, self._way)
        if not reply.leads_on:
            told.append(Told(server, reply.said, reply.records, reply.detail))
        return reply

    async def _addresses(self, name: str, told: list[Told]) -> list[tuple[str, str]]:
        """(name, address) of a server, those that may be asked."""
        try:
            addresses = await self._resolver.addresses(name)
        except DnsError as error:
            told.append(Told(name, Said.NO_ANSWER, detail=str(error)))
            return []
        refused = [address for address in addresses if not (self._private or is_public(address))]
        if refused or not addresses:
            detail = f"not asked at {refused[0]}, which is not on the Internet" if refused else "it has no address"
            told.append(Told(name, Said.NO_ANSWER, detail=detail))
        return [(name, address) for address in addresses if address not in refused]


async def _by(server: str, resolver: Resolver, name: str) -> Told:
    answer = await resolver.ask(name, "TXT")
    return Told(server, answer.said, answer.records, answer.detail)

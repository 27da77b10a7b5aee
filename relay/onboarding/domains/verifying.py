"""Looks at the domains' TXT records: all the time, for the running service, and at once, for an operator who waits."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import zip_longest
from typing import Final, TypeVar

import structlog

from relay.dns.authority import Authority, Hearing
from relay.errors import StoreFailed
from relay.observe import metrics
from relay.onboarding.domains.verification import STATES, Limits, Look, Seen, due, looked, step
from relay.records import verifications
from relay.records.store import Store
from relay.records.verifications import Row

log = structlog.get_logger("onboarding")

T = TypeVar("T")

AT_ONCE: Final = 20
"""Domains that are looked at at a time: each is a question to up to eight servers."""
AT_MOST: Final = 500
"""Rows of one round. One of servers that say nothing takes eight minutes, and then new domains have their turn."""


@dataclass(frozen=True, slots=True)
class Event:
    """A domain's proof came into another state, or nobody can tell any more how far it is."""

    kind: str
    """The new state ("verified", "lapsing", "lapsed", "failed"), or "unknown"."""
    row: Row


Tell = Callable[[Event], None]
"""Hears of an event. Must not block."""


def announce(event: Event) -> None:
    """Write the event to the log."""
    row = event.row
    tell = log.info if event.kind == "verified" else log.warning
    tell(f"domain {event.kind}", tenant=row.tenant, domain=row.domain, region=row.region, problem=row.problem)


@dataclass(frozen=True, slots=True)
class Checked:
    """What a look came to."""

    row: Row
    look: Look
    hearing: Hearing


LookAt = Callable[[str, list[Row]], Awaitable[list[Checked]]]
"""Looks at one domain's rows."""


class Verifier:
    """Asks `authority` for the records at LABEL.DOMAIN, and writes what becomes of each row.

    `tell` are those who hear of every event, once over all nodes.
    """

    def __init__(
        self,
        store: Store,
        authority: Authority,
        label: str,
        limits: Limits,
        now: Callable[[], float],
        tell: Iterable[Tell] = (),
    ) -> None:
        self._store = store
        self._authority = authority
        self._label = label
        self._limits = limits
        self._now = now
        self._listeners = tuple(tell)
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._one = asyncio.Lock()

    async def recheck(self) -> None:
        """Look at every row whose time has come; of several nodes, one does. Raises StoreFailed."""
        rows = await asyncio.to_thread(verifications.load, self._store)
        now = self._now()
        _count(rows)
        waiting = _fairly(row for row in rows if due(row, now, self._limits))[:AT_MOST]
        if waiting:
            await self._all(waiting, self._claimed_look)
            _count(await asyncio.to_thread(verifications.load, self._store))

    async def verify(self, rows: Iterable[Row]) -> list[Checked]:
        """Look at these rows now, also where people put a record by mistake. Raises StoreFailed."""
        return await self._all(rows, self._thorough_look)

    async def _all(self, rows: Iterable[Row], look: LookAt) -> list[Checked]:
        """All regions of a domain stand at one name, which is asked for once."""
        domains: dict[str, list[Row]] = {}
        for row in rows:
            domains.setdefault(row.domain, []).append(row)
        tasks = [asyncio.create_task(self._in_turn(look, name, own)) for name, own in domains.items()]
        try:
            return [checked for one in await asyncio.gather(*tasks) for checked in one]
        finally:  # when the database fails for one, the others must not go on behind the next round
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _in_turn(self, look: LookAt, name: str, rows: list[Row]) -> list[Checked]:
        async with self._turns:
            try:
                return await look(name, rows)
            except StoreFailed:
                raise
            except Exception as error:  # noqa: BLE001 - a stranger's records must not keep us from all other domains
                log.error("domain cannot be looked at", domain=name, error=repr(error))  # noqa: TRY400
                return []

    async def _stored(self, work: Callable[..., T], *given: object) -> T:
        """What `work` comes to, in a thread. One at a time: a database that makes us wait must not have all threads,
        which mail needs too.
        """
        async with self._one:
            return await asyncio.to_thread(work, self._store, *given)

    async def _claimed_look(self, domain: str, rows: list[Row]) -> list[Checked]:
        now = self._now()
        mine = [row for row in rows if await self._stored(verifications.claim, row, now)]
        if not mine:
            return []
        hearing = await self._authority.txt(f"{self._label}.{domain}")
        return [await self._settled(row, looked(hearing, row.value), hearing) for row in mine]

    async def _thorough_look(self, domain: str, rows: list[Row]) -> list[Checked]:
        hearing = await self._authority.txt(f"{self._label}.{domain}")
        looks = [looked(hearing, row.value) for row in rows]
        if any(look.seen is Seen.NO for look in looks):
            astray = await self._astray(domain)
            looks = [_explained(row, look, astray) for row, look in zip(rows, looks, strict=True)]
        return [await self._settled(row, look, hearing) for row, look in zip(rows, looks, strict=True)]

    async def _astray(self, domain: str) -> dict[str, Hearing]:
        """What stands where people put the record by mistake, by what to tell them."""
        doubled = f"{self._label}.{domain}.{domain}"
        places = {
            f"the record stands at {doubled}: the provider adds the domain; enter {self._label} alone": doubled,
            f"the record stands at {domain} itself: it belongs to {self._label}.{domain}": domain,
        }
        heard = await asyncio.gather(*map(self._authority.txt, places.values()))
        return dict(zip(places, heard, strict=True))

    async def _settled(self, before: Row, look: Look, hearing: Hearing) -> Checked:
        """What becomes of the row, written and told, unless somebody else was faster."""
        after = step(before, look, self._now(), self._limits)
        if await self._stored(verifications.put, after, before):
            if after.state != before.state:
                self._tell(Event(after.state, after))
            elif look.seen is Seen.UNKNOWN and after.problem != before.problem:
                self._tell(Event("unknown", after))
        return Checked(after, look, hearing)

    def _tell(self, event: Event) -> None:
        for listener in self._listeners:
            try:
                listener(event)
            except Exception as error:  # noqa: BLE001 - who cannot hear must not stop the others' proofs
                log.error("event not told", kind=event.kind, domain=event.row.domain, error=str(error))  # noqa: TRY400


def _fairly(rows: Iterable[Row]) -> list[Row]:
    """One of each tenant after another, what was not looked at for longest first: the thousands of domains of one,
    whose servers say nothing, must not keep all others waiting.
    """
    own: dict[str, list[Row]] = {}
    for row in sorted(rows, key=lambda row: row.checked):
        own.setdefault(row.tenant, []).append(row)
    return [row for rank in zip_longest(*own.values()) for row in rank if row is not None]


def _explained(row: Row, look: Look, astray: Mapping[str, Hearing]) -> Look:
    """The look, with where the record stands in place of why it is not where it should be."""
    told = [text for text, hearing in astray.items() if row.value in hearing.records]
    return Look(look.seen, told[0]) if told and look.seen is Seen.NO else look


def _count(rows: Iterable[Row]) -> None:
    states = Counter(row.state for row in rows)
    for state in STATES:
        metrics.DOMAINS.labels(state).set(states[state])

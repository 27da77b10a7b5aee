"""Looks at the domains' TXT records: all the time, for the running service, and at once, for an operator who waits."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

import structlog

from relay.dns.authority import Authority, Hearing
from relay.observe import metrics
from relay.onboarding.verification import STATES, Limits, Look, Seen, due, looked, step
from relay.records import verifications
from relay.records.store import Store
from relay.records.verifications import Row

log = structlog.get_logger("onboarding")

AT_ONCE: Final = 20
"""Domains that are looked at at a time: each is a question to up to eight servers."""
_WARNINGS: Final = ("lapsing", "lapsed", "failed")


@dataclass(frozen=True, slots=True)
class Event:
    """A domain's proof came into another state."""

    kind: str
    """The state: "verified", "lapsing", "lapsed" or "failed"."""
    row: Row


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

    `tell` hears of every change, once over all nodes; it must not block.
    """

    def __init__(
        self,
        store: Store,
        authority: Authority,
        label: str,
        limits: Limits,
        now: Callable[[], float],
        tell: Callable[[Event], None] = lambda _: None,
    ) -> None:
        self._store = store
        self._authority = authority
        self._label = label
        self._limits = limits
        self._now = now
        self._tell = tell
        self._turns = asyncio.Semaphore(AT_ONCE)

    async def recheck(self) -> None:
        """Look at every row whose time has come; of several nodes, one does. Raises StoreFailed."""
        rows = await asyncio.to_thread(verifications.load, self._store)
        now = self._now()
        _count(rows)
        waiting = [row for row in rows if due(row, now, self._limits)]
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
        done = await asyncio.gather(*(self._in_turn(look, name, own) for name, own in domains.items()))
        return [checked for one in done for checked in one]

    async def _in_turn(self, look: LookAt, name: str, rows: list[Row]) -> list[Checked]:
        async with self._turns:
            return await look(name, rows)

    async def _claimed_look(self, domain: str, rows: list[Row]) -> list[Checked]:
        now = self._now()
        mine = [row for row in rows if await asyncio.to_thread(verifications.claim, self._store, row, now)]
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
        if await asyncio.to_thread(verifications.put, self._store, after, before):
            if look.seen is Seen.UNKNOWN and after.problem != before.problem:
                log.warning("domain cannot be checked", **_named(after), problem=after.problem)
            if after.state != before.state:
                self._changed(after)
        return Checked(after, look, hearing)

    def _changed(self, row: Row) -> None:
        tell = log.warning if row.state in _WARNINGS else log.info
        tell(f"domain {row.state}", **_named(row), problem=row.problem)
        try:
            self._tell(Event(row.state, row))
        except Exception as error:  # noqa: BLE001 - a notice that fails must not stop the others' proofs
            log.error("notice failed", **_named(row), error=str(error))  # noqa: TRY400


def _explained(row: Row, look: Look, astray: Mapping[str, Hearing]) -> Look:
    """The look, with where the record stands in place of why it is not where it should be."""
    told = [text for text, hearing in astray.items() if row.value in hearing.records]
    return Look(look.seen, told[0]) if told and look.seen is Seen.NO else look


def _named(row: Row) -> dict[str, str]:
    return {"tenant": row.tenant, "domain": row.domain, "region": row.region}


def _count(rows: Iterable[Row]) -> None:
    states = Counter(row.state for row in rows)
    for state in STATES:
        metrics.DOMAINS.labels(state).set(states[state])

"""Telling: looks for reasons again and again, claims what is due, and has it sent. Mail never waits for any of it.

A notice is claimed in the database before it is sent: of several nodes one sends it, and one that is killed in between
has not sent it rather than twice. What nobody has taken is given back, and is due again.
"""

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence

import structlog

from relay.delivery.delivery import Delivery
from relay.errors import ConfigurationError, StoreFailed
from relay.observe.metrics import NOTICES
from relay.onboarding.notices import due
from relay.onboarding.notices.due import Due, State, key, wanted
from relay.onboarding.notices.kinds import Last, Notice, Reason, Rules
from relay.onboarding.notices.options import Options, problems
from relay.onboarding.notices.sending import Attempt, MailWay, Sent, Way, WebhookWay
from relay.onboarding.notices.sightings import Seen, Sightings
from relay.onboarding.notices.texts import Templates
from relay.records import notices, queries, tenants, verifications
from relay.records.notices import Key, Row
from relay.records.store import Store
from relay.tenants.model import Tenant
from verdicts.contract import Clock

log = structlog.get_logger("notices")

MOST = 100
"""Notices of one look; the others are due at the next one."""
AT_ONCE = 8
"""Notices that are sent at a time."""
LONGEST_PAUSE = 3_600.0
"""Seconds until a notice that could not be sent is tried again, at most; at first it is one look, then twice that."""
EARLIER = 3_600.0
"""Seconds: mail that came with proof so long before what we saw makes that not the tenant's first."""


class Teller:
    """Tells tenants what they should know, by the given ways."""

    def __init__(
        self,
        store: Store,
        sightings: Sightings,
        ways: Sequence[Way],
        templates: Templates,
        rules: Rules,
        node: str,
        clock: Clock,
    ) -> None:
        self._store, self._sightings, self._ways = store, sightings, ways
        self._templates, self._rules, self._node, self._clock = templates, rules, node, clock
        self._known: tuple[int, Mapping[str, Tenant]] = (-1, {})
        """The tenants' revision, and the tenants of that revision by name."""
        self._looking = asyncio.Lock()
        self._later: dict[Key, tuple[float, float]] = {}
        """What could not be sent: when it may be tried again (by the monotonic clock), and the pause after that."""

    async def remember(self) -> None:
        """Write down what this process has seen. Every process does. Raises StoreFailed, and forgets nothing then."""
        seen = self._sightings.take()
        if seen:
            try:
                await asyncio.to_thread(self._remember, seen)
            except BaseException:
                self._sightings.put_back(seen)
                raise

    def _remember(self, seen: Seen) -> None:
        known = self._tenants()
        counts: dict[Key, int] = {}
        first: list[Row] = []
        for way in self._ways:
            for (tenant, kind, subject), count in seen.counts.items():
                if wanted(known.get(tenant), kind, way, self._rules):
                    counts[key(tenant, kind, subject, way)] = count
            for tenant, at in seen.working.items():
                if wanted(known.get(tenant), "working", way, self._rules):
                    old = queries.came_with_proof(self._store, tenant, at - EARLIER)
                    first.append(Row(*key(tenant, "working", "", way), sent=at if old else 0.0, held=int(not old)))
        if counts or first:
            notices.count(self._store, counts, first)

    async def look(self) -> None:
        """Send what is due. One process of a node does. Raises StoreFailed."""
        async with self._looking:
            await self._send(await asyncio.to_thread(self._due))

    async def _send(self, found: Sequence[Due]) -> None:
        now, turns = self._clock.monotonic(), asyncio.Semaphore(AT_ONCE)
        self._later = {one: (until, pause) for one, (until, pause) in self._later.items() if until + pause > now}
        ready = [one for one in found if self._later.get(one.key, (now, 0.0))[0] <= now]

        failed: list[StoreFailed] = []

        async def in_turn(one: Due) -> None:
            async with turns:
                if not failed:  # a database that fails one makes a hundred wait, and threads with them
                    try:
                        await self._tell(one)
                    except StoreFailed as error:
                        failed.append(error)

        ended = await asyncio.gather(*map(in_turn, ready[:MOST]), return_exceptions=True)
        for error in filter(None, [*failed, *ended]):
            raise error

    def _due(self) -> list[Due]:
        last = {row.key: Last(row.sent, row.held) for row in notices.load(self._store)}
        state = State(self._tenants(), verifications.load(self._store), last)
        return due.find(state, self._ways, self._rules, self._clock.time(), self._sightings.failure)

    async def _tell(self, one: Due) -> None:
        now = self._clock.time()
        held = await asyncio.to_thread(notices.claim, self._store, one.key, one.last.sent, now)
        if held is None:  # another node was faster
            return
        notice = Notice(one.reason, now, held, one.last.sent)
        attempt = Attempt(notice, self._templates.words(notice, self._node), one.tenant, one.own)
        try:
            sent = await one.way.send(attempt)
        except asyncio.CancelledError:
            if not attempt.begun:
                await self._give_back(one, now, held)
            raise
        except Exception as error:
            log.exception("notice broke", tenant=one.tenant.name)
            sent = Sent("dropped", repr(error))
        if sent.result == "postponed":
            await self._give_back(one, now, held)
            self._postpone(one.key)
        _account(one, sent, held)

    async def test(self, tenant: Tenant, own: Collection[str]) -> dict[str, Sent]:
        """Send a test notice about `tenant` by every way, and what became of it; `own` as in Attempt."""
        now = self._clock.time()
        notice = Notice(Reason(tenant.name, "test", changed=now), now)
        words = self._templates.words(notice, self._node)
        return {way.name: await _tested(way, Attempt(notice, words, tenant, own)) for way in self._ways}

    async def _give_back(self, one: Due, now: float, held: int) -> None:
        await asyncio.to_thread(notices.give_back, self._store, one.key, now, one.last.sent, held)

    def _postpone(self, which: Key) -> None:
        _, pause = self._later.get(which, (0.0, self._rules.pause / 2))
        pause = min(pause * 2, LONGEST_PAUSE)
        self._later[which] = self._clock.monotonic() + pause, pause

    def _tenants(self) -> Mapping[str, Tenant]:
        if tenants.revision(self._store) != self._known[0]:
            revision, documents = tenants.load(self._store)
            found = map(Tenant.model_validate, documents)
            self._known = revision, {tenant.name: tenant for tenant in found}
        return self._known[1]

    async def close(self) -> None:
        """Close connections, when nothing is sent any more."""
        async with self._looking:
            for way in self._ways:
                await way.close()


def build(
    options: Options, store: Store, sightings: Sightings, node: str, clock: Clock, delivery: Callable[[], Delivery]
) -> Teller | None:
    """Who tells tenants what `options` say; None when nothing is to be told. `delivery` makes the way of mail.

    Raises ConfigurationError.
    """
    wrong = [f"notices.{name}: {problem}" for name, problem in problems(options)]
    if wrong:
        raise ConfigurationError(wrong)
    if not options.wanted:
        return None
    ways: list[Way] = []
    if options.sender is not None:
        ways.append(MailWay(options.read_mailbox(), node, delivery(), options.read_server()))
    if options.webhook is not None:
        ways.append(WebhookWay(options.webhook, options.read_secret(), node, clock))
    return Teller(store, sightings, ways, options.read_templates(), options.rules, node, clock)


async def _tested(way: Way, attempt: Attempt) -> Sent:
    if way.serves(attempt.tenant):
        return await way.send(attempt)
    return Sent("dropped", "the tenant has no contacts, or notices = false")


def _account(one: Due, sent: Sent, held: int) -> None:
    """Count and log what became of a notice."""
    reason = one.reason
    NOTICES.labels(reason.kind, sent.result).inc()
    tell = log.info if sent.result == "sent" else log.warning
    facts = {"tenant": reason.tenant, "kind": reason.kind, "subject": reason.subject, "held": held}
    tell(f"notice {sent.result}", way=one.way.name, detail=sent.detail, **facts)

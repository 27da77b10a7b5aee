"""Builds who tells tenants what they should know, from Settings."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress

from config.settings import Settings
from relay.assembly import message
from relay.delivery.delivery import Delivery
from relay.dns import Resolver
from relay.errors import StoreFailed
from relay.onboarding.notices.options import Options
from relay.onboarding.notices.reasons import own_domains
from relay.onboarding.notices.sending import Sent
from relay.onboarding.notices.sightings import Sightings
from relay.onboarding.notices.telling import Teller, build
from relay.records.store import Store
from relay.records.verifications import Row
from relay.tenants.model import Tenant
from relay.tools import SystemClock

CONNECTIONS = 4
"""Connections to one server that notices take, at most."""
LAST_SECONDS = 5.0
"""How long a process that ends waits for the database."""


def teller(settings: Settings, store: Store, sightings: Sightings) -> Teller | None:
    """Who tells tenants what they should know; None when nothing is to be told. Raises ConfigurationError.

    Its connections are its own, and few: they take none from mail.
    """

    def way(mode: str) -> Delivery:
        table = settings.delivery.model_copy(update={"tls": mode, "connections": CONNECTIONS})
        resolver = Resolver(settings.dns.servers, settings.dns.timeout)
        return message.delivery(settings.model_copy(update={"delivery": table}), resolver)

    notices, onboarding = settings.notices, settings.onboarding
    chosen = Options.of(notices, label=onboarding.txt_label, lapse_days=onboarding.lapse_days)
    mode = settings.delivery.tls if notices.server is None else notices.tls
    return build(chosen, store, sightings, settings.node.name, SystemClock(), lambda: way(mode))


class Herald:
    """One process's part in the telling, over all reloads: what it has seen, and who tells it."""

    def __init__(self, store: Store) -> None:
        self.sightings = Sightings(SystemClock())
        self._store = store
        self._teller: Teller | None = None

    def prepared(self, settings: Settings) -> Teller | None:
        """Who would tell by these settings. Raises ConfigurationError."""
        return teller(settings, self._store, self.sightings)

    async def follow(self, teller: Teller | None) -> None:
        """From now on `teller` tells; the one before ends what it is about."""
        before, self._teller = self._teller, teller
        if before is not None:
            await before.close()

    async def remember(self) -> None:
        """Write down what tenants should hear of, or forget it when there is nobody who tells. Raises StoreFailed."""
        if self._teller is not None:
            await self._teller.remember()
        else:
            self.sightings.take()

    async def look(self) -> None:
        """Send what is due. Raises StoreFailed."""
        if self._teller is not None:
            await self._teller.look()

    async def close(self) -> None:
        """Write down what was seen last, if the database takes it in time, and close connections."""
        with suppress(StoreFailed, TimeoutError):
            async with asyncio.timeout(LAST_SECONDS):
                await self.remember()
        await self.follow(None)


async def test(settings: Settings, store: Store, tenant: Tenant, proofs: Sequence[Row]) -> dict[str, Sent]:
    """What became of a test notice, by way; nothing when there is none. Raises ConfigurationError."""
    telling = teller(settings, store, Sightings(SystemClock()))
    if telling is None:
        return {}
    try:
        return await telling.test(tenant, own_domains(tenant, proofs))
    finally:
        await telling.close()

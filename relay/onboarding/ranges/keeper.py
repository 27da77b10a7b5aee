"""Keeper: asks Microsoft by itself, when it is time, and tells the log and the metrics what came of it."""

import asyncio
import random
from collections.abc import Callable, Mapping

import structlog

from relay.intake.microsoft import Published
from relay.observe import metrics
from relay.onboarding.ranges.endpoints import Endpoints
from relay.onboarding.ranges.notebook import HOUR, Notebook
from relay.onboarding.ranges.refresh import Outcome, ask
from relay.tools import PooledHttp
from verdicts.contract import Clock

log = structlog.get_logger("ranges")


class Keeper:
    """Asks for one node; only one of its workers has one that is used."""

    def __init__(self, notebook: Notebook, clock: Clock, chance: Callable[[], float] = random.random) -> None:
        """`chance` gives numbers from 0 to 1."""
        self._notebook, self._clock, self._chance = notebook, clock, chance
        self._not_before = clock.monotonic()
        self._share = chance()

    async def look(self, shipped: Mapping[str, Published], url: str, jitter: float) -> None:
        """Ask `url` about those clouds whose time has come: by chance up to `jitter` seconds after it may be asked, and
        after the start.
        """
        delay, now = self._share * jitter, self._clock.time()
        if self._clock.monotonic() < self._not_before + delay:
            return
        memory = await asyncio.to_thread(self._notebook.read)
        for name in shipped:
            if now >= memory.cloud(name).may_be_asked(now) + delay:
                await self._ask(name, shipped[name], url)

    async def _ask(self, name: str, shipped: Published, url: str) -> None:
        self._share = self._chance()
        result = await asked(self._notebook, self._clock, name, shipped, url)
        if result.failed and result.failed.kind == "state":  # else it would be due at once again
            self._not_before = self._clock.monotonic() + HOUR
        tell(result)


async def asked(notebook: Notebook, clock: Clock, name: str, shipped: Published, url: str) -> Outcome:
    """Ask the web service at `url`, as far as it may be asked now, on connections that are closed afterwards."""
    http = PooledHttp()
    try:
        return await ask(notebook, lambda client: Endpoints(http, url, client), name, shipped, clock)
    finally:
        await http.close()


def tell(outcome: Outcome) -> None:
    """Log and count what came of asking."""
    if outcome.failed:
        metrics.RANGES_FAILED.labels(outcome.failed.kind).inc()
        log.warning("Microsoft's ranges cannot be refreshed, the old ones stay",
                    cloud=outcome.name, kind=outcome.failed.kind, detail=str(outcome.failed))  # fmt: skip
    change = outcome.change
    if change and outcome.kind in ("changed", "held"):
        facts = {
            "cloud": outcome.name,
            "added": list(map(str, change.added)),
            "removed": list(map(str, change.removed)),
        }
        if outcome.kind == "changed":
            log.info("Microsoft's ranges changed", **facts)
        else:
            remedy = "sluice ranges show; sluice ranges update --accept"
            log.warning(
                "Microsoft's ranges changed too much, the old ones stay", why=change.suspicion, remedy=remedy, **facts
            )

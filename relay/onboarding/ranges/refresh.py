"""What comes of asking Microsoft: a list that counts, one that waits for an operator's yes, or the same as before.

The decisions are plain functions from what was remembered of a cloud to what is remembered next; `ask` awaits.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from relay.intake.microsoft import Published, newer
from relay.onboarding.ranges.endpoints import Endpoints, Failed
from relay.onboarding.ranges.guards import Difference, difference
from relay.onboarding.ranges.notebook import HOUR, Cloud, Held, Memory, Notebook
from verdicts.contract import Clock

Kind = Literal["early", "unchanged", "changed", "held", "failed"]


@dataclass(frozen=True, slots=True)
class Standing:
    """What counts for one cloud, and what waits."""

    current: Published
    fetched: bool
    """Whether it was fetched, and not shipped."""
    waiting: Held | None
    """A list that is newer, and held back."""
    change: Difference | None
    """What that one would change."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of asking about one cloud."""

    name: str
    kind: Kind
    cloud: Cloud
    """What is remembered now."""
    change: Difference | None = None
    """What is changed, or would be."""
    failed: Failed | None = None


def standing(shipped: Published, cloud: Cloud) -> Standing:
    """What counts: the newer one of the list that is shipped and the one that was fetched."""
    current, held = newer(shipped, cloud.fetched), cloud.held
    if held is None or newer(current, held.published) is current:
        return Standing(current, current is cloud.fetched, None, None)
    change = difference(current.networks, held.published.networks)
    return Standing(current, current is cloud.fetched, held, change)


def claimed(cloud: Cloud, now: float) -> Cloud:
    """Microsoft is going to be asked: for an hour nobody else may. The same `cloud` when it is too early."""
    if now < cloud.may_be_asked(now):
        return cloud
    return replace(cloud, asked=now, next=now + HOUR)


def answered(cloud: Cloud, shipped: Published, found: Published | None, now: float) -> Cloud:
    """Microsoft gave the list `found`, or said that there is none that we do not have."""
    before = standing(shipped, cloud)
    cloud = replace(cloud, checked=now, problem="", held=before.waiting)
    if found is None:
        return cloud
    if difference(before.current.networks, found.networks).suspicion:
        return replace(cloud, held=Held(found, now))
    return replace(cloud, fetched=found, held=None)


def failed(cloud: Cloud, failure: Failed, now: float) -> Cloud:
    """Microsoft gave no answer that can be used: what counted goes on to count."""
    return replace(cloud, problem=str(failure), next=max(cloud.next, now + failure.wait))


def accepted(cloud: Cloud) -> Cloud:
    """An operator says yes to the list that waits."""
    return replace(cloud, fetched=cloud.held.published, held=None) if cloud.held else cloud


def outcome(name: str, shipped: Published, before: Cloud, after: Cloud) -> Outcome:
    """What has come of an answer, by what was and is remembered."""
    old, new = standing(shipped, before), standing(shipped, after)
    if new.waiting:
        return Outcome(name, "held", after, new.change)
    change = difference(old.current.networks, new.current.networks)
    return Outcome(name, "changed" if change else "unchanged", after, change)


async def ask(
    notebook: Notebook, service: Callable[[str], Endpoints], name: str, shipped: Published, clock: Clock
) -> Outcome:
    """Ask about the cloud `name`, if it may be; `service` makes the web service of our client id. Raises nothing."""
    now = clock.time()
    try:
        before, memory = await _change(notebook, name, lambda cloud: claimed(cloud, now))
        cloud = memory.cloud(name)
        if cloud == before:
            return Outcome(name, "early", cloud)
        try:
            found = await _newer_list(service(memory.client), name, standing(shipped, cloud), now)
        except Failed as failure:
            error = failure
            _, memory = await _change(notebook, name, lambda cloud: failed(cloud, error, clock.time()))
            return Outcome(name, "failed", memory.cloud(name), failed=failure)
        before, memory = await _change(notebook, name, lambda cloud: answered(cloud, shipped, found, clock.time()))
        return outcome(name, shipped, before, memory.cloud(name))
    except OSError as error:
        return Outcome(name, "failed", notebook.read().cloud(name), failed=Failed("state", str(error)))


async def _newer_list(service: Endpoints, name: str, known: Standing, now: float) -> Published | None:
    """Microsoft's list, when it is newer than what counts and what waits. Raises Failed."""
    newest = known.waiting.published if known.waiting else known.current
    version = await service.version(name, now)
    return await service.published(name, version, now) if version > newest.version else None


async def _change(notebook: Notebook, name: str, how: Callable[[Cloud], Cloud]) -> tuple[Cloud, Memory]:
    """What was remembered of the cloud, and all that is now. Raises OSError."""
    before = []

    def noted(cloud: Cloud) -> Cloud:
        before.append(cloud)
        return how(cloud)

    memory = await asyncio.to_thread(notebook.change, name, noted)
    return before[0], memory

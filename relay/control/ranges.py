"""What operators do with Microsoft's address ranges. Running nodes notice a change within seconds."""

import asyncio
from pathlib import Path

from config.load import load
from config.settings import Settings
from relay.control.common import Plain, Unusable, iso
from relay.intake.microsoft import shipped_list
from relay.onboarding.ranges.guards import Difference
from relay.onboarding.ranges.keeper import asked
from relay.onboarding.ranges.notebook import Cloud, Notebook
from relay.onboarding.ranges.refresh import Outcome, Standing, accepted, outcome, standing
from relay.tools import SystemClock


def ranges_show(config: Path) -> Plain:
    """What counts for each of the chosen clouds, where it is from, what waits for a yes. Raises ConfigProblems."""
    from relay import assembly  # noqa: PLC0415 - the whole relay, and few commands need it

    settings = load(config)
    admission, memory = settings.admission, Notebook(settings.node.state).read()
    return {
        "admitted": admission.microsoft,
        "refresh": admission.microsoft and admission.refresh,
        "url": admission.endpoints_url,
        "problem": memory.problem,
        "clouds": [
            _plain_cloud(name, memory.cloud(name), one) for name, one in assembly.standings(settings, memory).items()
        ],
    }


def ranges_update(config: Path, *, accept: bool = False) -> list[Plain]:
    """Ask Microsoft now, about each cloud once an hour at most; or `accept` the lists that wait, without asking.

    What came of each cloud: changed, unchanged, held (back), failed, early (asked less than an hour ago).
    Raises ConfigProblems, Unusable, OSError.
    """
    settings = load(config)
    if not settings.admission.microsoft:
        raise Unusable("admission.microsoft is false: Microsoft's ranges are not admitted")
    settings.node.state.mkdir(parents=True, exist_ok=True)
    notebook = Notebook(settings.node.state)
    outcomes = _accept(settings, notebook) if accept else asyncio.run(_ask(settings, notebook))
    return [_plain_outcome(one) for one in outcomes]


def _accept(settings: Settings, notebook: Notebook) -> list[Outcome]:
    from relay import assembly  # noqa: PLC0415 - the whole relay, and few commands need it

    waiting = {name: one for name, one in assembly.standings(settings, notebook.read()).items() if one.waiting}
    if not waiting:
        raise Unusable("no list is held back")
    return [_accepted(settings, notebook, name) for name in waiting]


def _accepted(settings: Settings, notebook: Notebook, name: str) -> Outcome:
    from relay import assembly  # noqa: PLC0415 - the whole relay, and few commands need it

    before, shipped = notebook.read().cloud(name), assembly.shipped_lists(settings)[name]
    after = notebook.change(name, accepted).cloud(name)
    return outcome(name, shipped, before, after)


async def _ask(settings: Settings, notebook: Notebook) -> list[Outcome]:
    from relay import assembly  # noqa: PLC0415 - the whole relay, and few commands need it

    url, clock = settings.admission.endpoints_url, SystemClock()
    lists = assembly.shipped_lists(settings)
    return [await asked(notebook, clock, name, shipped, url) for name, shipped in lists.items()]


def _plain_cloud(name: str, cloud: Cloud, one: Standing) -> Plain:
    ships = shipped_list(name)
    networks = [*((network, ships.label) for network in one.current.networks), *ships.besides]
    return {
        "cloud": name,
        "version": one.current.version,
        "source": "fetched" if one.fetched else "shipped",
        "networks": [{"network": str(network), "label": label} for network, label in networks],
        **_plain_times(cloud),
        "problem": cloud.problem,
        "held": one.waiting and one.change and {
            "version": one.waiting.published.version,
            "since": iso(one.waiting.since),
            "why": one.change.suspicion,
            **_plain_change(one.change),
        },
    }  # fmt: skip


def _plain_times(cloud: Cloud) -> Plain:
    """When Microsoft was asked, when it answered, when it may be asked again; null for never, and for at once."""
    times = {"asked": cloud.asked, "checked": cloud.checked, "next": cloud.may_be_asked(SystemClock().time())}
    return {name: iso(at) if at else None for name, at in times.items()}


def _plain_change(change: Difference) -> Plain:
    return {"added": list(map(str, change.added)), "removed": list(map(str, change.removed))}


def _plain_outcome(one: Outcome) -> Plain:
    now = standing(shipped_list(one.name).published, one.cloud)
    return {
        "cloud": one.name,
        "outcome": one.kind,
        "version": now.current.version,
        "held": now.waiting.published.version if now.waiting else None,
        "why": now.change.suspicion if now.change else "",
        "problem": str(one.failed) if one.failed else one.cloud.problem,
        **_plain_times(one.cloud),
        **_plain_change(one.change or Difference((), (), "")),
    }

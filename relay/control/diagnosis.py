"""What the doctor finds, and what is known before it begins: the settings, the stored tenants."""

import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from config.load import ConfigProblems, load
from config.settings import Settings
from relay.control import examination
from relay.control.common import NotFound, Plain, has_records, iso
from relay.control.examination import Known, Scene
from relay.errors import StoreFailed
from relay.onboarding.doctor.result import Result, State, Topic, counts
from relay.onboarding.doctor.run import run, within
from relay.records import tenants, verifications
from relay.records.store import Store
from relay.tenants.model import TenantFile

BUSY = 2.0
"""Seconds that the doctor waits for the relay's own writes."""
READING = 15.0
"""Seconds for the configuration, and for the tenants, to be read: without them little can be looked at."""


def doctor(config: Path, *, tenant: str | None = None, seconds: float = 60.0, roots: Path | None = None) -> Plain:
    """Everything that can be checked from here, for all tenants or for one, within about so many seconds.

    `roots`: a PEM file of whom Exchange Online trusts; the system's where None. Gives back `node`, `at`, `state` ("ok",
    "warning" or "failed"), `counts` by state, and `results`, each with the fields of `onboarding/doctor/result.py`.
    Nothing is changed, no mail is sent, and no relay needs to run. Raises NotFound for a tenant that is not stored.
    """
    begun = time.time()
    topic = Topic("configuration", str(config))
    try:
        settings = within(min(READING, seconds), lambda: load(config))
    except ConfigProblems as error:
        return _told(
            begun, "", [*map(examination.mistake, error.problems), topic.skipped("all else was not looked at")]
        )
    except TimeoutError:
        return _told(begun, "", [topic.failed("it cannot be read in time", "see the disk that it lies on")])
    return _told(begun, settings.node.name, _results(config, settings, tenant, begun + seconds, roots))


def _results(config: Path, settings: Settings, name: str | None, end: float, roots: Path | None) -> list[Result]:
    store, known, unread = _stored(settings, name, max(1.0, min(READING, end - time.time())))
    try:
        scene = Scene(config, settings, known, store, roots)
        found = run(list(examination.checks(scene)), max(1.0, end - time.time()))
        return [*unread, *found, *scene.clocks.results(time.time())]
    finally:
        if store is not None:
            store.close()


def _stored(settings: Settings, name: str | None, seconds: float) -> tuple[Store | None, Known, list[Result]]:
    """The database, neither made nor changed; the tenants to look at; what is wrong with either. Raises NotFound."""
    topic = Topic("store.reachable", "records")
    try:
        if not within(seconds, lambda: has_records(settings)):
            remedy = "store a tenant with sluice tenant add, which makes it"
            return None, Known(), [topic.warning("there is no database yet", remedy)]
        store = Store(settings.records_url, busy=BUSY)
    except StoreFailed as error:
        return None, Known(), [topic.failed(error.detail, "correct records.url")]
    except TimeoutError:
        return None, Known(), [topic.unknown("its file cannot be looked at in time", "see the disk that it lies on")]
    known, unread = _known(store, name, seconds)
    return store, known, unread


def _known(store: Store, name: str | None, seconds: float) -> tuple[Known, list[Result]]:
    """The tenants to look at, and what is wrong when they cannot be read. Raises NotFound."""
    topic = Topic("store.tenants", name or "tenants")

    def read() -> Known:
        documents, rows = tenants.load(store)[1], verifications.load(store, name)
        return Known(TenantFile.model_validate({"tenant": documents}).tenant, tuple(rows))

    try:
        known = within(seconds, read)
    except StoreFailed as error:
        return Known(), [topic.unknown(error.detail, "see store.reachable and store.schema")]
    except TimeoutError:
        return Known(), [topic.unknown("the database does not answer in time", "see whether it runs")]
    except ValueError:  # its text could tell values
        return Known(), [topic.failed("the stored tenants cannot be understood", "sluice check tells where")]
    if name is not None:
        known = Known(tuple(one for one in known.tenants if one.name == name), known.rows)
        if not known.tenants:
            raise NotFound(f"no such tenant: {name[:64]!a}")
    elif not known.tenants:
        return known, [topic.warning("no tenants are stored: all mail is put off", "sluice tenant add")]
    return known, []


def _told(begun: float, node: str, results: Sequence[Result]) -> Plain:
    count = counts(results)
    state = next((state for state in (State.FAILED, State.WARNING) if count[state]), State.OK)
    plain = [asdict(result) | {"state": str(result.state)} for result in results]
    return {"node": node, "at": iso(begun), "state": str(state), "counts": count, "results": plain}

"""Everything an operator may do. The CLI only translates, and so does whatever comes after it.

All functions block, read the configuration anew and give back plain data: what JSON can say, times as ISO 8601 in UTC,
and no loop value.
"""

import asyncio
import dataclasses
import datetime as dt
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from config.load import load
from config.settings import Node, Settings
from relay import checks
from relay.checks import Report
from relay.errors import ConfigurationError, StoreFailed
from relay.evidence import counted, explanation
from relay.quarantine.entry import Damaged, Entry
from relay.quarantine.folder import Folder
from relay.records import queries, tenants
from relay.records.model import Record
from relay.records.store import Store
from relay.tenants.model import Tenant, TenantFile

if TYPE_CHECKING:
    from relay.records.history import History

Plain = dict[str, Any]


class NotFound(LookupError):
    """Nothing has this identifier."""


class Unusable(ValueError):
    """What was asked for cannot be."""


@dataclass(frozen=True, slots=True)
class Changes:
    """What applying a tenant file did, by the tenants' names."""

    added: tuple[str, ...]
    changed: tuple[str, ...]
    removed: tuple[str, ...]
    unchanged: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Release:
    """What the next hop said to a released message, by recipient."""

    replies: Mapping[str, str]
    taken: bool
    """Whether it was taken for all of them."""
    unmarked: str = ""
    """Why the entry could not be marked as released."""


def check(config: Path, tenant_files: Iterable[Path] = ()) -> Report:
    """All mistakes of all files at once; nothing is changed and nothing raised."""
    return checks.check(config, tenant_files)


def tenant_apply(config: Path, file: Path) -> Changes:
    """Make the stored tenants equal to `file`; a second time changes nothing. Running nodes notice by the revision.

    Raises ConfigProblems with all mistakes of the file, and then nothing is stored; StoreFailed.
    """
    settings = load(config)
    wanted = {tenant.name: tenant.model_dump(mode="json") for tenant in checks.read_tenants(file).tenant}
    with _store(settings) as store:
        stored = {document["name"]: document for document in tenants.load(store)[1]}
        changes = _changes(stored, wanted)
        if changes.added or changes.changed or changes.removed:
            tenants.replace(store, list(wanted.values()))
    return changes


def _changes(stored: Mapping[str, Plain], wanted: Mapping[str, Plain]) -> Changes:
    both = [name for name in wanted if name in stored]
    return Changes(
        added=tuple(name for name in wanted if name not in stored),
        changed=tuple(name for name in both if wanted[name] != stored[name]),
        removed=tuple(name for name in stored if name not in wanted),
        unchanged=tuple(name for name in both if wanted[name] == stored[name]),
    )


def tenant_list(config: Path) -> list[Plain]:
    """The stored tenants; of the loop values only how many there are. Raises ConfigProblems, StoreFailed."""
    with _store(load(config)) as store:
        documents = tenants.load(store)[1]
    return [document | {"loop_values": len(document["loop_values"])} for document in documents]


def scans_list(config: Path, limit: int, *, tenant: str | None = None, outcome: str | None = None) -> list[Plain]:
    """The records of the latest messages, newest first. Raises ConfigProblems, StoreFailed."""
    with _store(load(config)) as store:
        return [_plain_record(record) for record in queries.scans(store, limit, tenant=tenant, outcome=outcome)]


def scan_show(config: Path, record_id: str) -> Plain:
    """One record, and the `explanation` of its decision (`relay/evidence.py`).

    Raises ConfigProblems, NotFound, StoreFailed.
    """
    with _store(load(config)) as store:
        record = queries.scan(store, record_id)
    if record is None:
        raise NotFound(f"no such scan: {record_id[:64]!a}")
    plain = _plain_record(record)
    return plain | {"explanation": explanation(plain)}


def judge(
    config: Path | None,
    content: bytes,
    *,
    tenant: str | None = None,
    sender: str | None = None,
    recipients: Iterable[str] = (),
    peer: str | None = None,
) -> Plain:
    """What engines and policy would say of a message: the names of `scan_show` that apply, and `notes`.

    `sender` and `recipients` of the envelope are guessed from the header when they are not given; `peer` is the IP
    address of who handed it to Microsoft.

    Nothing is changed, and no node needs to run. Without a configuration the default engines judge; without a tenant,
    or where no tenants are stored, the default policy decides. Raises ConfigProblems, NotFound, Refused, StoreFailed.
    """
    from relay import assembly, examine  # noqa: PLC0415 - the whole relay, and few commands need it

    settings = load(config) if config else Settings(node=Node(name="judge.invalid", state=Path()))
    known = _known_tenants(settings) if config and tenant else []
    chosen = next((one for one in known if one.name == tenant), None)
    if known and chosen is None:
        raise NotFound(f"no such tenant: {(tenant or '')[:64]!a}")
    letter = examine.Letter(content, sender, tuple(recipients), peer)
    with _earlier_mail(settings, config) as history:
        told = asyncio.run(assembly.judge(settings, letter, chosen, history))
    if tenant and chosen is None:
        told["notes"].append("no tenants are stored: the default policy decided")
    return told


def _has_records(settings: Settings) -> bool:
    """Whether there is a database; asking one in a file that is not there would make it."""
    return settings.records.url is not None or (settings.node.state / "sluice.db").exists()


@contextmanager
def _earlier_mail(settings: Settings, config: Path | None) -> "Iterator[History | None]":
    """What the records know of earlier mail; None when there are none."""
    if config is None or not _has_records(settings):
        yield None
        return
    from relay.records.history import History  # noqa: PLC0415 - few commands need it
    from relay.tools import SystemClock  # noqa: PLC0415

    store = Store(settings.records_url)
    history = History(store, SystemClock())
    try:
        yield history
    finally:
        history.close()
        store.close()


def _known_tenants(settings: Settings) -> tuple[Tenant, ...]:
    """The stored tenants; none when there is no database yet, which is not made."""
    if not _has_records(settings):
        return ()
    return TenantFile.model_validate({"tenant": checks.stored_documents(settings)}).tenant


def quarantine_list(config: Path, limit: int) -> list[Plain]:
    """The latest entries of the quarantine, newest first. Raises ConfigProblems, StoreFailed."""
    with _folder(load(config)) as folder:
        return [_plain_entry(entry) for entry in folder.list(limit)]


def quarantine_show(config: Path, entry_id: str) -> Plain:
    """One entry: envelope and evidence. Raises ConfigProblems, NotFound, StoreFailed."""
    with _folder(load(config)) as folder:
        return _plain_entry(folder.show(entry_id))


def quarantine_message(config: Path, entry_id: str) -> Iterator[bytes]:
    """The message of an entry, byte for byte. Raises ConfigProblems, NotFound, StoreFailed."""
    with _folder(load(config)) as folder:
        yield from folder.pieces(entry_id)


def quarantine_delete(config: Path, entry_id: str) -> None:
    """Delete an entry for good. Raises ConfigProblems, NotFound, StoreFailed."""
    with _folder(load(config)) as folder:
        folder.delete(entry_id)


def quarantine_release(config: Path, entry_id: str) -> Release:
    """Hand an entry to its next hop. Raises ConfigProblems, NotFound, NextHopFailed, Refused, StoreFailed.

    The entry stays, with what the next hop said noted in it, until it is deleted or has expired.
    """
    from relay.assembly import release  # noqa: PLC0415 - the whole relay, and few commands need it

    settings = load(config)
    with _store(settings) as store:
        known = TenantFile.model_validate({"tenant": tenants.load(store)[1]}).tenant
    with _folder(settings) as folder:
        said = asyncio.run(release(settings, folder, entry_id, known))
        told = {address: str(reply) for address, reply in said.items()}
        try:
            folder.mark_released(entry_id, "; ".join(f"{address}: {reply}" for address, reply in told.items()))
        except StoreFailed as error:  # it is released all the same: a second time would deliver it twice
            return Release(told, all(reply.positive for reply in said.values()), error.detail)
    return Release(told, all(reply.positive for reply in said.values()))


def engine_new(name: str, folder: Path) -> list[Path]:
    """Write the package of a new engine into the new folder; its files. Raises Unusable, OSError."""
    from verdicts import skeletons  # noqa: PLC0415 - only this needs it

    try:
        return skeletons.write(name, folder)
    except ValueError as error:
        raise Unusable(str(error)) from None
    except FileExistsError:
        raise Unusable(f"{folder} is there already") from None


@contextmanager
def _store(settings: Settings) -> Iterator[Store]:
    settings.node.state.mkdir(parents=True, exist_ok=True)
    store = Store(settings.records_url)
    try:
        store.migrate()
        yield store
    finally:
        store.close()


@contextmanager
def _folder(settings: Settings) -> Iterator[Folder]:
    folder = Folder(settings.quarantine_folder)
    try:
        yield folder
    except Damaged as error:
        raise ConfigurationError([f"the entry cannot be read: {error}"]) from None
    except LookupError as error:
        raise NotFound(str(error)) from None
    finally:
        folder.close()


def _plain_record(record: Record) -> Plain:
    return dataclasses.asdict(record) | {"at": _iso(record.at)}


def _plain_entry(entry: Entry) -> Plain:
    findings = [
        {"engine": verdict["engine"]} | finding for verdict in entry.verdicts for finding in verdict.get("findings", ())
    ]
    return dataclasses.asdict(entry) | {
        "at": _iso(entry.at),
        "recipients": [recipient["address"] for recipient in entry.recipients],
        "findings": findings,
        "reason": _reason(entry),
    }


def _reason(entry: Entry) -> str:
    """Why it is withheld, for people: the category, and what the engines that have a say call what they saw."""
    names = [
        f"{verdict['engine']} {finding['name']}"
        for verdict in counted(entry.verdicts)
        for finding in verdict.get("findings", ())
        if finding.get("severity") != "note"
    ]
    return ": ".join(filter(None, [entry.decision.get("category", ""), ", ".join(names)]))


def _iso(at: float) -> str:
    moment = dt.datetime.fromtimestamp(at, dt.UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")

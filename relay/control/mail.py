"""What operators ask about messages: records, judgements, quarantine."""

import asyncio
import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from config.load import load
from config.settings import Node, Settings
from relay import checks
from relay.control.common import NotFound, Plain, has_records, iso, opened
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


@dataclass(frozen=True, slots=True)
class Release:
    """What the next hop said to a released message, by recipient."""

    replies: Mapping[str, str]
    taken: bool
    """Whether it was taken for all of them."""
    unmarked: str = ""
    """Why the entry could not be marked as released."""


def scans_list(config: Path, limit: int, *, tenant: str | None = None, outcome: str | None = None) -> list[Plain]:
    """The records of the latest messages, newest first. Raises ConfigProblems, StoreFailed."""
    with opened(load(config)) as store:
        return [_plain_record(record) for record in queries.scans(store, limit, tenant=tenant, outcome=outcome)]


def scan_show(config: Path, record_id: str) -> Plain:
    """One record, and the `explanation` of its decision (`relay/evidence.py`).

    Raises ConfigProblems, NotFound, StoreFailed.
    """
    with opened(load(config)) as store:
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


@contextmanager
def _earlier_mail(settings: Settings, config: Path | None) -> "Iterator[History | None]":
    """What the records know of earlier mail; None when there are none."""
    if config is None or not has_records(settings):
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
    if not has_records(settings):
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
    with opened(settings) as store:
        known = TenantFile.model_validate({"tenant": tenants.load(store)[1]}).tenant
    with _folder(settings) as folder:
        said = asyncio.run(release(settings, folder, entry_id, known))
        told = {address: str(reply) for address, reply in said.items()}
        try:
            folder.mark_released(entry_id, "; ".join(f"{address}: {reply}" for address, reply in told.items()))
        except StoreFailed as error:  # it is released all the same: a second time would deliver it twice
            return Release(told, all(reply.positive for reply in said.values()), error.detail)
    return Release(told, all(reply.positive for reply in said.values()))


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
    return dataclasses.asdict(record) | {"at": iso(record.at)}


def _plain_entry(entry: Entry) -> Plain:
    findings = [
        {"engine": verdict["engine"]} | finding for verdict in entry.verdicts for finding in verdict.get("findings", ())
    ]
    return dataclasses.asdict(entry) | {
        "at": iso(entry.at),
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

"""Builds every object from Settings, and introduces the rooms to each other."""

import asyncio
import os
import secrets
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import fields as fields_of
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel

from config.settings import Settings
from relay import release as releasing
from relay.account import count_verdict
from relay.delivery.delivery import Delivery
from relay.delivery.options import Options as DeliveryOptions
from relay.dns import Resolver
from relay.dressing import Dresser
from relay.errors import ConfigurationError
from relay.intake.admission import Admission
from relay.intake.microsoft import read_ranges, shipped
from relay.intake.options import IntakeOptions
from relay.observe import metrics
from relay.quarantine.folder import Folder
from relay.records import tenants
from relay.records.model import Record
from relay.records.store import Store
from relay.replies import Reply
from relay.rooms import Rooms
from relay.tenants.directory import Directory
from relay.tenants.loops import Tracer
from relay.tenants.model import Tenant
from relay.tls import Certificates, client_context
from relay.tools import SystemClock, Toolbox
from verdicts import registry
from verdicts.contract import Tools
from verdicts.panel import Panel

OptionsT = TypeVar("OptionsT")


def options(kind: type[OptionsT], table: BaseModel, **more: Any) -> OptionsT:
    """A room's options: the settings of the same names, and `more`."""
    names = {field.name for field in fields_of(kind)} - more.keys()  # type: ignore[arg-type]
    return kind(**{name: getattr(table, name) for name in names}, **more)


def trace_key(state: Path) -> bytes:
    """The key of the trace, made at the first start. Nodes that share tenants share it: copy `trace.key`."""
    path = state / "trace.key"
    if not path.exists():
        state.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=state) as file:
            file.write(secrets.token_bytes(32))
            file.flush()
            with suppress(FileExistsError):  # another process was faster
                os.link(file.name, path)
    return path.read_bytes()


def certificates(settings: Settings) -> Certificates | None:
    """The server's certificate, or None when there is none. Raises ConfigurationError."""
    smtp = settings.smtp
    if smtp.certificate is None or smtp.private_key is None:
        return None
    asks = bool(smtp.client_certificate_names)
    found = Certificates(smtp.certificate, smtp.private_key, smtp.client_certificate_roots, ask_client=asks)
    metrics.CERTIFICATE_EXPIRY.set(found.expiry())
    return found


def intake_options(settings: Settings) -> IntakeOptions:
    """The intake's options."""
    drafts = settings.node.state / "drafts"
    drafts.mkdir(parents=True, exist_ok=True)
    return options(IntakeOptions, settings.smtp, name=settings.node.name, drafts=drafts)


def admission(settings: Settings) -> Admission:
    """Microsoft's ranges of the chosen clouds, and the operator's networks."""
    networks = [(network, "operator") for network in settings.admission.networks]
    if settings.admission.microsoft:
        ranges = read_ranges(shipped(), settings.admission.clouds)
        metrics.RANGES_TIMESTAMP.set(ranges.timestamp)
        networks += ranges.networks
    return Admission(networks)


def directory(store: Store) -> tuple[int, Directory]:
    """The tenants' revision and the directory of that revision. Raises StoreFailed, ConfigurationError."""
    revision, documents = tenants.load(store)
    try:
        return revision, Directory(Tenant.model_validate(document) for document in documents)
    except ValueError as error:
        raise ConfigurationError([f"stored tenants: {error}"]) from error


def rooms(settings: Settings, known: Directory, quarantine: Folder, record: Callable[[Record], None]) -> Rooms:
    """What a message passes. Raises ConfigurationError."""
    resolver = Resolver(settings.dns.servers, settings.dns.timeout)
    toolbox = Toolbox(resolver)
    tracer = Tracer(trace_key(settings.node.state), settings.node.name)
    return Rooms(
        node=settings.node.name,
        directory=known,
        delivery=delivery(settings, resolver),
        panel=panel(settings, toolbox.tools),
        tracer=tracer,
        dresser=Dresser(settings.node.name, tracer, toolbox.tools.clock),
        quarantine=quarantine,
        record=record,
        clock=toolbox.tools.clock,
        toolbox=toolbox,
        max_header_bytes=settings.smtp.max_header_bytes,
        validation_addresses=frozenset(address.lower() for address in settings.admission.validation_addresses),
    )


def panel(settings: Settings, tools: Tools) -> Panel:
    """The engines. Raises ConfigurationError when one cannot be built."""
    metrics.know_engines(settings.engines or registry.DEFAULT)
    seats = registry.build(settings.engines, tools)
    return Panel(seats, settings.judging.deadline, tools.clock, on_verdict=count_verdict)


def delivery(settings: Settings, resolver: Resolver) -> Delivery:
    """The way to the next hops. Raises ConfigurationError when a certificate or the roots cannot be read."""
    chosen = settings.delivery
    context = client_context(chosen.tls, chosen.roots, chosen.certificate, chosen.private_key)
    return Delivery(options(DeliveryOptions, chosen, name=settings.node.name), resolver, lambda: context)


async def retire(old: Rooms, settings: Settings) -> None:
    """Close rooms that a reload replaced, when the last message that could be in them has left."""
    await asyncio.sleep(settings.smtp.transfer_timeout + settings.smtp.reply_timeout)
    await close(old)


async def close(old: Rooms) -> None:
    """Close engines and connections."""
    await old.panel.close()
    await old.delivery.close()
    await old.toolbox.close()


async def release(settings: Settings, folder: Folder, entry_id: str) -> Reply:
    """Hand a withheld message to its next hop; its reply. Raises NoSuchEntry, Damaged, StoreFailed, NextHopFailed."""
    entry = folder.show(entry_id)
    message = b"".join(folder.pieces(entry_id))
    way = delivery(settings, Resolver(settings.dns.servers, settings.dns.timeout))
    tracer = Tracer(trace_key(settings.node.state), settings.node.name)
    try:
        return await releasing.release(entry, message, way, Dresser(settings.node.name, tracer, SystemClock()))
    finally:
        await way.close()

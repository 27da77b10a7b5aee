"""What a message passes, from Settings: the intake's options, the rooms, and the way out of the quarantine."""

import os
import secrets
import tempfile
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import fields as fields_of
from pathlib import Path
from typing import Any, TypeVar

import structlog
from pydantic import BaseModel

from config.settings import Settings
from relay import release as releasing
from relay.account import count_verdict, tell_breaker
from relay.delivery.delivery import Delivery
from relay.delivery.options import Options as DeliveryOptions
from relay.dns import Resolver
from relay.dressing import Dresser
from relay.errors import ConfigurationError
from relay.evidence import Plain
from relay.examine import Letter, Limits, examine
from relay.gate import Gate
from relay.headers.arc import Signer, read_key
from relay.intake.options import IntakeOptions
from relay.observe import metrics
from relay.quarantine.folder import Folder
from relay.records import tenants, verifications
from relay.records.model import Record
from relay.records.store import Store
from relay.replies import Reply
from relay.rooms import Rooms
from relay.sealing import Sealer
from relay.tenants.directory import Directory
from relay.tenants.loops import Tracer
from relay.tenants.model import Tenant
from relay.tls import Certificates, client_context
from relay.tools import Toolbox
from verdicts import registry
from verdicts.ambiguity import STRUCTURE
from verdicts.contract import Clock, History, Tools
from verdicts.panel import Panel, Rules, Seat

log = structlog.get_logger("assembly")

FIXED: Mapping[str, tuple[str, ...]] = {
    "node": (),
    "http": (),
    "log": (),
    "smtp": ("listen", "workers"),
    "records": ("url", "backlog"),
    "quarantine": ("folder",),
    "notices": ("look_seconds",),
}
"""Settings that are read at the start only, by table; all of a table where none is named."""

SHARED = ("max_sessions", "max_sessions_per_peer", "max_bytes_in_flight")
"""Limits of the node that its workers share evenly."""

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
            os.fsync(file.fileno())
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
    limits = {name: share(settings, getattr(settings.smtp, name)) for name in SHARED}
    return options(IntakeOptions, settings.smtp, name=settings.node.name, drafts=drafts, **limits)


def share(settings: Settings, limit: int) -> int:
    """One worker's share of a limit of the node."""
    return -(-limit // settings.smtp.workers)


def reloaded(running: Settings, wanted: Settings) -> Settings:
    """`wanted`, but for what only a restart can change: that stays as it is in `running`, and the log says so."""
    kept = wanted
    for table, names in FIXED.items():
        old, new = getattr(running, table), getattr(kept, table)
        changed = [name for name in names or type(old).model_fields if getattr(old, name) != getattr(new, name)]
        if changed:
            log.warning("takes effect after a restart", settings=[f"{table}.{name}" for name in changed])
            new = new.model_copy(update={name: getattr(old, name) for name in changed})
            kept = kept.model_copy(update={table: new})
    return kept


def directory(store: Store) -> tuple[int, Directory]:
    """The tenants' revision and the directory of that revision. Raises StoreFailed, ConfigurationError."""
    revision, documents = tenants.load(store)
    proven = verifications.proven(store)
    try:
        return revision, Directory(map(Tenant.model_validate, documents), proven)
    except ValueError as error:
        raise ConfigurationError([f"stored tenants: {error}"]) from error


def rooms(
    settings: Settings, known: Directory, quarantine: Folder, record: Callable[[Record], None], history: History
) -> Rooms:
    """What a message passes. Raises ConfigurationError."""
    resolver = Resolver(settings.dns.servers, settings.dns.timeout)  # next hops do not wait for strangers' names
    toolbox = Toolbox(Resolver(settings.dns.servers, settings.dns.timeout), history)
    tracer = Tracer(trace_key(settings.node.state), settings.node.name)
    engines = panel(settings, toolbox.tools)
    return Rooms(
        node=settings.node.name,
        directory=known,
        delivery=delivery(settings, resolver),
        panel=engines,
        tracer=tracer,
        dresser=dresser(settings, tracer, toolbox.tools.clock),
        quarantine=quarantine,
        record=record,
        clock=toolbox.tools.clock,
        toolbox=toolbox,
        gate=Gate(share(settings, settings.judging.at_once), engines.shortest),
        max_header_bytes=settings.smtp.max_header_bytes,
        validation_addresses=validation_addresses(settings),
        sealer=sealer(settings, toolbox.tools),
    )


def validation_addresses(settings: Settings) -> frozenset[str]:
    """Mailboxes for Exchange's validation of connectors: those of the environments, and what the operator adds."""
    environments = (table.validation_address for table in settings.environments.values())
    return frozenset(address.lower() for address in (*settings.admission.validation_addresses, *environments))


def dresser(settings: Settings, tracer: Tracer, clock: Clock) -> Dresser:
    """The dresser, who knows the name that we find things out under when we seal."""
    node, arc = settings.node.name, settings.arc
    return Dresser(node, tracer, clock, arc.authserv_id or node if arc else None)


def sealer(settings: Settings, tools: Tools) -> Sealer | None:
    """The sealer, when one is wanted. Raises ConfigurationError when its key cannot be used."""
    arc = settings.arc
    if arc is None:
        return None
    try:
        from verdicts.identity.authentication import authenticate  # noqa: PLC0415 - the extra "engines" brings what it needs

        key = read_key(arc.private_key)
    except ImportError as error:
        raise ConfigurationError([f'arc: needs the extra "engines" ({error.name} is not installed)']) from error
    except (OSError, ValueError) as error:
        raise ConfigurationError([f"arc.private_key: {arc.private_key}: {error}"]) from error
    signer = Signer(arc.domain, arc.selector, key, tuple(arc.signed))
    return Sealer(signer, arc.authserv_id or settings.node.name, authenticate, tools, arc.deadline)


def panel(settings: Settings, tools: Tools) -> Panel:
    """The engines. Raises ConfigurationError when one cannot be built."""
    seated, judging = seats(settings, tools), settings.judging
    metrics.know_engines([*(seat.name for seat in seated), STRUCTURE], {s.name for s in seated if s.options.shadow})
    return Panel(seated, judging.deadline, tools.clock, count_verdict, tell_breaker, options(Rules, judging))


def seats(settings: Settings, tools: Tools) -> list[Seat]:
    """The engines, one by one. Raises ConfigurationError when one cannot be built."""
    try:
        return registry.build(settings.engines, tools)
    except Exception as error:  # an engine's own constructor may raise anything
        raise ConfigurationError([f"engines: {error}"]) from error


def delivery(settings: Settings, resolver: Resolver) -> Delivery:
    """The way to the next hops. Raises ConfigurationError when a certificate or the roots cannot be read."""
    chosen = settings.delivery
    context = client_context(chosen.tls, chosen.roots, chosen.certificate, chosen.private_key)
    connections = share(settings, chosen.connections)
    wanted = options(DeliveryOptions, chosen, name=settings.node.name, connections=connections)
    return Delivery(wanted, resolver, lambda: context)


async def close(old: Rooms) -> None:
    """Close engines and connections."""
    await old.panel.close()
    await old.delivery.close()
    await old.toolbox.close()


async def release(settings: Settings, folder: Folder, entry_id: str, known: Iterable[Tenant]) -> dict[str, Reply]:
    """Hand a withheld message to its next hop; what that said, by recipient.

    Raises NoSuchEntry, Damaged, StoreFailed, NextHopFailed, Refused.
    """
    entry = folder.show(entry_id)
    message = b"".join(folder.pieces(entry_id))
    resolver = Resolver(settings.dns.servers, settings.dns.timeout)
    way, toolbox = delivery(settings, resolver), Toolbox(resolver)
    tracer = Tracer(trace_key(settings.node.state), settings.node.name)
    try:
        stamps, seals = dresser(settings, tracer, toolbox.tools.clock), sealer(settings, toolbox.tools)
        tenant = next((tenant for tenant in known if tenant.name == entry.tenant), None)
        return await releasing.release(entry, message, way, stamps, tenant, seals)
    finally:
        await way.close()
        await toolbox.close()


async def judge(settings: Settings, letter: Letter, tenant: Tenant | None, history: History | None) -> Plain:
    """What the engines and the policy say of `letter`, as `relay/examine.py` tells it; nothing is counted or logged.
    Without a `history` every sender is a stranger.

    Raises ConfigurationError, Refused.
    """
    smtp, judging = settings.smtp, settings.judging
    toolbox = Toolbox(Resolver(settings.dns.servers, settings.dns.timeout), history)
    panel = Panel(seats(settings, toolbox.tools), judging.deadline, toolbox.tools.clock, rules=options(Rules, judging))
    try:
        return await examine(
            panel, letter, tenant, Limits(smtp.max_message_bytes, smtp.max_header_bytes, smtp.max_recipients)
        )
    finally:
        await panel.close()
        await toolbox.close()

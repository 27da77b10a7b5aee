"""Rooms: what a message passes, introduced to each other by the assembly."""

from collections.abc import Callable
from dataclasses import dataclass

from relay.delivery.delivery import Delivery
from relay.dressing import Dresser
from relay.quarantine.folder import Folder
from relay.records.model import Record
from relay.tenants.directory import Directory
from relay.tenants.loops import Tracer
from relay.tools import Toolbox
from verdicts.contract import Clock
from verdicts.panel import Panel


@dataclass(slots=True)
class Rooms:
    """`directory` is replaced when tenants change, all of it on a reload; a message keeps the rooms it began with."""

    node: str
    directory: Directory
    delivery: Delivery
    panel: Panel
    tracer: Tracer
    dresser: Dresser
    quarantine: Folder
    record: Callable[[Record], None]
    clock: Clock
    toolbox: Toolbox
    max_header_bytes: int
    validation_addresses: frozenset[str]

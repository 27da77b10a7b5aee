"""Rooms: what a message passes, introduced to each other by the assembly."""

from collections.abc import Callable
from dataclasses import dataclass

from relay import replies
from relay.delivery.delivery import Delivery
from relay.dressing import Dresser
from relay.errors import Refused
from relay.gate import Gate
from relay.quarantine.folder import Folder
from relay.records.model import Record
from relay.sealing import Sealer
from relay.tenants.directory import Directory, Route
from relay.tenants.loops import Tracer
from relay.tools import Toolbox
from verdicts.contract import Clock
from verdicts.panel import Panel


def _unheard(_tenant: str, _hop: str, _kind: str) -> None:
    pass


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
    gate: Gate
    max_header_bytes: int
    validation_addresses: frozenset[str]
    sealer: Sealer | None = None
    hop_failed: Callable[[str, str, str], None] = _unheard
    """Hears of next hops that could not be asked: tenant, next hop, and a reason of `metrics.NEXT_HOP_FAILURES`."""
    users: int = 0
    """Transactions that are in these rooms now."""

    def route(self, address: str) -> Route | None:
        """Where mail for `address` goes; None when it is connector validation's and is thrown away. Raises Refused."""
        if address.lower() in self.validation_addresses:
            return None
        if not self.directory:  # an empty store is a mistake of ours: no sender may pay for it with a bounce
            raise Refused(replies.NOT_CONFIGURED, "not_protected")
        route = self.directory.route(address)
        if route is None and self.directory.waits(address):  # it may yet become right: no bounce
            raise Refused(replies.NOT_VERIFIED, "not_verified")
        if route is None:
            raise Refused(replies.NOT_PROTECTED, "not_protected")
        return route

"""Environment: the nodes that a tenant's mail is sent to, as scripts, guides and checks tell of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

PRIMARY = "primary"
"""The region of a tenant without an environment."""


@dataclass(frozen=True, slots=True)
class Environment:
    """One of the operator's environments: the table `[environments.NAME]` as plain values, "" for what is not given."""

    name: str
    egress: tuple[str, ...]
    """IPv4 addresses from which mail is handed back."""
    secondary_egress: tuple[str, ...]
    """Those of the second region."""
    smart_host: str
    smart_host_multi_region: str
    validation_address: str
    """Mailbox for Exchange's validation of the connector."""
    ptr_domain: str
    """Domain of the names of all its addresses."""
    region: str
    secondary_region: str

    def addresses(self, multi_region: bool) -> tuple[str, ...]:
        """The addresses that a tenant has to allow, each once."""
        return tuple(dict.fromkeys(self.egress + self.secondary_egress)) if multi_region else self.egress

    def host(self, multi_region: bool) -> str:
        """The smart host of a tenant's outbound connector."""
        return (multi_region and self.smart_host_multi_region) or self.smart_host

    def regions(self, multi_region: bool) -> tuple[str, ...]:
        """The regions in which a tenant's domains are proved."""
        return (self.region, self.secondary_region) if multi_region and self.secondary_region else (self.region,)


def environments(tables: Mapping[str, Any]) -> dict[str, Environment]:
    """The operator's environments by name, of the tables `[environments.NAME]`."""
    return {name: _environment(name, table) for name, table in tables.items()}


def _environment(name: str, table: Any) -> Environment:
    return Environment(
        name=name,
        egress=tuple(map(str, table.egress)),
        secondary_egress=tuple(map(str, table.secondary_egress)),
        smart_host=table.smart_host,
        smart_host_multi_region=table.smart_host_multi_region or "",
        validation_address=table.validation_address,
        ptr_domain=table.ptr_domain or "",
        region=table.region,
        secondary_region=table.secondary_region or "",
    )

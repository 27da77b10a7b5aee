"""The address ranges that Exchange Online sends from, out of the shipped data file.

The file holds, for each cloud, records as Microsoft's endpoint web service gives them (serviceArea, tcpPorts, ips);
what counts is what a record says (Exchange, TCP port 25), not its id: the clouds number them differently.
"""

import ipaddress
import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.resources import files
from typing import Any

from relay.intake.options import Network


@dataclass(frozen=True, slots=True)
class Ranges:
    """Networks with their labels, and the date of the oldest list among them (seconds since the epoch)."""

    networks: tuple[tuple[Network, str], ...]
    timestamp: float


def shipped() -> str:
    """The text of the data file that Sluice ships."""
    return files("config").joinpath("microsoft-ranges.json").read_text("utf-8")


def read_ranges(text: str, clouds: Iterable[str]) -> Ranges:
    """The ranges of `clouds` in `text`. Raises ValueError when a cloud is missing or has no range."""
    known = json.loads(text)["clouds"]
    chosen = [_cloud(known, cloud) for cloud in clouds]
    networks = [found for cloud in chosen for found in _networks(cloud)]
    dates = [datetime.strptime(cloud["version"][:8], "%Y%m%d").replace(tzinfo=UTC).timestamp() for cloud in chosen]
    return Ranges(tuple(networks), min(dates, default=0.0))


def _cloud(known: dict[str, Any], name: str) -> dict[str, Any]:
    cloud: dict[str, Any] = known.get(name, {})
    if not any(True for _ in _networks(cloud)):
        raise ValueError(f"no Exchange Online ranges for the cloud {name!r}")
    return cloud


def _networks(cloud: dict[str, Any]) -> Iterable[tuple[Network, str]]:
    for record in cloud.get("endpoints", ()):
        if record.get("serviceArea") == "Exchange" and _has_port(record.get("tcpPorts", ""), 25):
            for ip in record.get("ips", ()):
                yield ipaddress.ip_network(ip), record.get("label", cloud["label"])


def _has_port(ports: str, port: int) -> bool:
    """Whether `port` is in a list such as "25,443" or "20-30,443"."""
    for item in filter(None, ports.split(",")):
        first, _, last = item.partition("-")
        if int(first) <= port <= int(last or first):
            return True
    return False

"""The address ranges that Exchange Online sends from: out of the shipped data file, or of a newer list of Microsoft's.

A list holds records as Microsoft's endpoints web service gives them (serviceArea, tcpPorts, ips); what counts is what a
record says (Exchange, TCP port 25), not its id: the clouds number them differently.
https://learn.microsoft.com/microsoft-365/enterprise/microsoft-365-ip-web-service
"""

import ipaddress
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import Any

from relay.intake.options import Network

INSTANCES: Mapping[str, str] = {"worldwide": "Worldwide", "gcc-high": "USGovGCCHigh", "china": "China"}
"""The clouds of [admission], and what Microsoft calls them."""
MOST = 500
"""Networks of one cloud that mail comes from; 15 is the most that was ever published."""
LONGEST_PORTS = 1_000
"""Characters of a record's ports; 30 is the most that was ever published."""
_NETWORK = re.compile(r"[0-9A-Fa-f.:]{2,45}(/[0-9]{1,3})?")
_PORTS = re.compile(r"\s*([0-9]{1,5})\s*(?:-\s*([0-9]{1,5})\s*)?")
_VERSION = re.compile(r"[0-9]{10}")


@dataclass(frozen=True, slots=True)
class Published:
    """One list of Microsoft's: its version (YYYYMMDDNN), and the networks that mail comes from."""

    version: str
    networks: tuple[Network, ...]

    @property
    def timestamp(self) -> float:
        """The date in the version, in seconds since the epoch."""
        return date_of(self.version)


@dataclass(frozen=True, slots=True)
class Shipped:
    """What the data file says of one cloud."""

    label: str
    published: Published
    besides: tuple[tuple[Network, str], ...]
    """Networks that are in no list of Microsoft's, with labels of their own; they count beside the newest list."""


@dataclass(frozen=True, slots=True)
class Ranges:
    """Networks with their labels, and the date of the oldest list among them (seconds since the epoch)."""

    networks: tuple[tuple[Network, str], ...]
    timestamp: float


NOTHING: Mapping[str, Published] = MappingProxyType({})


def shipped() -> str:
    """The text of the data file that Sluice ships."""
    return files("config").joinpath("microsoft-ranges.json").read_text("utf-8")


@cache
def shipped_list(cloud: str) -> Shipped:
    """What Sluice ships for `cloud`, which is one of INSTANCES."""
    return read_shipped(shipped(), cloud)


def read_ranges(text: str, clouds: Iterable[str], fetched: Mapping[str, Published] = NOTHING) -> Ranges:
    """The ranges of `clouds`: for each the newer one of the list in `text` and the one that was fetched.

    Raises ValueError when `text` lacks a cloud or has no range for it.
    """
    networks: list[tuple[Network, str]] = []
    dates = []
    for name in clouds:
        known = read_shipped(text, name)
        newest = newer(known.published, fetched.get(name))
        networks += [(network, known.label) for network in newest.networks]
        networks += known.besides
        dates.append(newest.timestamp)
    return Ranges(tuple(networks), min(dates, default=0.0))


def read_shipped(text: str, name: str) -> Shipped:
    """What the data file `text` says of the cloud `name`. Raises ValueError when that is nothing."""
    cloud = json.loads(text)["clouds"].get(name, {})
    records = cloud.get("endpoints", [])
    found = mail_networks([record for record in records if "label" not in record])
    if not found:
        raise ValueError(f"no Exchange Online ranges for the cloud {name!r}")
    besides = [(one, record["label"]) for record in records if "label" in record for one in mail_networks([record])]
    return Shipped(cloud["label"], Published(cloud["version"], found), tuple(besides))


def newer(ours: Published, fetched: Published | None) -> Published:
    """The newer list; `ours` when they are of the same version."""
    return fetched if fetched is not None and fetched.version > ours.version else ours


def date_of(version: str) -> float:
    """The date in a version (YYYYMMDDNN), in seconds since the epoch. Raises ValueError."""
    if not _VERSION.fullmatch(version):
        raise ValueError(f"is no version: {version[:20]!a}")
    return datetime.strptime(version[:8], "%Y%m%d").replace(tzinfo=UTC).timestamp()


def mail_networks(records: object) -> tuple[Network, ...]:
    """The networks of those `records` that are about Exchange and TCP port 25, each once.

    Raises ValueError when these are no records of the web service.
    """
    if not isinstance(records, list) or not all(isinstance(record, dict) for record in records):
        raise ValueError("is no list of records")
    told = [text for record in records if _is_mail(record) for text in _ips(record)]
    if len(told) > MOST:  # before they are looked at: that takes a second for as many as fit into an answer
        raise ValueError(f"has {len(told)} networks, more than {MOST}")
    return tuple(dict.fromkeys(map(_network, told)))


def _is_mail(record: dict[str, Any]) -> bool:
    return record.get("serviceArea") == "Exchange" and _has_port(record.get("tcpPorts", ""), 25)


def _ips(record: dict[str, Any]) -> list[Any]:
    texts = record.get("ips", [])
    if not isinstance(texts, list):
        raise ValueError("ips is no list")  # noqa: TRY004 - one kind of error for all that an outsider gets wrong
    return texts


def _network(text: object) -> Network:
    try:
        if isinstance(text, str) and _NETWORK.fullmatch(text):
            return ipaddress.ip_network(text)
    except ValueError:
        pass
    told = text[:50] if isinstance(text, str) else type(text).__name__  # as text, it could be as large as the answer
    raise ValueError(f"is no network: {told!a}")


def _has_port(ports: object, port: int) -> bool:
    """Whether `port` is in a list such as "25,443" or "20-30,443". Raises ValueError."""
    if not isinstance(ports, str) or len(ports) > LONGEST_PORTS:
        raise ValueError("tcpPorts is no text of ports")
    spans = [_span(item) for item in ports.split(",") if ports]
    return any(first <= port <= last for first, last in spans)


def _span(item: str) -> tuple[int, int]:
    found = _PORTS.fullmatch(item)
    if found is None:
        raise ValueError(f"tcpPorts has no port: {item[:20]!a}")
    return int(found[1]), int(found[2] or found[1])

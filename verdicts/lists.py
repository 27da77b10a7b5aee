"""A tenant's lists of whom and what it knows: compiled once, looked up by a few keys of a dict for each message."""

import ipaddress
import math
import re
from collections.abc import Iterable, Iterator
from typing import Literal, NamedTuple
from urllib.parse import unquote

from verdicts.domains import host_of

Kind = Literal["allow", "block"]
Matter = Literal["sender", "network", "hash", "url"]

NEVER = math.inf
DEEPEST = 20
"""Steps that the path of an entry may have."""
_LONGEST_PATH = 4_096


class Entry(NamedTuple):
    """One entry, its value as it is looked up: names in lower case as A-labels."""

    kind: Kind
    matter: Matter
    value: str
    """An address, a domain, ".domain" for a domain and all that is below; a network; a SHA-256; a host with a path."""
    reason: str = ""
    expires: float = NEVER
    """Seconds since the epoch."""


class Lists:
    """All entries of a tenant. Never changed; what has expired by `now`, in seconds since the epoch, does not count."""

    def __init__(self, entries: Iterable[Entry] = ()) -> None:
        """Raises ValueError when an entry's network is none."""
        self._tables: dict[Matter, dict[str, list[Entry]]] = {}
        self._prefixes: set[tuple[int, int]] = set()
        self._deepest = 0
        for entry in entries:
            self._tables.setdefault(entry.matter, {}).setdefault(entry.value, []).append(entry)
            if entry.matter == "network":
                network = ipaddress.ip_network(entry.value)
                self._prefixes.add((network.version, network.prefixlen))
            if entry.matter == "url":
                self._deepest = max(self._deepest, entry.value.count("/"))

    def __contains__(self, matter: Matter) -> bool:
        """Whether there is an entry of this matter: if not, nothing needs to be computed for it."""
        return matter in self._tables

    def sender(self, address: str, now: float) -> list[Entry]:
        """The entries for "local@domain", its domain in whatever form."""
        local, _, domain = address.rpartition("@")
        host = host_of(domain)
        return self._found("sender", (f"{local.casefold()}@{host}", *_hosts(host)), now)

    def network(self, address: str, now: float) -> list[Entry]:
        """The entries for an IP address; none when it is no IP address."""
        try:
            ip = ipaddress.ip_address(address)
        except ValueError:
            return []
        ip = getattr(ip, "ipv4_mapped", None) or ip
        prefixes = (prefix for version, prefix in self._prefixes if version == ip.version)
        return self._found("network", (_network(ip, prefix) for prefix in prefixes), now)

    def hash(self, digest: str, now: float) -> list[Entry]:
        """The entries for a SHA-256 in lower-case hexadecimal digits."""
        return self._found("hash", (digest,), now)

    def url(self, host: str, path: str, now: float) -> list[Entry]:
        """The entries for a link to `path` at `host`, both in whatever form."""
        places = _paths(path_of(path), self._deepest) if self._deepest else [""]
        return self._found("url", (name + place for name in _hosts(host_of(host)) for place in places), now)

    def _found(self, matter: Matter, keys: Iterable[str], now: float) -> list[Entry]:
        table = self._tables.get(matter)
        if table is None:
            return []
        return [entry for key in keys for entry in table.get(key, ()) if now < entry.expires]


def path_of(path: str) -> str:
    """A link's path as it is compared: unquoted, without query, fragment, double slashes, and slash at the end."""
    return plain_path(path[:_LONGEST_PATH].partition("?")[0].partition("#")[0]).rstrip("/")


def plain_path(path: str) -> str:
    """A path as servers take it, however it is quoted, and however many slashes are in a row."""
    return re.sub("/{2,}", "/", unquote(path))


def _hosts(host: str) -> Iterator[str]:
    """What an entry may say that is about `host`: itself, and with a dot itself and each domain above it."""
    yield host
    rest = f".{host}"
    while rest:
        yield rest
        dot = rest.find(".", 1)
        rest = rest[dot:] if dot > 0 else ""


def _paths(path: str, deepest: int) -> list[str]:
    """What an entry may say that is about `path`: nothing, and its beginnings by whole steps."""
    steps = path.split("/", deepest + 1)[: deepest + 1]
    return ["/".join(steps[:count]) for count in range(1, len(steps) + 1)]


def _network(ip: ipaddress.IPv4Address | ipaddress.IPv6Address, prefix: int) -> str:
    return str(ipaddress.ip_network((ip, prefix), strict=False))

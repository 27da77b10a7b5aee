"""Which addresses may talk to us, and what their network is called. No I/O."""

import ipaddress
from collections.abc import Iterable
from functools import lru_cache

from relay.intake.options import Network

REMEMBERED = 4_096
"""Peers whose answers are kept: the same ones come again and again."""


class Admission:
    """Labelled networks; the narrowest one that has an address names it."""

    def __init__(self, networks: Iterable[tuple[Network, str]]) -> None:
        """`networks` with their labels; of two equal ones the first counts."""
        self._labels: dict[tuple[int, int], dict[int, str]] = {}
        for network, label in networks:
            key = (network.version, network.prefixlen)
            prefix = int(network.network_address) >> (network.max_prefixlen - network.prefixlen)
            self._labels.setdefault(key, {}).setdefault(prefix, label)
        self._lengths = {
            version: sorted((length for v, length in self._labels if v == version), reverse=True) for version in (4, 6)
        }
        self._remembered = lru_cache(REMEMBERED)(self._find)

    def network_of(self, ip: str) -> str | None:
        """The label of the network that `ip` belongs to; None for a stranger and for what is not an address."""
        return self._remembered(ip)

    def _find(self, ip: str) -> str | None:
        try:
            address = plain_address(ip)
        except ValueError:
            return None
        number, version, bits = int(address), address.version, address.max_prefixlen
        for length in self._lengths[version]:
            label = self._labels[version, length].get(number >> (bits - length))
            if label is not None:
                return label
        return None


def plain_address(ip: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """`ip` without scope, and as IPv4 where it is an IPv4-mapped IPv6 address (a dual-stack socket's peer).

    Raises ValueError.
    """
    address = ipaddress.ip_address(ip.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        return address.ipv4_mapped
    return address


@lru_cache(REMEMBERED)
def plain_text(peer: str) -> str:
    """`peer` as it is told everywhere, IPv4-mapped addresses as IPv4; what is no address stays, and is a stranger."""
    try:
        return str(plain_address(peer))
    except ValueError:
        return peer


def inside(peer: str, networks: tuple[Network, ...]) -> bool:
    """Whether the address `peer` is in one of `networks`."""
    return bool(networks) and bool(peer) and any(ipaddress.ip_address(peer) in network for network in networks)

"""Which addresses are on the Internet, and which are behind somebody's own walls."""

import ipaddress
from typing import Final

_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")
"""IPv6 addresses that are IPv4 ones to a translator (RFC 6052 section 2.1)."""


def is_public(text: str) -> bool:
    """Whether the IP address `text` is one that the Internet reaches: not private, loopback, link-local, multicast,
    reserved for documents, nor an IPv6 form of such an IPv4 address.

    A stranger who may name a host must not make us talk to our own network. Raises ValueError when it is no address.
    """
    address = _inner(ipaddress.ip_address(text.partition("%")[0]))
    return address.is_global and not address.is_multicast


def _inner(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """The IPv4 address that an IPv6 address stands for: mapped, 6to4 (RFC 3056), Teredo (RFC 4380), NAT64."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    teredo = address.teredo
    return address.ipv4_mapped or address.sixtofour or (teredo[1] if teredo else address)

"""What a list of Microsoft's ranges can never be, and which change of it needs an operator's yes. No I/O.

The list decides who may talk to us, and it comes over the network. In all its published versions since 2022 the list of
the worldwide cloud had six networks, the widest a /14; those of other clouds have 13 and 15, the widest a /22 and, of
IPv6, a /43. A change is rare, and then small.
"""

import ipaddress
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

from relay.intake.microsoft import MOST
from relay.intake.options import Network

WIDEST = {4: 12, 6: 32}
"""Shortest prefix of a network: a quarter of it is the widest that is published; a /32 is what one provider has."""
MOST_ADDRESSES = {4: 2**22, 6: 2**100}
"""Addresses of one cloud by IP version: eight times what is published of IPv4, and sixteen networks of IPv6."""
LOST_ADDRESSES, LOST_NETWORKS = 0.10, 0.25
"""Shares of a list that may go at once, by IP version and by number."""
GAINED_ADDRESSES, GAINED_NETWORKS = 0.50, 0.50
"""Shares that may come, the same."""

SPECIAL = tuple(
    ipaddress.ip_network(text)
    for text in (
        "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24",
        "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24",
        "224.0.0.0/3", "2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20",
    )
)  # fmt: skip
"""Addresses that nobody has on the Internet: IANA's registries of special purposes (RFC 6890), multicast, reserved."""
GLOBAL_6 = ipaddress.IPv6Network("2000::/3")
"""All other IPv6 addresses are special (RFC 4291 section 2.4)."""


@dataclass(frozen=True, slots=True)
class Difference:
    """What a new list changes."""

    added: tuple[Network, ...]
    """Networks that only the new list names, in order."""
    removed: tuple[Network, ...]
    """Networks that only the old list names, in order."""
    suspicion: str
    """Why an operator must say yes; "" when nobody need."""

    def __bool__(self) -> bool:
        return bool(self.added or self.removed)


def impossible(networks: Collection[Network]) -> str:
    """Why this cannot be the list of a cloud, whatever an operator says; "" when it can."""
    if not networks:
        return "it has no network that mail comes from"
    if len(networks) > MOST:
        return f"it has {len(networks)} networks, more than {MOST}"
    for network in networks:
        if network.prefixlen < WIDEST[network.version]:
            return f"{network} is wider than a /{WIDEST[network.version]}"
        if _is_special(network):
            return f"{network} is not of the public Internet"
    for version, most in MOST_ADDRESSES.items():
        if _size(networks, version) > most:
            return f"its IPv{version} networks have too many addresses"
    return ""


def difference(old: Collection[Network], new: Collection[Network]) -> Difference:
    """What comes and what goes when `new` takes the place of `old`, which is not empty."""
    reasons = [
        *_by_number(old, new),
        *(reason for version in WIDEST for reason in _by_addresses(old, new, version)),
    ]
    return Difference(_only_in(new, old), _only_in(old, new), "; ".join(reasons))


def _is_special(network: Network) -> bool:
    if isinstance(network, ipaddress.IPv6Network) and not network.subnet_of(GLOBAL_6):
        return True
    return any(network.overlaps(special) for special in SPECIAL)


def _by_number(old: Collection[Network], new: Collection[Network]) -> Iterator[str]:
    lost, gained = _uncovered(old, new), _uncovered(new, old)
    if lost > LOST_NETWORKS * len(old):
        yield f"{lost} of {len(old)} networks would go"
    if gained > GAINED_NETWORKS * len(old):
        yield f"{gained} networks would come to {len(old)}"


def _by_addresses(old: Collection[Network], new: Collection[Network], version: int) -> Iterator[str]:
    before, after, all_ = _size(old, version), _size(new, version), _size([*old, *new], version)
    lost, gained = all_ - after, all_ - before
    if lost > LOST_ADDRESSES * before:
        yield f"{lost / before:.0%} of the IPv{version} addresses would go"
    if gained > GAINED_ADDRESSES * before:
        more = f"{gained / before:.0%} more" if before else "the first"
        yield f"{more} IPv{version} addresses would come"


def _only_in(these: Iterable[Network], others: Iterable[Network]) -> tuple[Network, ...]:
    return tuple(sorted(set(these) - set(others), key=_order))


def _order(network: Network) -> tuple[int, int, int]:
    return network.version, int(network.network_address), network.prefixlen


def _size(networks: Iterable[Network], version: int) -> int:
    """How many addresses of this version `networks` have, each counted once."""
    return sum(network.num_addresses for network in _merged(networks, version))


def _uncovered(these: Iterable[Network], others: Iterable[Network]) -> int:
    """How many of `these` have an address in none of `others`. What is covered lies within one merged network."""
    whole = {version: set(_merged(others, version)) for version in WIDEST}
    return sum(not _inside(network, whole[network.version]) for network in these)


def _inside(network: Network, others: Collection[Network]) -> bool:
    lengths = {other.prefixlen for other in others if other.prefixlen <= network.prefixlen}
    return any(network.supernet(new_prefix=length) in others for length in lengths)


def _merged(networks: Iterable[Network], version: int) -> list[Network]:
    """The fewest networks that have the same addresses of this IP version."""
    return list(ipaddress.collapse_addresses([one for one in networks if one.version == version]))  # type: ignore[type-var]

"""What a list of Microsoft's can never be, and which change of it needs an operator's yes."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.intake.microsoft import INSTANCES, MOST, shipped_list
from relay.onboarding.ranges.guards import difference, impossible

WORLDWIDE = list(map(str, shipped_list("worldwide").published.networks))
GCC_HIGH = list(map(str, shipped_list("gcc-high").published.networks))


def nets(*texts):
    return tuple(map(ipaddress.ip_network, texts))


@pytest.mark.parametrize("cloud", INSTANCES)
def test_what_is_shipped_can_be(cloud):
    assert impossible(shipped_list(cloud).published.networks) == ""


@pytest.mark.parametrize(
    ("networks", "reason"),
    [
        (["20.0.0.0/12"], ""),
        (["20.0.0.0/11"], "20.0.0.0/11 is wider than a /12"),
        (["0.0.0.0/0"], "0.0.0.0/0 is wider than a /12"),
        (["40.92.0.0/15", "::/0"], "::/0 is wider than a /32"),
        (["2a01:110::/31"], "2a01:110::/31 is wider than a /32"),
        (["2a01:111::/32"], ""),
        (["10.1.2.0/24"], "10.1.2.0/24 is not of the public Internet"),
        (["127.0.0.1/32"], "127.0.0.1/32 is not of the public Internet"),
        (["169.254.1.1/32"], "169.254.1.1/32 is not of the public Internet"),
        (["172.31.0.0/16"], "172.31.0.0/16 is not of the public Internet"),
        (["192.160.0.0/12"], "192.160.0.0/12 is not of the public Internet"),  # 192.168.0.0/16 is in it
        (["192.168.1.1/32"], "192.168.1.1/32 is not of the public Internet"),
        (["100.64.0.0/16"], "100.64.0.0/16 is not of the public Internet"),
        (["198.19.0.1/32"], "198.19.0.1/32 is not of the public Internet"),
        (["203.0.113.0/24"], "203.0.113.0/24 is not of the public Internet"),
        (["224.0.0.1/32"], "224.0.0.1/32 is not of the public Internet"),
        (["255.255.255.255/32"], "255.255.255.255/32 is not of the public Internet"),
        (["0.0.0.0/32"], "0.0.0.0/32 is not of the public Internet"),
        (["::1/128"], "::1/128 is not of the public Internet"),
        (["::ffff:0:0/96"], "::ffff:0:0/96 is not of the public Internet"),
        (["fe80::/64"], "fe80::/64 is not of the public Internet"),
        (["fd00::/64"], "fd00::/64 is not of the public Internet"),
        (["ff02::1/128"], "ff02::1/128 is not of the public Internet"),
        (["2001:db8::/48"], "2001:db8::/48 is not of the public Internet"),
        (["2002:7f00:1::/48"], "2002:7f00:1::/48 is not of the public Internet"),
        (["64:ff9b::/96"], "64:ff9b::/96 is not of the public Internet"),
        ([], "it has no network that mail comes from"),
        ([f"20.{n // 256}.{n % 256}.0/24" for n in range(MOST)], ""),
        ([f"20.{n // 256}.{n % 256}.0/24" for n in range(MOST + 1)], "it has 501 networks, more than 500"),
        (["20.0.0.0/12", "20.16.0.0/12", "20.32.0.0/12", "20.48.0.0/12"], ""),
        ([f"20.{n}.0.0/12" for n in range(0, 80, 16)], "its IPv4 networks have too many addresses"),
        ([f"2a01:{n:x}::/32" for n in range(17)], "its IPv6 networks have too many addresses"),
        (["20.0.0.0/12"] * 5, ""),
    ],
)
def test_what_can_never_be(networks, reason):
    assert impossible(nets(*networks)) == reason


@pytest.mark.parametrize(
    ("old", "new", "suspicion"),
    [
        (WORLDWIDE, WORLDWIDE, ""),
        (WORLDWIDE, WORLDWIDE[::-1], ""),
        (WORLDWIDE, [*WORLDWIDE, "20.200.0.0/16"], ""),
        (WORLDWIDE, [*WORLDWIDE, "20.200.0.0/15", "20.202.0.0/16"], ""),
        (WORLDWIDE, [*WORLDWIDE, "20.200.0.0/14"], "53% more IPv4 addresses would come"),
        (WORLDWIDE, [*WORLDWIDE, "20.1.0.1/32", "20.1.1.1/32", "20.1.2.1/32"], ""),
        (WORLDWIDE, [*WORLDWIDE, *(f"20.1.{n}.1/32" for n in range(4))], "4 networks would come to 6"),
        (WORLDWIDE, [*WORLDWIDE, "2a01:111:f404::/48"], ""),
        (WORLDWIDE, [*WORLDWIDE, "2a01:111:f404::/47"], "100% more IPv6 addresses would come"),
        (WORLDWIDE, [one for one in WORLDWIDE if one != "104.47.0.0/17"], ""),
        (WORLDWIDE, [one for one in WORLDWIDE if one != "40.107.0.0/16"], "13% of the IPv4 addresses would go"),
        (WORLDWIDE, WORLDWIDE[:5], "50% of the IPv6 addresses would go"),
        (WORLDWIDE, WORLDWIDE[:4], "2 of 6 networks would go; 100% of the IPv6 addresses would go"),
        (WORLDWIDE, WORLDWIDE[4:], "4 of 6 networks would go; 100% of the IPv4 addresses would go"),
        (WORLDWIDE[:4], WORLDWIDE, "the first IPv6 addresses would come"),
        # What is cut in other pieces is the same.
        (["20.0.0.0/15"], ["20.0.0.0/16", "20.1.0.0/16"], ""),
        (["20.0.0.0/16", "20.1.0.0/16"], ["20.0.0.0/15"], ""),
        (["20.0.0.0/15"], ["20.0.0.0/16"], "1 of 1 networks would go; 50% of the IPv4 addresses would go"),
        # Nine hosts of one cloud are nothing by addresses, and much by number.
        (GCC_HIGH, [one for one in GCC_HIGH if not one.endswith("/32")], "9 of 15 networks would go"),
    ],
)
def test_which_change_needs_a_yes(old, new, suspicion):
    assert difference(nets(*old), nets(*new)).suspicion == suspicion


def test_the_difference_is_told_as_it_is_published():
    new = nets("2a01::/48", "20.1.0.0/16", "20.0.0.0/16", "30.0.0.0/16")
    change = difference(nets("20.0.0.0/15", "30.0.0.0/16"), new)
    assert list(map(str, change.added)) == ["20.0.0.0/16", "20.1.0.0/16", "2a01::/48"]
    assert list(map(str, change.removed)) == ["20.0.0.0/15"]
    assert change
    assert not difference(nets(*WORLDWIDE), nets(*WORLDWIDE[::-1]))


small = st.builds(
    lambda host, length: ipaddress.ip_network((0x14000000 + host, length), strict=False),
    st.integers(0, 255), st.integers(24, 32),
)  # fmt: skip
lists = st.lists(small, min_size=1, max_size=6)


def hosts(networks):
    return {int(address) for network in networks for address in network}


@given(lists, lists)
def test_shares_are_those_of_single_addresses(old, new):
    """Counted address by address, the same changes are suspicious."""
    before, after = hosts(old), hosts(new)
    by_number = sum(not hosts([one]) <= after for one in old) > 0.25 * len(old) or sum(
        not hosts([one]) <= before for one in new
    ) > 0.5 * len(old)
    by_address = len(before - after) > 0.1 * len(before) or len(after - before) > 0.5 * len(before)
    assert bool(difference(old, new).suspicion) == (by_number or by_address)

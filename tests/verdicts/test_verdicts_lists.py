import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verdicts.lists import Entry, Lists


def lists(matter, *values, expires=float("inf")):
    return Lists(Entry("block", matter, value, expires=expires) for value in values)


def values(found):
    return [entry.value for entry in found]


@pytest.mark.parametrize(
    ("address", "found"),
    [
        ("ann@acme.example", ["ann@acme.example", "acme.example", ".acme.example", ".example"]),
        ("ANN@ACME.EXAMPLE.", ["ann@acme.example", "acme.example", ".acme.example", ".example"]),
        ("bob@acme.example", ["acme.example", ".acme.example", ".example"]),
        ("ann@sub.acme.example", [".acme.example", ".example"]),
        ("ann@xacme.example", [".example"]),
        ("x@bücher.test", ["xn--bcher-kva.test"]),
        ("x@💩.test", ["xn--ls8h.test"]),  # which IDNA 2008 forbids, and some send mail from
        ("acme.example", ["acme.example", ".acme.example", ".example"]),
        ("x@acme.example@other.test", []),
        ("", []),
        ("@", []),
    ],
)
def test_senders(address, found):
    known = lists(
        "sender", "ann@acme.example", "acme.example", ".acme.example", ".example", "xn--bcher-kva.test", "xn--ls8h.test"
    )
    assert values(known.sender(address, 0)) == found


@pytest.mark.parametrize(
    ("host", "path", "found"),
    [
        ("evil.example", "", ["evil.example"]),
        ("EVIL.example.", "/", ["evil.example"]),
        ("www.evil.example", "/a", []),
        ("shared.example", "/a/b", ["shared.example/a/b"]),
        ("shared.example", "/a/b/", ["shared.example/a/b"]),
        ("shared.example", "/%61/b/c?d#e", ["shared.example/a/b"]),
        ("shared.example", "//a///b", ["shared.example/a/b"]),
        ("shared.example", "/a/bc", []),
        ("shared.example", "/a", []),
        ("x.below.example", "/p/q", [".below.example", ".below.example/p"]),
    ],
)
def test_urls(host, path, found):
    known = lists("url", "evil.example", "shared.example/a/b", ".below.example", ".below.example/p")
    assert values(known.url(host, path, 0)) == found


@pytest.mark.parametrize(
    ("address", "found"),
    [
        ("192.0.2.7", {"192.0.2.0/24", "192.0.2.7/32"}),
        ("::ffff:192.0.2.7", {"192.0.2.0/24", "192.0.2.7/32"}),
        ("192.0.3.7", set()),
        ("2001:db8::1", {"2001:db8::/32"}),
        ("nonsense", set()),
        ("", set()),
    ],
)
def test_networks(address, found):
    known = lists("network", "192.0.2.0/24", "192.0.2.7/32", "2001:db8::/32")
    assert set(values(known.network(address, 0))) == found


def test_hashes():
    assert values(lists("hash", "ab" * 32).hash("ab" * 32, 0)) == ["ab" * 32]
    assert lists("hash", "ab" * 32).hash("cd" * 32, 0) == []


def test_what_has_expired_counts_no_more():
    known = lists("sender", "a.example", expires=100.0)
    assert len(known.sender("x@a.example", 99.9)) == 1
    assert known.sender("x@a.example", 100.0) == []


def test_what_is_not_listed_needs_no_work():
    known = lists("hash", "ab" * 32)
    assert ("hash" in known, "url" in known, "url" in Lists()) == (True, False, False)
    assert known.url("a.example", "/", 0) == known.sender("a@b", 0) == known.network("192.0.2.1", 0) == []


@given(st.text(), st.text())
def test_garbage_is_not_listed_and_raises_nothing(one, two):
    assert lists("sender", "a@b.example").sender(f"{one}@{two}.", 0) == []
    assert lists("url", "b.example/x").url(one, two, 0) == []
    assert lists("network", "192.0.2.0/24").network(one, 0) == []


@given(st.ip_addresses(v=4), st.ip_addresses(v=4), st.integers(8, 32))
def test_a_network_has_the_addresses_that_python_says(address, base, prefix):
    network = ipaddress.ip_network((base, prefix), strict=False)
    assert bool(lists("network", str(network)).network(str(address), 0)) == (address in network)

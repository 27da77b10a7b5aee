"""Admission, Microsoft's ranges, the PROXY header and certificate names."""

import contextlib
import ipaddress
import json
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.intake.admission import Admission, inside, plain_text
from relay.intake.certificates import any_matches, certificate_names
from relay.intake.microsoft import read_ranges, shipped
from relay.intake.proxy import V1_LIMIT, V2_LIMIT, ProxyHeaderError, read_header

SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"


@pytest.mark.parametrize(
    ("ip", "label"),
    [
        ("40.92.0.1", "exchange-online"),
        ("40.93.255.255", "exchange-online"),
        ("40.94.0.0", None),
        ("40.95.3.4", "relay-pool"),
        ("40.107.1.1", "exchange-online"),
        ("52.103.255.255", "exchange-online"),
        ("52.104.0.0", None),
        ("52.238.78.88", None),
        ("104.47.127.255", "exchange-online"),
        ("104.47.128.0", None),
        ("2a01:111:f400::1", "exchange-online"),
        ("2a01:111:f403:ffff::1", "exchange-online"),
        ("2a01:111:f404::1", None),
        ("::ffff:40.92.0.1", "exchange-online"),
        ("23.103.191.1", None),
        ("42.159.36.1", None),
        ("127.0.0.1", None),
        ("fe80::1%eth0", None),
        ("", None),
        ("/run/socket", None),
    ],
)
def test_worldwide(ip, label):
    assert Admission(read_ranges(shipped(), ["worldwide"]).networks).network_of(ip) == label


def test_other_clouds():
    admission = Admission(read_ranges(shipped(), ["gcc-high", "china"]).networks)
    assert admission.network_of("13.72.179.197") == "exchange-online-gcc-high"
    assert admission.network_of("13.72.179.198") is None
    assert admission.network_of("42.159.36.1") == "exchange-online-china"
    assert admission.network_of("2406:e500:4440::1") == "exchange-online-china"
    assert admission.network_of("40.92.0.1") is None


def test_the_date_is_that_of_the_oldest_list():
    assert read_ranges(shipped(), ["worldwide"]).timestamp == 1786665600.0  # 2026-08-14
    assert read_ranges(shipped(), ["worldwide", "china"]).timestamp == 1616976000.0  # 2021-03-29


@pytest.mark.parametrize(
    ("area", "ports", "admitted"),
    [("Exchange", "25", True), ("Exchange", "25,443", True), ("Exchange", "20-30", True), ("Exchange", "443", False),
     ("Exchange", "125,2525", False), ("Exchange", "", False), ("Skype", "25", False)],
)  # fmt: skip
def test_records_count_by_what_they_say(area, ports, admitted):
    record = {"id": 77, "serviceArea": area, "tcpPorts": ports, "ips": ["192.0.2.0/24"]}
    good = {"serviceArea": "Exchange", "tcpPorts": "25", "ips": ["198.51.100.0/24"]}
    text = json.dumps({"clouds": {"x": {"version": "2026010100", "label": "l", "endpoints": [good, record]}}})
    assert (Admission(read_ranges(text, ["x"]).networks).network_of("192.0.2.1") is not None) == admitted


def test_a_cloud_without_ranges_is_a_mistake():
    with pytest.raises(ValueError, match="moon"):
        read_ranges(shipped(), ["moon"])


def test_the_narrowest_network_names_an_address():
    networks = [("10.0.0.0/8", "wide"), ("10.1.0.0/16", "narrow"), ("10.1.0.0/16", "later"), ("::/0", "six")]
    admission = Admission((ipaddress.ip_network(text), label) for text, label in networks)
    assert [admission.network_of(ip) for ip in ("10.2.0.1", "10.1.0.1", "11.0.0.1", "::1")] == [
        "wide", "narrow", None, "six",
    ]  # fmt: skip


@given(st.ip_addresses(), st.lists(st.ip_addresses().flatmap(
    lambda ip: st.integers(0, ip.max_prefixlen).map(lambda length: ipaddress.ip_network((ip, length), strict=False))
)))  # fmt: skip
def test_admitted_is_what_is_inside(ip, networks):
    if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped:
        ip = ip.ipv4_mapped
    admission = Admission((network, "x") for network in networks)
    assert (admission.network_of(str(ip)) == "x") == any(ip in network for network in networks)


def version2(command, family, addresses, tlvs=b""):
    return SIGNATURE + struct.pack("!BBH", command, family, len(addresses) + len(tlvs)) + addresses + tlvs


FOUR = bytes([192, 0, 2, 1, 198, 51, 100, 1]) + struct.pack("!HH", 1234, 25)
SIX = ipaddress.ip_address("2001:db8::1").packed * 2 + struct.pack("!HH", 1234, 25)


@pytest.mark.parametrize(
    ("header", "peer"),
    [
        (b"PROXY TCP4 192.0.2.1 198.51.100.1 1234 25\r\n", "192.0.2.1"),
        (b"PROXY TCP6 2001:db8::1 2001:db8::2 1234 25\r\n", "2001:db8::1"),
        (b"PROXY UNKNOWN\r\n", None),
        (b"PROXY UNKNOWN whatever it says\r\n", None),
        (version2(0x21, 0x11, FOUR), "192.0.2.1"),
        (version2(0x21, 0x21, SIX, b"\x03\x00\x04abcd"), "2001:db8::1"),
        (version2(0x20, 0x00, b""), None),
        (version2(0x20, 0x11, FOUR), None),
        (version2(0x21, 0x31, bytes(216)), None),
        (version2(0x21, 0x00, b""), None),
    ],
)
def test_proxy_headers(header, peer):
    for end in range(len(header)):
        assert read_header(header[:end]) is None
    found = read_header(header + b"EHLO x\r\n")
    assert (found.peer, found.used) == (peer, len(header))


@pytest.mark.parametrize(
    "header",
    [
        b"EHLO x\r\n",
        b"PROXY\r\n",
        b"PROXY TCP4\r\n",
        b"PROXY TCP5 192.0.2.1 198.51.100.1 1234 25\r\n",
        b"PROXY TCP4 2001:db8::1 2001:db8::2 1234 25\r\n",
        b"PROXY TCP4 192.0.2.1 198.51.100.1 1234 65536\r\n",
        b"PROXY TCP4 192.0.2.1 198.51.100.1 1234\r\n",
        b"PROXY TCP4 192.0.2.256 198.51.100.1 1234 25\r\n",
        b"PROXY TCP6 fe80::1%\x80 ::ffff:192.0.2.1 1 2\r\n",
        b"PROXY " + b"x" * V1_LIMIT,
        version2(0x11, 0x11, FOUR),
        version2(0x22, 0x11, FOUR),
        version2(0x21, 0x12, FOUR),
        version2(0x21, 0x11, FOUR[:8]),
        version2(0x21, 0x11, FOUR, bytes(V2_LIMIT)),
        b"\r\n\r\n\x00\r\nQUIX",
    ],
)
def test_bad_proxy_headers(header):
    with pytest.raises(ProxyHeaderError):
        read_header(header)


@given(st.sampled_from([b"", b"PROXY ", b"PROXY TCP4 ", SIGNATURE, SIGNATURE + b"\x21\x11"]), st.binary(max_size=200))
def test_proxy_garbage_is_an_error_and_nothing_worse(start, data):
    with contextlib.suppress(ProxyHeaderError):
        found = read_header(start + data)
        assert found is None or found.used <= len(start + data)


@pytest.mark.parametrize(
    ("wanted", "name", "matches"),
    [
        ("mail.protection.outlook.com", "mail.protection.outlook.com", True),
        ("mail.protection.outlook.com", "MAIL.protection.Outlook.com", True),
        ("mail.protection.outlook.com", "*.mail.protection.outlook.com", False),
        ("*.outlook.com", "a.outlook.com", True),
        ("*.outlook.com", "a.b.outlook.com", False),
        ("*.outlook.com", "outlook.com", False),
        ("a.outlook.com", "*.outlook.com", True),
        ("a.outlook.com", "*", False),
        ("*", "com", False),
        ("a.outlook.com", "a.outlook.com.evil.example", False),
    ],
)
def test_certificate_names(wanted, name, matches):
    assert any_matches(["other.example", wanted], ["x.example", name]) == matches


def test_names_of_a_certificate():
    subject = ((("commonName", "cn.example"),),)
    assert certificate_names({"subject": subject}) == ("cn.example",)
    assert certificate_names({"subject": subject, "subjectAltName": (("DNS", "a"), ("IP Address", "::1"))}) == ("a",)
    assert certificate_names({}) == certificate_names(None) == ()


@pytest.mark.parametrize(
    ("peer", "text"),
    [("::ffff:192.0.2.1", "192.0.2.1"), ("FE80::1%eth0", "fe80::1"), ("/run/socket", "/run/socket"), ("", "")],
)
def test_peers_as_text(peer, text):
    assert [plain_text(peer) for _ in range(2)] == [text, text]


def test_two_admissions_do_not_share_what_they_remember():
    first, second = (Admission([(ipaddress.ip_network("192.0.2.0/24"), label)]) for label in ("one", "two"))
    assert [admission.network_of("192.0.2.1") for admission in (first, second, first)] == ["one", "two", "one"]


def test_what_is_no_address_is_inside_nothing():
    networks = (ipaddress.ip_network("192.0.2.0/24"),)
    assert inside("192.0.2.1", networks)
    assert not inside("192.0.3.1", networks)
    assert not inside("", networks)
    assert not inside("/run/socket", ())

"""Microsoft's lists: what a record says, which list counts, and what an outsider may write into one."""

import ipaddress
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.intake.admission import Admission
from relay.intake.microsoft import INSTANCES, Published, date_of, mail_networks, read_ranges, shipped, shipped_list

FETCHED = Published("2026110100", (ipaddress.ip_network("20.200.0.0/16"),))


def record(**more):
    return {"id": 1, "serviceArea": "Exchange", "tcpPorts": "25", "ips": ["20.200.0.0/16"]} | more


@pytest.mark.parametrize(
    ("records", "networks"),
    [
        ([], []),
        ([record()], ["20.200.0.0/16"]),
        ([record(), record()], ["20.200.0.0/16"]),
        ([record(ips=["2a01:111:f400::/48", "20.1.1.1"])], ["2a01:111:f400::/48", "20.1.1.1/32"]),
        ([record(tcpPorts="80, 25 ,443")], ["20.200.0.0/16"]),
        ([record(tcpPorts="1-65535")], ["20.200.0.0/16"]),
        ([record(tcpPorts="26-30")], []),
        ([record(tcpPorts="")], []),
        ([{"serviceArea": "Exchange", "ips": ["20.200.0.0/16"]}], []),
        ([{"serviceArea": "Exchange", "tcpPorts": "25"}], []),
        ([record(serviceArea="Common")], []),
        ([record(serviceArea=None)], []),
        ([record(serviceArea="Skype", tcpPorts=25, ips="x")], []),
    ],
)
def test_what_records_say(records, networks):
    assert list(map(str, mail_networks(records))) == networks


@pytest.mark.parametrize(
    "records",
    [
        None,
        {},
        "x",
        [None],
        [[]],
        [record(tcpPorts=25)],
        [record(tcpPorts="smtp")],
        [record(tcpPorts="25,")],
        [record(tcpPorts="-25")],
        [record(tcpPorts="\uff12\uff15")],
        [record(ips="20.200.0.0/16")],
        [record(ips={"20.200.0.0/16": 1})],
        [record(ips=[335544320])],
        [record(ips=[None])],
        [record(ips=[""])],
        [record(ips=["20.200.0.1/16"])],
        [record(ips=["20.200.0.0/33"])],
        [record(ips=["20.200.0.0/255.255.0.0"])],
        [record(ips=["20.200.0.0/ 16"])],
        [record(ips=["20.200.0.0-20.200.255.255"])],
        [record(ips=["020.200.0.0/16"])],
        [record(ips=["2a01:111:f400::%x/128"])],
        [record(ips=["*.outlook.com"])],
        [record(ips=["20.200.0.0/16\n"])],
        [record(ips=["1" * 1_000_000])],
    ],
)
def test_one_mistake_spoils_the_list(records):
    with pytest.raises(ValueError, match=r"^(is no|ips is no|tcpPorts (is|has) no) (list|text|port|network)"):
        mail_networks(records)


texts = st.text(max_size=30) | st.sampled_from(["Exchange", "25", "20.0.0.0/16", "0.0.0.0/0", "::/0", "25-30", "1.2.3"])
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts, lambda inner: st.lists(inner, max_size=3)
)
names = st.sampled_from(["serviceArea", "tcpPorts", "ips", "id"])


@given(st.lists(st.dictionaries(names, values) | values) | values)
def test_anything_is_networks_or_a_mistake(records):
    try:
        found = mail_networks(records)
    except ValueError:
        return
    told = [text for one in records if one.get("serviceArea") == "Exchange" for text in one.get("ips", [])]
    assert {ipaddress.ip_network(text) for text in told} >= set(found)


@pytest.mark.parametrize(("version", "date"), [("2026081400", 1786665600.0), ("2018063000", 1530316800.0)])
def test_dates_of_versions(version, date):
    assert date_of(version) == date


@pytest.mark.parametrize(
    "version",
    ["", "20260814", "2026133100", "2026022900", "20260814001", "\uff12\uff10\uff12\uff16081400", "0000000000"],
)
def test_what_is_no_version(version):
    with pytest.raises(ValueError):
        date_of(version)


def test_the_newer_list_counts_and_the_relay_pool_stays():
    admission = Admission(read_ranges(shipped(), ["worldwide", "china"], {"worldwide": FETCHED}).networks)
    assert admission.network_of("20.200.1.1") == "exchange-online"
    assert admission.network_of("40.92.0.1") is None
    assert admission.network_of("40.95.0.1") == "relay-pool"
    assert admission.network_of("42.159.36.1") == "exchange-online-china"


@pytest.mark.parametrize("version", ["2026081400", "2022072800"])
def test_an_upgrade_may_bring_the_newer_list(version):
    old = Published(version, FETCHED.networks)
    assert read_ranges(shipped(), ["worldwide"], {"worldwide": old}) == read_ranges(shipped(), ["worldwide"])


def test_the_date_is_that_of_the_oldest_list_that_counts():
    assert read_ranges(shipped(), ["worldwide"], {"worldwide": FETCHED}).timestamp == FETCHED.timestamp
    both = read_ranges(shipped(), ["worldwide", "china"], {"worldwide": FETCHED})
    assert both.timestamp == shipped_list("china").published.timestamp


def test_all_clouds_are_shipped():
    assert set(INSTANCES) == set(json.loads(shipped())["clouds"])
    assert {str(network) for network, label in shipped_list("worldwide").besides} == {"40.95.0.0/16"}
    assert shipped_list("china").besides == ()


def test_no_text_is_made_of_what_is_no_network():
    """It may be as deep as JSON goes, or as large as the answer."""
    deep = json.loads("[" * 900 + "]" * 900)
    with pytest.raises(ValueError, match="is no network: 'list'"):
        mail_networks([record(ips=[deep])])


def test_ports_have_an_end():
    with pytest.raises(ValueError, match="no text of ports"):
        mail_networks([record(tcpPorts="1" + " " * 100_000 + "x")])

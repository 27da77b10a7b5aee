"""What the web service's answers say; they are an outsider's bytes."""

import contextlib
import json

import pytest
from doubles.pretend_endpoints import WORLDWIDE, records
from hypothesis import given
from hypothesis import strategies as st

from relay.onboarding.ranges.endpoints import LONGEST_WAIT, Failed, read_networks, read_version, retry_after
from relay.onboarding.ranges.guards import impossible

NOW = 1_795_824_000.0  # 2026-11-28


def said(value) -> bytes:
    return json.dumps(value).encode()


@pytest.mark.parametrize(
    ("body", "version"),
    [
        (said({"instance": "Worldwide", "latest": "2026110100"}), "2026110100"),
        (said({"instance": "Worldwide", "latest": "2026110100", "versions": ["2026110100"]}), "2026110100"),
        (said([{"instance": "China", "latest": "1"}, {"instance": "Worldwide", "latest": "2026110100"}]), "2026110100"),
        (b'\xef\xbb\xbf{"instance": "Worldwide", "latest": "2026110100"}', "2026110100"),
        (said({"instance": "Worldwide", "latest": "2026122800"}), "2026122800"),  # told 30 days ahead
    ],
)  # fmt: skip
def test_versions(body, version):
    assert read_version(body, "Worldwide", NOW) == version


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"", "malformed"),
        (b"<html><body>Sign in to the hotel's network</body></html>", "malformed"),
        (b"instance,latest\r\nWorldwide,2026110100\r\n", "malformed"),
        (b"\xff\xfe{\x00", "malformed"),
        (b"[" * 100_000, "malformed"),
        (b"2026110100", "malformed"),
        (said([]), "malformed"),
        (said({}), "malformed"),
        (said({"latest": "2026110100"}), "malformed"),
        (said({"instance": "China", "latest": "2026110100"}), "malformed"),
        (said([{"instance": "Worldwide", "latest": "2026110100"}] * 2), "malformed"),
        (said({"instance": "Worldwide", "latest": 2026110100}), "malformed"),
        (said({"instance": "Worldwide", "latest": "latest"}), "malformed"),
        (said({"instance": "Worldwide", "latest": "2026023000"}), "malformed"),
        (said({"instance": "Worldwide", "latest": "2027010100"}), "refused"),
        (said({"instance": "Worldwide", "latest": "9999123199"}), "refused"),
    ],
)
def test_what_tells_no_version(body, kind):
    with pytest.raises(Failed) as failed:
        read_version(body, "Worldwide", NOW)
    assert failed.value.kind == kind
    assert len(str(failed.value)) < 300


def test_networks():
    assert tuple(map(str, read_networks(said(records(WORLDWIDE))))) == WORLDWIDE


@pytest.mark.parametrize(
    ("body", "kind", "why"),
    [
        (b"<html>", "malformed", "no JSON"),
        (said(records(WORLDWIDE))[:-1], "malformed", "no JSON"),
        (said({"error": "x"}), "malformed", "no list of records"),
        (said(records(["20.0.0.0/16", 5])), "malformed", "no network"),
        (said([]), "refused", "no network that mail comes from"),
        (said(records([])), "refused", "no network that mail comes from"),
        (said(records(["0.0.0.0/0"])), "refused", "wider than a /12"),
        (said(records([*WORLDWIDE, "::/0"])), "refused", "wider than a /32"),
        (said(records([*WORLDWIDE, "10.0.0.0/24"])), "refused", "not of the public Internet"),
        (said(records([f"20.{n // 256}.{n % 256}.0/24" for n in range(5_000)])), "malformed", "has 5000 networks"),
    ],
)
def test_what_is_no_list(body, kind, why):
    with pytest.raises(Failed, match=why) as failed:
        read_networks(body)
    assert failed.value.kind == kind


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("7200", 7200),
        (" 60 ", 60),
        ("0", 0),
        ("-5", 0),
        ("soon", 0),
        ("", 0),
        ("99999999999999999999999999", LONGEST_WAIT),
        ("\u0661\u0662", 0),
        ("Sat, 28 Nov 2026 02:00:00 GMT", 7200),
        ("Fri, 27 Nov 2026 00:00:00 GMT", 0),
        ("Fri, 01 Jan 2100 00:00:00 GMT", LONGEST_WAIT),
        ("Fri, 01 Jan 999999999999 00:00:00 GMT", 0),
    ],
)
def test_retry_after(text, seconds):
    assert retry_after({"retry-AFTER": text}, NOW) == seconds
    assert retry_after({}, NOW) == 0


values = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 2**40) | st.text(max_size=12)
    | st.sampled_from(["Exchange", "25", "Worldwide", "2026110100", "20.0.0.0/16", "0.0.0.0/0", "20.0.0.0/12", "::/0"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["serviceArea", "tcpPorts", "ips", "instance", "latest"]), inner
    ),
)  # fmt: skip


rows = st.lists(st.dictionaries(st.sampled_from(["serviceArea", "tcpPorts", "ips"]), values))


@given(st.binary(max_size=80) | values.map(said) | rows.map(said))
def test_any_bytes_are_a_list_that_can_be_or_an_error(body):
    with contextlib.suppress(Failed):
        networks = read_networks(body)
        assert networks
        assert impossible(networks) == ""
    with contextlib.suppress(Failed):
        assert len(read_version(body, "Worldwide", NOW)) == 10

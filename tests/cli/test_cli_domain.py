"""sluice domain: FIND SMTP and the proof, as a new operator meets them, at a real name server."""

import json

import pytest
from doubles.real_named import put_txt, real_named

HOST = "acme-example.mail.protection.outlook.com"
ZONES = {
    "outlook.com": "acme-example.mail.protection A 52.101.8.1\n",
    "acme.example": f"@ IN MX 0 {HOST}.\n",
    "other.example": "@ IN MX 10 mx1.relay.example.\n@ IN MX 20 eu-smtp-1.mimecast.com.\n",
    "relay.example": "mx1 A 99.80.189.20\n",
}


@pytest.fixture(scope="module")
def named(tmp_path_factory):
    with real_named(tmp_path_factory.mktemp("named"), ZONES) as address:
        yield address


@pytest.fixture
def config(tmp_path, named):
    file = tmp_path / "sluice.toml"
    file.write_text(
        f"""
        node = {{ name = "mx1.relay.example", state = "state" }}
        smtp = {{ require_tls = false }}
        dns = {{ servers = ["{named}"], timeout = 1.0 }}
        onboarding = {{ name_servers = ["{named}"] }}
        [environments.EU]
        egress = ["99.80.189.21"]
        secondary_egress = ["99.80.189.22"]
        smart_host = "in.relay.example"
        smart_host_multi_region = "both.relay.example"
        validation_address = "noreply@relay.example"
        region = "eu-west"
        secondary_region = "eu-central"
        """
    )
    return file


def test_find_smtp_finds_the_host(sluice, config):
    ran = sluice("domain", "find-smtp", "acme.example", "--config", config)
    assert (ran.status, ran.err) == (0, "")
    assert ran.out.splitlines() == [
        "acme.example: usable",
        f"  {HOST} takes the mail: Microsoft 365.",
        f"  Take it as the next hop: sluice domain add does so by itself, or with --next-hop {HOST}.",
        "",
        "preference  host                                      is             which is       addresses",
        f"0           {HOST}  Microsoft 365  Microsoft 365  52.101.8.1",
    ]


def test_find_smtp_for_programs(sluice, config):
    told = json.loads(sluice("domain", "find-smtp", "ACME.example", "--json", "--config", config).out)
    assert told["hosts"][0].pop("addresses") == ["52.101.8.1"]
    assert (
        told | {"domain": "acme.example", "outcome": "usable", "usable": True, "host": HOST, "cloud": "worldwide"}
        == told
    )
    assert told["hosts"] == [
        {"name": HOST, "kind": "Microsoft 365", "what": "Microsoft 365", "preference": 0, "cloud": "worldwide"}
    ]


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["other.example"], "other.example: this relay itself"),
        (["nobody.example"], "nobody.example: no answer"),
        (["nobody.acme.example"], "nobody.acme.example: no such domain"),
        (["acme.example", "--next-hop", "smtp.office365.com"], "smtp.office365.com: a wrong value"),
        (["acme.example", "--next-hop", "both.relay.example"], "both.relay.example: this relay itself"),
    ],
)
def test_the_status_tells_that_there_is_nothing_to_take(sluice, config, words, line):
    ran = sluice("domain", "find-smtp", *words, "--config", config)
    assert (ran.status, ran.out.splitlines()[0]) == (1, line)
    assert len(ran.out.splitlines()) >= 3


def test_a_typed_host_that_will_do(sluice, config):
    ran = sluice("domain", "find-smtp", "acme.example", "--next-hop", HOST, "--config", config)
    assert (ran.status, ran.out.splitlines()[0]) == (0, f"{HOST}: usable")


def test_what_is_no_domain(sluice, config):
    ran = sluice("domain", "find-smtp", "a b\x1b[2J", "--config", config)
    assert (ran.status, ran.out) == (1, "")
    assert ran.err == "sluice: 'a b\\x1b[2J': not a domain name\n"


def test_a_domain_is_added_with_the_host_that_is_found(sluice, config):
    sluice("tenant", "add", "acme", "--config", config)
    ran = sluice("domain", "add", "acme", "acme.example", "--config", config)
    first, region, *record, last = ran.out.splitlines()
    assert (ran.status, first, region) == (0, f"acme.example: its mail goes on to {HOST}", "primary: pending")
    assert [line.split()[0] for line in record] == ["name", "type", "value"]
    assert last == "next: publish that in the DNS of acme.example, then sluice domain verify 'acme' acme.example"
    (domain,) = json.loads(sluice("domain", "list", "--json", "--config", config).out)
    assert domain["next_hop"] == HOST


def test_a_domain_is_not_added_when_none_is_found(sluice, config):
    sluice("tenant", "add", "acme", "--config", config)
    ran = sluice("domain", "add", "acme", "other.example", "--config", config)
    assert (ran.status, ran.out) == (1, "")
    assert "mx1.relay.example is this relay itself" in ran.err
    assert "admin.microsoft.com" in ran.err
    assert json.loads(sluice("domain", "list", "--json", "--config", config).out) == []


def test_nobody_can_type_a_loop(sluice, config):
    sluice("tenant", "add", "acme", "--config", config)
    sluice("domain", "add", "acme", "acme.example", "--config", config)
    for words in (["add", "acme", "two.example"], ["set", "acme", "acme.example"]):
        for host in ("IN.relay.example:25", "both.relay.example.", "mx1.relay.example"):
            ran = sluice("domain", *words, "--next-hop", host, "--config", config)
            assert (ran.status, ran.out) == (1, "")
            assert "is this relay itself" in ran.err
    (domain,) = json.loads(sluice("domain", "list", "--json", "--config", config).out)
    assert domain["next_hop"] == HOST


def test_a_domain_that_is_vouched_for_is_added_without_a_record(sluice, config):
    sluice("tenant", "add", "acme", "--config", config)
    ran = sluice("domain", "add", "acme", "acme.example", "--vouch", "--config", config)
    assert (ran.status, ran.out) == (0, f"acme.example: its mail goes on to {HOST}\n")


def test_verify_tells_what_to_publish_and_whether_it_is_there(sluice, config, named):
    sluice("tenant", "add", "acme", "--config", config)
    sluice("domain", "add", "acme", "acme.example", "--config", config)
    ran = sluice("domain", "verify", "acme.example", "--config", config)
    lines = ran.out.splitlines()
    value = lines[4].split()[-1]
    assert (ran.status, ran.err) == (1, "")
    assert lines == [
        "acme.example (acme): not proven; no mail is relayed for it",
        "primary: pending",
        "  name   _sluice.acme.example",
        "  type   TXT",
        f"  value  {value}",
        "  found  no",
        f"         {named}: no such name",
        "  note   no such name: the record is not there",
    ]
    put_txt(named, "acme.example", "_sluice", value)
    ran = sluice("domain", "verify", "acme", "Acme.Example.", "--config", config)
    put_txt(named, "acme.example", "_sluice")
    assert ran.status == 0
    assert ran.out.splitlines() == [
        "acme.example (acme): proven; its mail is relayed",
        "primary: verified",
        *lines[2:5],
        "  found  yes",
        f"         {named}: found (1)",
    ]


def test_verify_asks_for_a_record_in_each_region(sluice, config, named):
    for words in (["add", "acme"], ["set", "acme", "environment=EU", "multi_region=true"]):
        assert sluice("tenant", *words, "--config", config).status == 0
    sluice("domain", "add", "acme", "acme.example", "--config", config)
    verify = ("domain", "verify", "acme.example", "--json", "--config", config)
    values = {record["region"]: record["value"] for record in json.loads(sluice(*verify).out)["records"]}
    put_txt(named, "acme.example", "_sluice", values["eu-west"])
    ran = sluice(*verify)
    told = json.loads(ran.out)
    assert (ran.status, told["proven"], told["protected"]) == (1, False, True)
    assert {record["region"]: (record["seen"], record["state"]) for record in told["records"]} == {
        "eu-west": ("yes", "verified"),
        "eu-central": ("no", "pending"),
    }
    put_txt(named, "acme.example", "_sluice", "v=spf1 -all", *values.values())
    ran = sluice(*verify)
    assert (ran.status, json.loads(ran.out)["proven"]) == (0, True)
    put_txt(named, "acme.example", "_sluice")


def test_a_domain_that_is_vouched_for_needs_no_record(sluice, config):
    sluice("tenant", "add", "acme", "--config", config)
    sluice("domain", "add", "acme", "acme.example", "--vouch", "--config", config)
    ran = sluice("domain", "verify", "acme.example", "--config", config)
    assert ran.status == 0
    assert ran.out == "acme.example (acme): vouched for, no record is asked for; its mail is relayed\n"


@pytest.mark.parametrize(
    ("words", "status", "complaint"),
    [
        (["nobody.example"], 1, "sluice: no tenant has the domain nobody.example\n"),
        (["acme", "nobody.example"], 1, "sluice: acme has no domain nobody.example\n"),
        (["initech", "acme.example"], 1, "sluice: no such tenant: 'initech'\n"),
        (["a..example"], 1, "sluice: 'a..example': not a domain name\n"),
        (["a", "b", "c"], 2, "one tenant and one domain at most"),
        ([], 2, "Missing argument"),
    ],
)
def test_verify_knows_what_it_is_asked(sluice, config, words, status, complaint):
    sluice("tenant", "add", "acme", "--config", config)
    ran = sluice("domain", "verify", *words, "--config", config)
    assert (ran.status, ran.out) == (status, "")
    assert complaint in ran.err

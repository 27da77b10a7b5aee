"""Tenants and their domains: tables, and MX records in a real zone."""

import pytest
from doubles.real_named import real_named

from relay.dns import Resolver
from relay.onboarding.doctor import domains as subject
from relay.onboarding.doctor.environments import places, validated
from relay.onboarding.domains.mailhosts import NOBODY, Ours
from relay.onboarding.environment import Environment
from relay.records.verifications import Row
from relay.tenants.model import Tenant

NOW, HOUR = 1_795_795_323.0, 3_600.0
EU = Environment("eu", ("99.81.216.78", "34.249.190.60"), ("52.12.169.124",), "eu.relay.example", "eu2.relay.example",
                 "check@relay.example", "relay.example", "eu-west-1", "us-west-2")  # fmt: skip
US = Environment("us", ("3.81.182.154",), (), "us.relay.example", "", "Check@relay.example", "", "us-east-1", "")


def tenant(name="acme", **more):
    hop = more.pop("hop", "acme-example.mail.protection.outlook.com")
    domain = {"name": f"{name}.example", "next_hop": hop, "verified": more.pop("verified", False)}
    return Tenant.model_validate({"name": name, "loop_values": ["hunter2hunter2"], "domain": [domain], **more})


@pytest.mark.parametrize(
    ("more", "known", "state"),
    [
        ({"environment": "eu"}, {"eu": EU}, "ok"),
        ({"environment": "eu", "multi_region": True}, {"eu": EU}, "ok"),
        ({"environment": "us", "multi_region": True}, {"us": US}, "warning"),
        ({"environment": "au"}, {"eu": EU}, "failed"),
        ({}, {"eu": EU}, "failed"),
        ({}, {}, "skipped"),
    ],
)
def test_environments_of_tenants(more, known, state):
    assert str(next(subject.settings(tenant(**more), known)).state) == state


@pytest.mark.parametrize(
    ("more", "state", "told"),
    [
        ({}, "ok", "required"),
        ({"proof": "log"}, "warning", "proof = log"),
        ({"policy": {"observe": True}}, "warning", "observe"),
        ({"domain": []}, "warning", "no domain"),
    ],
)
def test_protection(more, state, told):
    result = list(subject.settings(tenant(**more), {}))[1]
    assert (str(result.state), told in result.found) == (state, True)


@pytest.mark.parametrize(
    ("more", "found", "remedy"),
    [
        ({"environment": "au"}, "there is no environment au; there are: eu", "environment=NAME"),
        ({}, "it has no environment; there are: eu", "environment=NAME"),
    ],
)
def test_what_lacks_is_told_with_the_command_that_brings_it(more, found, remedy):
    environment, protection = subject.settings(tenant(**more, domain=[]), {"eu": EU})
    assert environment.found == found
    assert environment.remedy.endswith(remedy)
    assert protection.remedy == "sluice domain add 'acme' DOMAIN"


def row(state="verified", region="eu-west-1", **more):
    return Row("acme", "acme.example", region, "sluice-verification=x", state, **{"checked": NOW - HOUR} | more)


@pytest.mark.parametrize(
    ("verified", "rows", "states"),
    [
        (True, [], ["ok"]),
        (True, [row("failed")], ["ok"]),
        (False, [], ["failed"]),
        (False, [row()], ["ok"]),
        (False, [row("pending", checked=0.0)], ["failed"]),
        (False, [row("failed")], ["failed"]),
        (False, [row("lapsed")], ["failed"]),
        (False, [row("lapsing")], ["warning"]),
        (False, [row("of the future")], ["failed"]),
        (False, [row(), row("pending", "us-west-2")], ["ok", "warning"]),
        (False, [row("pending"), row("failed", "us-west-2")], ["failed", "failed"]),
        (False, [row(checked=NOW - 71 * HOUR)], ["ok"]),
        (False, [row(checked=NOW - 73 * HOUR)], ["warning"]),
    ],
)
def test_verification(verified, rows, states):
    one = tenant(verified=verified)
    results = list(subject.verification(one, one.domain[0], rows, 24 * HOUR, NOW))
    assert [str(result.state) for result in results] == states
    assert all(bool(result.remedy) is (str(result.state) != "ok") for result in results)


def test_what_the_last_look_found_is_told():
    one = tenant()
    (result,) = subject.verification(one, one.domain[0], [row("lapsing", problem="no TXT record")], HOUR, NOW)
    assert result.found.endswith("(no TXT record)")


HOP = "acme-example.mail.protection.outlook.com"
ZONES = {
    "acme.example": f"""
right    IN MX 10 {HOP}.
second   IN MX 20 {HOP}.
second   IN MX 10 mx.gateway.example.
other    IN MX 10 other-example.mail.protection.outlook.com.
gateway  IN MX 10 mx.pphosted.com.
ourselves IN MX 10 eu.relay.example.
null     IN MX 0 .
none     IN A 192.0.2.1
""",
    "outlook.com": """
acme-example.mail.protection  IN A 52.101.68.8
other-example.mail.protection IN A 52.101.68.9
""",
    "gateway.example": "mx IN A 99.81.216.1\n",
    "relay.example": "eu IN A 99.81.216.78\n",
}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with real_named(tmp_path_factory.mktemp("named"), ZONES) as server:
        yield server


@pytest.mark.parametrize(
    ("label", "state", "told", "remedy"),
    [
        ("right", "ok", HOP, ""),
        ("second", "warning", "mx.gateway.example", "whether the other hosts are still wanted"),
        ("other", "warning", "other-example", "sluice domain set 'acme' other.acme.example --next-hop other-example"),
        ("gateway", "warning", "Proofpoint", "admin center"),
        ("ourselves", "failed", "this relay", "transport rule"),
        ("null", "warning", "no mail at all", "nothing to protect"),
        ("none", "warning", "no MX record", "MX record"),
        ("nobody", "warning", "does not exist", "typing mistake"),
        ("refused", "cannot tell", "no answer", "Try again"),
    ],
)
async def test_mx(server, gathered, label, state, told, remedy):
    name = "refused.example" if label == "refused" else f"{label}.acme.example"
    one = tenant(domain=[{"name": name, "next_hop": HOP}])
    ours = Ours(frozenset({"eu.relay.example"}))
    (result,) = await gathered(subject.mx(Resolver([server], 2.0), one, one.domain[0], ours, private=False))
    assert (str(result.state), told in result.found, remedy in result.remedy) == (state, True, True), result
    assert (result.subject, result.tenant) == (name, "acme")


async def test_a_next_hop_that_is_one_of_several_hosts(server, gathered):
    one = tenant(domain=[{"name": "second.acme.example", "next_hop": "mx.gateway.example"}])
    (result,) = await gathered(subject.mx(Resolver([server], 2.0), one, one.domain[0], NOBODY, private=False))
    assert str(result.state) == "warning"


def test_the_environments_that_matter_are_those_of_the_tenants():
    known = {"eu": EU, "us": US}
    assert places(known, [tenant(environment="eu")]).hosts == ("eu.relay.example",)
    both = places(known, [tenant(environment="eu", multi_region=True), tenant("b", environment="us")])
    assert both.hosts == ("eu2.relay.example", "us.relay.example")
    assert both.egress == {
        "99.81.216.78": "relay.example", "34.249.190.60": "relay.example", "52.12.169.124": "relay.example",
        "3.81.182.154": "",
    }  # fmt: skip


@pytest.mark.parametrize("tenants", [[], [tenant()], [tenant(environment="gone")]])
def test_without_such_tenants_all_matter(tenants):
    assert set(places({"eu": EU, "us": US}, tenants).hosts) == {
        "eu.relay.example", "eu2.relay.example", "us.relay.example",
    }  # fmt: skip
    assert places({}, tenants).hosts == ()


def test_the_mailbox_that_validates_connectors():
    assert str(validated(EU, {"acme.example"}).state) == "ok"
    assert str(validated(US, {"acme.example", "relay.example"}).state) == "failed"

import datetime as dt
import re
import tomllib
from pathlib import Path

import pytest
from pydantic import ValidationError

from relay.tenants import lists as listing
from relay.tenants.directory import Directory
from relay.tenants.model import Tenant, TenantFile
from verdicts.lists import NEVER, Entry
from verdicts.mail import Person

DIGEST = "A3" * 32


def tenant(**more):
    return {
        "name": "acme",
        "loop_values": ["k7Jq2mV9xT4bR8nL"],
        "domain": [
            {"name": "acme.example", "next_hop": "127.0.0.1", "verified": True},
            {"name": "later.example", "next_hop": "127.0.0.1"},
        ],
    } | more


def entry(**facts):
    return {"kind": "block", "reason": "ticket 1"} | facts


def compiled(**facts):
    (one,) = Tenant.model_validate(tenant(list=[entry(**facts)])).list
    return one.compiled()


def test_a_tenant_file_as_an_operator_writes_it():
    text = """
    [[tenant.person]]
    name = " Ann Archer "
    addresses = ["Ann.Archer@Mail.Example"]
    [[tenant.list]]
    kind = "allow"
    sender = ".Bücher.example"
    expires = 2027-01-31
    reason = "their newsletter"
    [[tenant.list]]
    kind = "block"
    network = "192.0.2.0/24"
    reason = "ticket 2"
    """
    known = Directory([Tenant.model_validate(tenant(**tomllib.loads(text)["tenant"]))])
    profile = known.route("bob@acme.example").profile
    assert profile.domains == ("acme.example",)  # the other one is not verified
    assert profile.people == (Person("Ann Archer", ("ann.archer@mail.example",)),)
    end = dt.datetime(2027, 2, 1, tzinfo=dt.UTC).timestamp()
    found = Entry("allow", "sender", ".xn--bcher-kva.example", "their newsletter", end)
    assert profile.lists.sender("x@news.bücher.example", 0) == [found]
    assert [one.reason for one in profile.lists.network("192.0.2.7", 0)] == ["ticket 2"]


def test_the_example_is_right():
    text = (Path(__file__).parents[2] / "config/tenants-example.toml").read_text()
    commented = re.sub(r"(?m)^# (?=\[|[a-z]+ = )", "", text)
    (one,) = TenantFile.model_validate(tomllib.loads(commented)).tenant
    assert ([person.name for person in one.person], [entry.kind for entry in one.list]) == (
        ["Ann Archer"],
        ["block", "allow"],
    )


def test_all_routes_of_a_tenant_share_one_profile():
    domains = [{"name": f"a{n}.example", "next_hop": "127.0.0.1", "verified": True} for n in range(3)]
    known = Directory([Tenant.model_validate(tenant(domain=domains))])
    assert len({id(known.route(f"x@a{n}.example").profile) for n in range(3)}) == 1


@pytest.mark.parametrize(
    ("facts", "value"),
    [
        ({"sender": "Ann@Acme.Example"}, "ann@acme.example"),
        ({"sender": "a@b@bücher.example"}, "a@b@xn--bcher-kva.example"),
        ({"sender": "ACME.example"}, "acme.example"),
        ({"sender": ".zip"}, ".zip"),
        ({"network": "192.0.2.7"}, "192.0.2.7/32"),
        ({"network": "2001:DB8::/32"}, "2001:db8::/32"),
        ({"hash": DIGEST}, DIGEST.lower()),
        ({"url": "https://Evil.Example/A%20b/"}, "evil.example/A b"),
        ({"url": ".evil.example"}, ".evil.example"),
        ({"url": "http://192.0.2.7/x?y#z"}, "192.0.2.7/x"),
    ],
)
def test_values_are_kept_as_they_are_looked_up(facts, value):
    (matter,) = facts
    assert compiled(**facts) == Entry("block", matter, value, "ticket 1", NEVER)


@pytest.mark.parametrize(
    ("written", "at"),
    [
        (dt.date(2027, 1, 31), "2027-02-01T00:00:00+00:00"),
        ("2027-01-31", "2027-02-01T00:00:00+00:00"),
        (dt.datetime(2027, 1, 31, 12, tzinfo=dt.UTC), "2027-01-31T12:00:00+00:00"),
        ("2027-01-31T12:00:00+01:00", "2027-01-31T11:00:00+00:00"),
    ],
)
def test_an_entry_expires_at_a_moment_or_when_its_day_is_over(written, at):
    assert compiled(sender="a.example", expires=written).expires == dt.datetime.fromisoformat(at).timestamp()


def test_a_stored_document_reads_back():
    entries = [
        entry(sender="a.example", expires=dt.date(2027, 1, 31)),
        entry(url="a.example/%2541"),
        entry(hash=DIGEST),
    ]
    people = [{"name": "Ann Archer", "addresses": ["a@b.example"]}]
    file = TenantFile.model_validate({"tenant": [tenant(list=entries, person=people)]})
    once = file.model_dump(mode="json")
    again = TenantFile.model_validate(once)
    assert again == file
    assert again.model_dump(mode="json") == once


def test_a_document_of_an_older_version_has_neither():
    profile = Directory([Tenant.model_validate(tenant())]).route("bob@acme.example").profile
    assert (profile.people, [matter for matter in listing.MATTERS if matter in profile.lists]) == ((), [])


@pytest.mark.parametrize(
    ("facts", "key", "words"),
    [
        ({}, (), "exactly one of sender, network, hash and url"),
        ({"sender": "a.example", "hash": DIGEST}, (), "exactly one of"),
        ({"kind": "allow", "hash": DIGEST}, (), "only a sender or a network can be allowed"),
        ({"kind": "allow", "url": "a.example"}, (), "only a sender or a network can be allowed"),
        ({"kind": "trust", "sender": "a.example"}, ("kind",), "'allow' or 'block'"),
        ({"sender": "*.a.example"}, ("sender",), 'must read like "ann@acme.example"'),
        ({"sender": "@a.example"}, ("sender",), "not an address"),
        ({"sender": "a b@a.example"}, ("sender",), "not an address"),
        ({"sender": ""}, ("sender",), "not a domain name"),
        ({"sender": "x" * 600}, ("sender",), "500 characters"),
        ({"network": "192.0.2.1/24"}, ("network",), "host bits set"),
        ({"network": "0.0.0.0/0"}, ("network",), "wider than /8"),
        ({"network": "::/0"}, ("network",), "wider than /16"),
        ({"hash": "a" * 63}, ("hash",), "sha256sum"),
        ({"hash": "٣" * 64}, ("hash",), "sha256sum"),
        ({"url": "evil.example:8080/x"}, ("url",), "host.example/path"),
        ({"url": "a.example" + "/x" * 21}, ("url",), "more than 20 steps"),
        ({"sender": "a.example", "expires": "soon"}, ("expires",), "2027-01-31T12:00:00Z"),
        ({"sender": "a.example", "expires": dt.datetime(2027, 1, 31)}, ("expires",), "with its offset"),  # noqa: DTZ001
        ({"sender": "a.example", "expires": dt.date.max}, ("expires",), "must be a date"),
        ({"sender": "a.example", "expires": 5}, ("expires",), "must be a date"),
        ({"sender": "a.example", "reason": " "}, ("reason",), "1 to 200 printable characters"),
        ({"sender": "a.example", "reason": "a\nb"}, ("reason",), "1 to 200 printable characters"),
        ({"sender": "a.example", "until": "x"}, ("until",), "not permitted"),
    ],
)
def test_a_mistake_is_told_at_its_key(facts, key, words):
    with pytest.raises(ValidationError) as caught:
        TenantFile.model_validate({"tenant": [tenant(list=[entry(sender="fine.example"), entry(**facts)])]})
    (mistake,) = caught.value.errors()
    assert mistake["loc"] == ("tenant", 0, "list", 1, *key)
    assert words in mistake["msg"]


def test_a_reason_is_required():
    with pytest.raises(ValidationError) as caught:
        Tenant.model_validate(tenant(list=[{"kind": "block", "sender": "a.example"}]))
    assert [(mistake["loc"], mistake["type"]) for mistake in caught.value.errors()] == [
        (("list", 0, "reason"), "missing")
    ]


@pytest.mark.parametrize(
    ("more", "place"),
    [
        ({"list": [entry(sender="a.example")] * 10_001}, ("list",)),
        ({"person": [{"name": "Ann Archer"}] * 1_001}, ("person",)),
        ({"person": [{"name": "Ann Archer", "addresses": ["a@b.example"] * 21}]}, ("person", 0, "addresses")),
        ({"person": [{"name": "A" * 101}]}, ("person", 0, "name")),
        ({"person": [{"name": "Ann", "addresses": ["acme.example"]}]}, ("person", 0, "addresses", 0)),
    ],
)
def test_there_are_bounds(more, place):
    with pytest.raises(ValidationError) as caught:
        Tenant.model_validate(tenant(**more))
    assert [mistake["loc"] for mistake in caught.value.errors()] == [place]

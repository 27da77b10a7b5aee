"""Changes of tenants and domains: what is given back is whole and right, or nothing is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.errors import NotFound, Unusable
from relay.onboarding import tenancy
from relay.onboarding.environment import Environment
from relay.tenants.model import Tenant

HOSTS = ("in.example", "all.example", "v@in.example", "")
EU = Environment("eu", ("192.0.2.1",), ("198.51.100.1",), *HOSTS, "west", "east")
ONE = Environment("one", ("192.0.2.1",), (), "in.example", "", "v@in.example", "", "west", "")
KNOWN = {"eu": EU, "one": ONE}


def acme(**values):
    return tenancy.added([], KNOWN, "acme", values)


def domain(name="acme.example", **values):
    return {"name": name, "next_hop": "mx.example", **values}


def test_a_new_tenant_has_a_secret_of_its_own_that_a_rule_can_look_for():
    first, second = (acme()[0]["loop_values"] for _ in range(2))
    assert first != second
    assert [len(value) for value in first] == [32]
    assert first[0].isalnum()


def test_environments_tell_what_a_tenant_has_to_allow():
    assert EU.addresses(False) == ("192.0.2.1",)
    assert EU.addresses(True) == ("192.0.2.1", "198.51.100.1")
    assert (EU.host(False), EU.host(True), ONE.host(True)) == ("in.example", "all.example", "in.example")
    assert (EU.regions(False), EU.regions(True), ONE.regions(True)) == (("west",), ("west", "east"), ("west",))


@pytest.mark.parametrize(
    ("pairs", "key", "expected"),
    [
        ({"environment": "eu"}, "environment", "eu"),
        ({"environment": "eu", "multi_region": "true"}, "multi_region", True),
        ({"contacts": "it@acme.example, Ops@acme.example"}, "contacts", ["it@acme.example", "ops@acme.example"]),
        ({"contacts": ""}, "contacts", []),
        ({"proof": "log"}, "proof", "log"),
        ({"microsoft_tenant_id": "2B6E8F4A-9C1D-4F3B-8A57-D0C4E1F2A3B5"}, "microsoft_tenant_id",
         "2b6e8f4a-9c1d-4f3b-8a57-d0c4e1f2a3b5"),
        ({"scope.users": "bob@acme.example"}, "scope", {"groups": [], "users": ["bob@acme.example"]}),
        ({"notices": "no"}, "notices", False),
    ],
)  # fmt: skip
def test_values_are_set_as_one_types_them(pairs, key, expected):
    assert tenancy.changed(acme(contacts=["x@acme.example"]), KNOWN, "acme", pairs)[0][key] == expected


def test_a_value_of_the_policy_is_set_and_taken_back():
    told = tenancy.changed(acme(), KNOWN, "acme", {"policy.spam": "quarantine", "policy.observe": "true"})
    assert (told[0]["policy"]["spam"], told[0]["policy"]["observe"]) == ("quarantine", True)
    assert tenancy.changed(told, KNOWN, "acme", {"policy.spam": "", "policy.observe": ""}) == acme_like(told)


def acme_like(documents):
    return [Tenant.model_validate(documents[0] | {"policy": {}}).model_dump(mode="json")]


@pytest.mark.parametrize(
    ("pairs", "told"),
    [
        ({"loop_values": "k7Jq2mV9xT4bR8nL5wZ3cY6h"}, "loop_values: no value of that name can be set"),
        ({"domain": "x"}, "domain: no value of that name can be set"),
        ({"colour": "red"}, "colour: no value of that name can be set"),
        ({"policy": "x"}, "policy: needs the name of a value in it"),
        ({"proof.x": "x"}, "proof.x: has no values in it"),
        ({"policy.colour": "x"}, "policy.colour: no value of that name can be set"),
        ({"proof": "maybe"}, "proof: must be 'require' or 'log'"),
        ({"notices": "perhaps"}, "notices: must be true or false"),
        ({"policy.spam_weight": "much"}, "policy.spam_weight: must be a valid number"),
        ({"contacts": "a,b"}, 'contacts: not an address: must read like "ann@acme.example"'),
        ({"environment": "mars"}, "acme: no such environment: 'mars'; there are: eu, one"),
        ({"multi_region": "true"}, "acme: multi_region needs an environment"),
        ({"environment": "one", "multi_region": "true"}, "acme: the environment one has no secondary_region"),
    ],
)
def test_what_cannot_be_set_is_told_by_its_key(pairs, told):
    with pytest.raises(Unusable) as caught:
        tenancy.changed(acme(), KNOWN, "acme", pairs)
    assert str(caught.value) == told


def test_a_tenant_that_is_not_there_is_not_found():
    for change in (
        lambda: tenancy.changed([], KNOWN, "acme", {}),
        lambda: tenancy.removed(acme(), "Acme"),
        lambda: tenancy.with_domain([], KNOWN, "acme", domain()),
        lambda: tenancy.without_domain(acme(), KNOWN, "acme", "acme.example"),
        lambda: tenancy.with_changed_domain(acme(), KNOWN, "acme", "acme.example", {}),
        lambda: tenancy.with_new_value([], KNOWN, "acme"),
    ):
        with pytest.raises(NotFound):
            change()


def test_domains_come_and_go():
    told = tenancy.with_domain(acme(), KNOWN, "acme", domain("ACME.example"))
    told = tenancy.with_domain(told, KNOWN, "acme", domain("other.example", verified=True))
    assert [one["name"] for one in told[0]["domain"]] == ["acme.example", "other.example"]
    assert [one["name"] for one in tenancy.without_domain(told, KNOWN, "acme", "Acme.Example")[0]["domain"]] == [
        "other.example"
    ]


def test_a_domain_is_changed_by_any_of_its_spellings():
    told = tenancy.with_domain(acme(), KNOWN, "acme", domain("bücher.example"))
    for spelling in ("BÜCHER.example", "xn--bcher-kva.example"):
        changed = tenancy.with_changed_domain(told, KNOWN, "acme", spelling, {"next_hop": "mx2.example:26"})
        assert changed[0]["domain"] == [domain("xn--bcher-kva.example", next_hop="mx2.example:26", verified=False)]
    with pytest.raises(Unusable, match="1 to 65535"):
        tenancy.with_changed_domain(told, KNOWN, "acme", "bücher.example", {"next_hop": "mx:0"})


def test_a_domain_has_one_tenant():
    both = tenancy.added(tenancy.with_domain(acme(), KNOWN, "acme", domain()), KNOWN, "other", {})
    with pytest.raises(Unusable, match='the domain belongs to tenant "acme" already'):
        tenancy.with_domain(both, KNOWN, "other", domain())


def test_the_new_loop_value_comes_first_and_alone_in_the_end():
    before = acme()
    rotated = tenancy.with_new_value(before, KNOWN, "acme")
    new, old = rotated[0]["loop_values"]
    assert [old] == before[0]["loop_values"]
    assert new != old
    with pytest.raises(Unusable, match="end that rotation first"):
        tenancy.with_new_value(rotated, KNOWN, "acme")
    assert tenancy.with_one_value(rotated, "acme", (new, old))[0]["loop_values"] == [new]
    with pytest.raises(NotFound):
        tenancy.with_one_value(rotated, "other", (new, old))


def test_values_that_nobody_looked_at_stay():
    rotated = tenancy.with_new_value(acme(), KNOWN, "acme")
    with pytest.raises(Unusable, match="changed meanwhile") as caught:
        tenancy.with_one_value(rotated, "acme", acme()[0]["loop_values"])
    assert not any(value in str(caught.value) for value in rotated[0]["loop_values"])


def test_no_error_shows_a_secret():
    secret = acme()[0]["loop_values"][0]
    with pytest.raises(Unusable) as caught:
        tenancy.checked([*acme(), {"name": "two", "loop_values": [f" {secret}"]}], KNOWN)
    assert secret not in str(caught.value)


@pytest.mark.parametrize(
    ("values", "regions"),
    [
        ({}, ["primary"]),
        ({"environment": "eu"}, ["west"]),
        ({"environment": "eu", "multi_region": True}, ["west", "east"]),
    ],
)
def test_a_record_is_wanted_in_each_region_of_a_domain_that_nobody_vouches_for(values, regions):
    told = tenancy.with_domain(acme(**values), KNOWN, "acme", domain())
    told = tenancy.with_domain(told, KNOWN, "acme", domain("vouched.example", verified=True))
    rows = list(tenancy.wanted(told, KNOWN, 7.0))
    assert [(row.domain, row.region, row.state, row.added) for row in rows] == [
        ("acme.example", region, "pending", 7.0) for region in regions
    ]
    assert len({row.value for row in rows}) == len(rows)


@given(st.dictionaries(st.text(max_size=30), st.text(max_size=30), max_size=3))
def test_whatever_is_typed_is_set_or_told(pairs):
    try:
        told = tenancy.changed(acme(), KNOWN, "acme", pairs)
    except Unusable:
        return
    assert tenancy.checked(told, KNOWN) == told

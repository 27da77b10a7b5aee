"""The plan: what is in it, what its order is, and what makes it impossible."""

import re

import pytest
from onboarding.exchange_kit import EU, NEW, OLD, plan, tenant

from relay.errors import Unusable
from relay.onboarding.environment import Environment
from relay.onboarding.exchange import limits, steps
from relay.onboarding.exchange.plan import Form, Kind, Variant

BARE = Environment(
    "bare", ("192.0.2.1", "192.0.2.9", "198.51.100.7"), (), "in.example", "", "v@in.example", "", "w", ""
)
VARIANTS = list(Variant)


def value(step, name):
    return next(one.value for one in step.properties if one.name == name)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("scope", [{}, {"groups": ["a@acme.example"], "users": ["b@acme.example"]}])
def test_a_step_comes_after_what_it_needs(variant, scope):
    seen = set()
    for step in plan(variant, scope=scope).steps:
        assert set(step.needs) <= seen, step.id
        assert step.id not in seen
        seen.add(step.id)


@pytest.mark.parametrize("variant", VARIANTS)
def test_mail_is_redirected_only_when_it_can_come_back(variant):
    made = plan(variant)
    redirect = made.step("redirect")
    assert set(redirect.needs) >= {"organisation", "spoof", "addresses", "inbound", "outbound", "validation"}
    assert set(redirect.needs) >= {step.id for step in made.of(Kind.RULE) if not step.absent} - {"redirect"}


@pytest.mark.parametrize("variant", VARIANTS)
def test_both_variants_know_the_same_objects(variant):
    known = {(step.id, step.name) for step in plan(variant).steps}
    assert known == {(step.id, step.name) for step in plan(Variant.HARDENED).steps}


def test_what_one_variant_sets_the_other_takes_back():
    hardened, article = (
        {(step.id, one.name) for step in plan(variant).steps for one in step.properties if not step.absent}
        for variant in VARIANTS
    )
    assert article <= hardened
    both = {step.id for step in plan(Variant.ARTICLE).steps if not step.absent}
    assert {pair for pair in hardened - article if pair[0] in both} == set()


def test_multi_region_and_the_seal_are_by_choice():
    assert value(plan(multi_region=True).step("addresses"), "IPAllowList") == (*EU.egress, "52.12.169.124")
    assert value(plan(multi_region=True).step("outbound"), "TlsDomain") == "all.sluice.example"
    assert "sealer" not in {step.id for step in plan(sealer="").steps}


def test_spoofing_is_allowed_by_domain_or_else_by_networks():
    assert value(plan().step("spoof"), "SendingInfrastructure") == ("mx.sluice.example",)
    networks = ("192.0.2.0/24", "198.51.100.0/24")
    assert value(plan(environment=BARE).step("spoof"), "SendingInfrastructure") == networks
    told = "networks of 256 addresses"
    assert [told in " ".join(made.notes) for made in (plan(), plan(environment=BARE))] == [False, True]


def test_the_way_on_which_the_value_may_become_known_is_told():
    known = "2b6e8f4a-9c1d-4f3b-8a57-d0c4e1f2a3b5"
    told = [" ".join(plan(microsoft_tenant_id=one).notes) for one in (None, known)]
    assert ["refused for good goes back" in notes for notes in told] == [True, True]
    assert ["microsoft_tenant_id" in notes for notes in told] == [True, False]


def test_no_repr_shows_a_secret():
    assert OLD not in repr(plan())


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"domains": ()}, "acme has no protected domain"),
        ({"loop_values": ["acme2023"]}, "a loop value has less than 128 random bits"),
        ({"loop_values": [NEW, "a" * 32]}, "a loop value has less than 128 random bits"),
        ({"loop_values": [f"{OLD} x"]}, "a loop value has characters at which Exchange may cut it"),
        ({"loop_values": [f'{OLD}"']}, "a loop value has characters at which Exchange may cut it"),
        ({"scope": {"users": ["bob@other.example"]}}, "bob@other.example is in no protected domain"),
        (
            {"scope": {"users": [f"{'u' * 80}{number}@acme.example" for number in range(100)]}},
            "and Exchange takes 8192 in a rule",
        ),
        ({"domains": tuple(f"{'d' * 50}{number}.example" for number in range(200))}, "Exchange takes 8192 in a rule"),
    ],
)
def test_what_exchange_does_not_take_is_told_before_anything_is_made(values, told):
    with pytest.raises(Unusable, match=re.escape(told)) as caught:
        plan(**values)
    assert OLD not in str(caught.value)


def test_too_many_addresses_are_told():
    many = tuple(f"192.0.{high}.{low}" for high in range(10) for low in range(200))
    environment = Environment("many", many, (), "in.example", "", "v@in.example", "", "w", "")
    with pytest.raises(Unusable, match="2000 addresses in the IP allow list, and Exchange takes 1273"):
        plan(environment=environment)


def test_all_mistakes_are_told_at_once():
    with pytest.raises(Unusable) as caught:
        plan(domains=(), loop_values=["acme2023"])
    assert len(str(caught.value).splitlines()) == 2


@pytest.mark.parametrize(
    ("value", "least", "most"),
    [(OLD, 180, 200), ("0123456789abcdef" * 2, 128, 128), ("acme2023", 0, 50), ("a" * 200, 0, 20)],
)
def test_bits(value, least, most):
    assert least <= limits.bits(value) <= most


def test_names_and_patterns_are_within_their_limits():
    for variant in VARIANTS:
        made = plan(variant)
        assert all(len(step.name) <= 64 for step in made.steps)
        assert all(limits.size(step) < 2048 for step in made.of(Kind.RULE))
        patterns = [text for step in made.steps for one in step.properties for text in one.texts
                    if one.name.endswith("Patterns")]  # fmt: skip
        assert all(re.compile(text) for text in patterns)


def test_texts_are_what_people_read():
    said = {one.name: one.texts for step in plan().steps for one in step.properties}
    assert said["ExceptIfMessageSizeOver"] == ("40000 KB",)
    assert said["RequireTls"] == ("yes",)
    assert said["RestrictDomainsToIPAddresses"] == ("no",)
    assert said["SentTo"] == ()
    assert {one.form for step in plan().steps for one in step.properties} == set(Form)


def test_the_tenants_own_microsoft_tenant_is_in_it():
    guid = "2b6e8f4a-9c1d-4f3b-8a57-d0c4e1f2a3b5"
    assert plan(microsoft_tenant_id=guid).organisation == guid
    assert steps.plan(tenant(), EU, ("acme.example",)).organisation == ""

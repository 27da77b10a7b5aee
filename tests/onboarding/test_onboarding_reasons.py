"""Why tenants should hear something: of their domains' proofs, of what was counted; what is due by which way."""

import pytest

from relay.onboarding.notices import due
from relay.onboarding.notices.due import LONGEST_SUBJECT, State
from relay.onboarding.notices.kinds import Last, Rules
from relay.onboarding.notices.reasons import of_count, of_domains, own_domains
from relay.records.verifications import Row
from relay.tenants.model import Tenant

DAY = 86_400.0
NOW = 1_000 * DAY
RULES = Rules(("verified", "lapsing", "unproven", "working"), DAY, 60.0, "_sluice", 7.0)


def tenant(name="acme", **more):
    domains = [{"name": f"{name}.example", "next_hop": "127.0.0.1"}, {"name": f"{name}.org", "next_hop": "127.0.0.1"}]
    document = {"name": name, "loop_values": ["a loop value"], "contacts": [f"ann@{name}.example"], "domain": domains}
    return Tenant.model_validate(document | more)


def row(state="verified", domain="acme.example", region="eu", tenant="acme", changed=NOW):
    return Row(tenant, domain, region, "sluice-verification=x", state=state, changed=changed)


class Way:
    def __init__(self, name, serves=True):
        self.name, self._serves = name, serves

    def serves(self, tenant):
        return self._serves and tenant.notices


MAIL = Way("mail")


@pytest.mark.parametrize("state", ["verified", "failed", "lapsing", "lapsed"])
def test_a_domains_state_is_a_reason(state):
    (reason,) = of_domains([row(state)], "_sluice", 7)
    assert (reason.tenant, reason.kind, reason.subject, reason.changed) == ("acme", state, "acme.example", NOW)
    assert reason.facts["domain"] == "acme.example"
    assert reason.facts["record"] == '_sluice.acme.example  TXT  "sluice-verification=x"'


def test_who_waits_for_a_record_is_told_nothing():
    assert of_domains([row("pending")], "_sluice", 7) == []


def test_the_day_on_which_protection_ends_is_told():
    (reason,) = of_domains([row("lapsing", changed=0.0)], "_sluice", 7.5)
    assert "protection is suspended on 1970-01-08" in reason.facts["consequence"]
    (reason,) = of_domains([row("lapsed")], "_sluice", 7)
    assert reason.facts["consequence"] == "The domain is not protected any more: its mail is put off."


@pytest.mark.parametrize(
    ("here", "there", "safe"),
    [
        ("lapsing", "verified", True), ("lapsing", "lapsing", True), ("lapsing", "pending", False),
        ("lapsing", "lapsed", False), ("lapsed", "verified", True), ("lapsed", "lapsing", True),
        ("lapsed", "failed", False),
    ],
)  # fmt: skip
def test_with_two_regions_each_record_is_told_and_what_it_means(here, there, safe):
    reasons = of_domains([row(here), row(there, region="us"), row("verified", "acme.org")], "_sluice", 7)
    (reason,) = [one for one in reasons if one.facts["region"] == "eu" and one.facts["domain"] == "acme.example"]
    assert reason.subject == "acme.example (eu)"
    assert ("stays protected" in reason.facts["consequence"]) is safe
    assert ("acme", "acme.org") in {(one.tenant, one.subject) for one in reasons}


def test_a_subject_has_room_in_the_database():
    assert due.key("acme", "next_hop", "x" * 300, Way("mail")) == ("acme", "mail next_hop", "x" * LONGEST_SUBJECT)


def test_what_was_counted_is_a_reason():
    assert of_count(tenant(), "loop", "").facts == {}
    assert "refuses" in of_count(tenant(), "unproven", "").facts["consequence"]
    assert "lets such mail pass" in of_count(tenant(proof="log"), "unproven", "").facts["consequence"]
    facts = of_count(tenant(), "next_hop", "mx.acme.example", "tls").facts
    assert facts["hop"] == "mx.acme.example"
    assert "certificate" in facts["failure"]
    assert of_count(tenant(), "next_hop", "mx.acme.example").facts["failure"] == ""
    assert of_count(tenant(), "verified", "") is None
    assert of_count(tenant(), "no such kind", "") is None


@pytest.mark.parametrize(
    ("state", "own"),
    [("verified", True), ("lapsing", True), ("lapsed", True), ("pending", False), ("failed", False)],
)
def test_at_which_domains_contacts_are_reached(state, own):
    rows = [row(state), row("verified", "other.example"), row("verified", "acme.org", tenant="other")]
    assert own_domains(tenant(), rows) == ({"acme.example"} if own else set())
    vouched = [{"name": "acme.example", "next_hop": "127.0.0.1", "verified": True}]
    assert own_domains(tenant(domain=vouched), []) == {"acme.example"}


def found(*, tenants=(), proofs=(), last=None, ways=(MAIL,), rules=RULES):
    state = State({one.name: one for one in tenants or [tenant()]}, proofs, last or {})
    return [
        (one.way.name, one.reason.kind, one.reason.subject, sorted(one.own))
        for one in due.find(state, ways, rules, NOW)
    ]


def test_what_is_due_by_which_way():
    proofs = [row(), row("lapsed", "acme.org"), row(tenant="gone")]
    last = {("acme", "hook unproven", ""): Last(0.0, 3), ("gone", "hook unproven", ""): Last(0.0, 3)}
    ways = Way("mail"), Way("hook"), Way("none", serves=False)
    own = ["acme.example", "acme.org"]
    assert found(proofs=proofs, last=last, ways=ways) == [
        ("mail", "verified", "acme.example", own),
        ("hook", "verified", "acme.example", own),
        ("hook", "unproven", "", own),
    ]


class Counting(list):
    """Counts how often all of it is looked through."""

    looks = 0

    def __iter__(self):
        self.looks += 1
        return super().__iter__()


def test_many_domains_that_lapse_at_once_are_not_looked_through_for_each_of_them():
    proofs = Counting(row("lapsing", f"{name}.example", tenant=name) for name in map("t{}".format, range(50)))
    assert len(found(tenants=[tenant(one.tenant) for one in proofs], proofs=proofs)) == 50
    assert proofs.looks < 10


def test_each_way_has_its_own_memory():
    last = {("acme", "mail verified", "acme.example"): Last(NOW + 1)}
    assert found(proofs=[row()], last=last, ways=(Way("mail"), Way("hook"))) == [
        ("hook", "verified", "acme.example", ["acme.example"])
    ]


def test_who_wants_no_notices_gets_none():
    counted = {("acme", "mail loop", ""): Last(0.0, 3), ("acme", "mail working", ""): Last(0.0, 1)}
    assert [kind for _, kind, _, _ in found(last=counted)] == ["working"]
    assert found(tenants=[tenant(notices=False)], last=counted) == []

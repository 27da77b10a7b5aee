"""FIND SMTP against a real name server that has zones of Microsoft's, of others, and of pretend customers."""

import pytest
from doubles.bad_names import PORT, answer, bad_names, somewhere
from doubles.real_named import real_named
from hypothesis import given
from hypothesis import strategies as st

from relay.dns import Answer, Resolver, Said
from relay.onboarding.domains.findsmtp import MAX_HOSTS, Found, find, judge_host, judged, without_mx
from relay.onboarding.domains.mailhosts import (
    CLOUDS,
    GATEWAYS,
    MAILBOXES,
    Kind,
    MailHost,
    Ours,
    by_name,
    with_addresses,
)
from relay.onboarding.domains.outcomes import TEXTS, Outcome
from relay.tenants.hops import WRONG_HOSTS

PUBLIC, ELSEWHERE, OWN = "52.101.8.1", "20.30.40.50", "99.80.189.20"
MICROSOFT = "acme-example.mail.protection.outlook.com"
ZONES = {
    "outlook.com": f"$ORIGIN mail.protection.outlook.com.\nacme-example A {PUBLIC}\nhubstream-mx A {PUBLIC}\n"
    f"inside A 10.0.0.7\nloop A {OWN}\nv6 AAAA 2a01:111:f400::1\n",
    "microsoft": f"acme-example.o-v1.mx A {PUBLIC}\n",
    "office365.us": f"acme-example.mail.protection A {PUBLIC}\n",
    "outlook.cn": f"acme-example.mail.protection.partner A {PUBLIC}\n",
    "outlook.de": "other A 192.0.2.1\n",
    "relay.example": f"mx1 A {OWN}\nin A {OWN}\nalso A {OWN}\n",
    "servers.example": f"mail A {ELSEWHERE}\nhalf A {ELSEWHERE}\nhalf A 192.168.1.1\nmeta A 169.254.169.254\n"
    "lo A 127.0.0.1\nmapped AAAA ::ffff:127.0.0.1\nempty TXT none\nalias CNAME mail\n",
    "customers.example": f"""
acme 0 IN MX 0 {MICROSOFT}.
dane 0 IN MX 5 acme-example.o-v1.mx.microsoft.
dane 0 IN MX 10 {MICROSOFT}.
gcc IN MX 0 acme-example.mail.protection.office365.us.
china IN MX 0 acme-example.mail.protection.partner.outlook.cn.
germany IN MX 0 acme-example.mail.protection.outlook.de.
key IN MX 0 HubStream-MX.mail.protection.outlook.com.
six IN MX 0 v6.mail.protection.outlook.com.
gateway IN MX 10 mxa-0012.gslb.pphosted.com.
gateway IN MX 20 mxb-0012.gslb.pphosted.com.
mixed IN MX 10 eu-smtp-inbound-1.mimecast.com.
mixed IN MX 20 {MICROSOFT}.
google IN MX 1 smtp.google.com.
consumer IN MX 2 acme-example.olc.protection.outlook.com.
wrong IN MX 0 smtp.office365.com.
wrong2 IN MX 0 outlook.office365.com.
wrong3 IN MX 0 smtp.gmail.com.
null IN MX 0 .
literal IN MX 0 192.0.2.7.
strange IN MX 0 a\\ b.example.
ours IN MX 0 mx1.relay.example.
smart IN MX 0 in.relay.example.
loop IN MX 0 also.relay.example.
loop2 IN MX 0 loop.mail.protection.outlook.com.
private IN MX 0 inside.mail.protection.outlook.com.
half IN MX 0 half.servers.example.
meta IN MX 0 meta.servers.example.
lo IN MX 0 lo.servers.example.
mapped IN MX 0 mapped.servers.example.
localhost IN MX 0 localhost.
missing IN MX 0 nobody.mail.protection.outlook.com.
empty IN MX 0 empty.servers.example.
other IN MX 10 mail.servers.example.
alias IN MX 10 alias.servers.example.
unanswered IN MX 10 mail.unknown.example.
implicit IN A {ELSEWHERE}
none IN TXT "nothing"
"""
    + "".join(f"many IN MX {number} h{number}.servers.example.\n" for number in range(60)),
}
OURS = Ours(frozenset({"mx1.relay.example", "in.relay.example"}), frozenset({OWN}))


@pytest.fixture(scope="module")
def named(tmp_path_factory):
    with real_named(tmp_path_factory.mktemp("named"), ZONES) as address:
        yield address


@pytest.mark.parametrize(
    ("name", "outcome", "host", "cloud"),
    [
        ("acme", Outcome.USABLE, MICROSOFT, "worldwide"),
        ("dane", Outcome.USABLE, "acme-example.o-v1.mx.microsoft", "worldwide"),
        ("gcc", Outcome.USABLE, "acme-example.mail.protection.office365.us", "gcc-high"),
        ("china", Outcome.USABLE, "acme-example.mail.protection.partner.outlook.cn", "china"),
        ("key", Outcome.USABLE, "hubstream-mx.mail.protection.outlook.com", "worldwide"),
        ("six", Outcome.USABLE, "v6.mail.protection.outlook.com", "worldwide"),
        ("mixed", Outcome.MIXED, MICROSOFT, "worldwide"),
        ("germany", Outcome.MISSING, "", ""),
        ("gateway", Outcome.GATEWAY, "", ""),
        ("google", Outcome.MAILBOXES, "", ""),
        ("consumer", Outcome.MAILBOXES, "", ""),
        ("wrong", Outcome.WRONG, "", ""),
        ("wrong2", Outcome.WRONG, "", ""),
        ("wrong3", Outcome.WRONG, "", ""),
        ("null", Outcome.NULL, "", ""),
        ("literal", Outcome.LITERAL, "", ""),
        ("strange", Outcome.NO_NAME, "", ""),
        ("ours", Outcome.OURSELVES, "", ""),
        ("smart", Outcome.OURSELVES, "", ""),
        ("loop", Outcome.OURSELVES, "", ""),
        ("loop2", Outcome.OURSELVES, "", ""),
        ("private", Outcome.PRIVATE, "", ""),
        ("half", Outcome.PRIVATE, "", ""),
        ("meta", Outcome.PRIVATE, "", ""),
        ("lo", Outcome.PRIVATE, "", ""),
        ("mapped", Outcome.PRIVATE, "", ""),
        ("localhost", Outcome.PRIVATE, "", ""),
        ("missing", Outcome.MISSING, "", ""),
        ("empty", Outcome.MISSING, "", ""),
        ("other", Outcome.OTHER, "", ""),
        ("alias", Outcome.OTHER, "", ""),
        ("unanswered", Outcome.NO_ANSWER, "", ""),
        ("implicit", Outcome.IMPLICIT, "", ""),
        ("none", Outcome.NO_MX, "", ""),
        ("nobody", Outcome.NO_DOMAIN, "", ""),
    ],
)
async def test_each_end(named, name, outcome, host, cloud):
    found = await find(f"{name}.Customers.example.", Resolver([named], 2.0), OURS)
    assert (found.outcome, found.host, found.cloud) == (outcome, host, cloud)
    assert found.usable is bool(host)
    assert found.domain == f"{name}.customers.example"
    assert "{" not in found.explanation + found.next_step
    assert found.explanation.endswith(".")
    assert found.next_step.endswith(".")


async def test_all_hosts_are_told_with_what_they_are(named):
    found = await find("mixed.customers.example", Resolver([named], 2.0), OURS)
    assert [(host.preference, host.name, host.kind, host.what) for host in found.hosts] == [
        (10, "eu-smtp-inbound-1.mimecast.com", Kind.GATEWAY, "Mimecast"),
        (20, MICROSOFT, Kind.MICROSOFT, "Microsoft 365"),
    ]
    assert found.hosts[1].addresses == (PUBLIC,)
    assert "eu-smtp-inbound-1.mimecast.com (gateway)" in found.explanation


async def test_only_so_many_hosts_are_looked_at(named):
    found = await find("many.customers.example", Resolver([named], 2.0), OURS)
    assert [host.preference for host in found.hosts] == list(range(MAX_HOSTS))


async def test_private_addresses_are_right_where_the_operator_says_so(named):
    found = await find("private.customers.example", Resolver([named], 2.0), OURS, private=True)
    assert (found.outcome, found.host) == (Outcome.USABLE, "inside.mail.protection.outlook.com")


@pytest.mark.parametrize(
    ("udp", "tcp", "outcome"),
    [
        (None, None, Outcome.NO_ANSWER),
        (lambda question, send: send(answer(question).to_wire()), None, Outcome.NO_MX),
        (lambda _question, send: send(b"garbage"), None, Outcome.NO_ANSWER),
    ],
)
async def test_no_answer_is_no_domain_without_mail(udp, tcp, outcome):
    async with bad_names(address := somewhere(), PORT, udp, tcp):
        found = await find("acme.example", Resolver([f"{address}:{PORT}"], 0.3))
    assert found.outcome is outcome
    assert not found.usable


@pytest.mark.parametrize("domain", ["", "a b", "x" * 64 + ".example", "..", "acme\n.example", "*.example"])
async def test_what_is_no_domain(domain):
    with pytest.raises(ValueError, match=r"domain name"):
        await find(domain, Resolver(["127.0.0.1:9"], 0.3))


@pytest.mark.parametrize(
    ("text", "outcome"),
    [
        (MICROSOFT, Outcome.USABLE),
        (f" {MICROSOFT.upper()}.:25 ", Outcome.USABLE),
        ("mail.servers.example", Outcome.BY_HAND),
        ("mail.servers.example:2525", Outcome.BY_HAND),
        ("mxa-0012.gslb.pphosted.com", Outcome.GATEWAY),
        ("aspmx.l.google.com", Outcome.MAILBOXES),
        ("smtp.office365.com", Outcome.WRONG),
        ("outlook.office365.com.", Outcome.WRONG),
        ("SMTP.gmail.com", Outcome.WRONG),
        ("smtp.office365.com:587", Outcome.WRONG),
        ("52.101.8.1", Outcome.LITERAL),
        ("[2001:db8::1]:25", Outcome.LITERAL),
        ("10.1", Outcome.NO_NAME),
        ("no host", Outcome.NO_NAME),
        ("", Outcome.NO_NAME),
        ("mx1.relay.example", Outcome.OURSELVES),
        ("also.relay.example", Outcome.OURSELVES),
        ("lo.servers.example", Outcome.PRIVATE),
        ("localhost:2525", Outcome.PRIVATE),
        ("nobody.servers.example", Outcome.MISSING),
        ("mail.unknown.example", Outcome.NO_ANSWER),
    ],
)
async def test_a_typed_host(named, text, outcome):
    found = await judge_host(text, Resolver([named], 2.0), OURS)
    assert found.outcome is outcome
    assert bool(found.host) is found.usable
    assert "{" not in found.explanation + found.next_step


@pytest.mark.parametrize("text", ["127.0.0.1:2525", "localhost:2525", "lo.servers.example"])
async def test_typed_private_addresses_are_right_where_the_operator_says_so(named, text):
    assert (await judge_host(text, Resolver([named], 2.0), OURS, private=True)).outcome is Outcome.BY_HAND


@pytest.mark.parametrize(
    ("ours", "outcome"),
    [
        (Ours(frozenset({"in.relay.example"})), Outcome.OURSELVES),
        (Ours(frozenset({"nobody.unknown.example"}), frozenset({OWN})), Outcome.OURSELVES),
        (Ours(frozenset({"nobody.unknown.example"}), frozenset({"0.0.0.0", "203.0.113.9"})), Outcome.OTHER),
        (Ours(), Outcome.OTHER),
    ],
)
async def test_we_are_known_by_what_our_names_lead_to(named, ours, outcome):
    assert (await find("loop.customers.example", Resolver([named], 2.0), ours)).outcome is outcome


async def test_loopback_is_not_ours_alone(named):
    ours = Ours(frozenset({"lo.servers.example"}), frozenset({"127.0.0.1", "::1"}))
    found = await judge_host("localhost:2525", Resolver([named], 2.0), ours, private=True)
    assert found.outcome is Outcome.BY_HAND


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        *((host, Kind.WRONG) for host in WRONG_HOSTS),
        *((f"x.{end}", Kind.GATEWAY) for end in GATEWAYS),
        *((f"x.{end}", Kind.MAILBOXES) for end in MAILBOXES),
        *((end, Kind.GATEWAY) for end in GATEWAYS),
        *((f"x{end}", Kind.OTHER) for end in GATEWAYS),
        ("acme.mail.protection.outlook.com", Kind.MICROSOFT),
        ("ACME-com01i.Mail.Protection.Outlook.Com.", Kind.MICROSOFT),
        ("acme.a-v1.mx.microsoft", Kind.MICROSOFT),
        ("mail.protection.outlook.com", Kind.OTHER),
        ("a.b.mail.protection.outlook.com", Kind.OTHER),
        ("acme.mail.protection.outlook.com.evil.example", Kind.OTHER),
        ("acmemail.protection.outlook.com", Kind.OTHER),
        ("acme.mail.protection.outlook.co", Kind.OTHER),
        ("acme.ab-v1.mx.microsoft", Kind.OTHER),
        ("acme.1-v1.mx.microsoft", Kind.OTHER),
        ("-.mail.protection.outlook.com", Kind.NO_NAME),
        ("acme.mail.protection.outlook.com\n", Kind.MICROSOFT),
        ("acme\n.mail.protection.outlook.com", Kind.NO_NAME),
        ("127.1", Kind.LITERAL),
        ("[192.0.2.1]", Kind.LITERAL),
        ("2001:db8::1", Kind.LITERAL),
        (".", Kind.NULL),
        ("", Kind.NULL),
    ],
)
def test_what_a_name_tells(name, kind):
    assert by_name(name).kind is kind


@pytest.mark.parametrize(
    ("answers", "kind"),
    [
        ([(Said.FOUND, PUBLIC)], Kind.MICROSOFT),
        ([(Said.NO_ANSWER, ""), (Said.FOUND, "2a01:111::1")], Kind.MICROSOFT),
        ([(Said.FOUND, PUBLIC), (Said.FOUND, "fd00::1")], Kind.PRIVATE),
        ([(Said.NO_ANSWER, ""), (Said.NO_RECORD, "")], Kind.NO_ANSWER),
        ([(Said.BROKEN, ""), (Said.NO_RECORD, "")], Kind.NO_ANSWER),
        ([(Said.NO_NAME, ""), (Said.NO_NAME, "")], Kind.MISSING),
        ([(Said.NO_RECORD, ""), (Said.NO_RECORD, "")], Kind.MISSING),
        ([(Said.FOUND, "10.0.0.1")], Kind.PRIVATE),
        ([(Said.FOUND, OWN)], Kind.OURSELVES),
    ],
)
def test_what_addresses_tell(answers, kind):
    told = tuple(Answer(said, (record,) if record else (), "why") for said, record in answers)
    assert with_addresses(by_name(MICROSOFT), told, OURS.addresses).kind is kind


KINDS = [kind for kind in Kind if kind is not Kind.MICROSOFT]


@pytest.mark.parametrize("kind", KINDS)
def test_without_a_host_of_microsofts_the_first_one_explains(kind):
    hosts = [MailHost("one.example", kind, "what"), *(MailHost("two.example", other, "what") for other in KINDS)]
    found = judged("acme.example", hosts)
    assert not found.usable
    assert found.outcome is judged("acme.example", hosts[:1]).outcome


@pytest.mark.parametrize("kind", KINDS)
def test_with_one_of_microsofts_it_is_taken_and_the_others_are_told(kind):
    hosts = [MailHost("one.example", kind), by_name("b.mail.protection.outlook.com"), by_name(MICROSOFT)]
    found = judged("acme.example", hosts)
    assert (found.outcome, found.host) == (Outcome.MIXED, "b.mail.protection.outlook.com")
    assert f"one.example ({kind})" in found.explanation


@pytest.mark.parametrize("said", Said)
@pytest.mark.parametrize("addresses", [Said.FOUND, Said.NO_RECORD, Said.NO_ANSWER])
def test_without_mx_records(said, addresses):
    found = without_mx(
        "acme.example",
        Answer(said, detail="why"),
        [Answer(addresses, ("192.0.2.1",) * (addresses is Said.FOUND), "why")],
    )
    wanted = {
        Said.NO_NAME: Outcome.NO_DOMAIN,
        Said.NO_ANSWER: Outcome.NO_ANSWER,
        Said.BROKEN: Outcome.BROKEN,
    }
    there = {Said.FOUND: Outcome.IMPLICIT, Said.NO_RECORD: Outcome.NO_MX, Said.NO_ANSWER: Outcome.NO_ANSWER}
    assert found.outcome is wanted.get(said, there[addresses])


def test_every_end_has_words_and_every_cloud_a_name():
    assert set(TEXTS) == set(Outcome)
    assert len({words[0] for words in TEXTS.values()}) == len(Outcome)
    assert all(cloud.what for cloud in CLOUDS.values())


@given(st.text(max_size=300))
def test_any_name_is_something(text):
    host = by_name(text, OURS)
    assert isinstance(host.kind, Kind)
    if host.kind is Kind.MICROSOFT:
        assert host.name.endswith((".com", ".microsoft", ".us", ".cn", ".de"))


@given(
    st.lists(
        st.tuples(st.integers(0, 65535), st.sampled_from([MICROSOFT, "", "x.example", "1.2.3.4", "mx.mimecast.com"])),
        min_size=1,
    )
)
def test_a_host_is_suggested_exactly_when_there_is_one_of_microsofts(records):
    hosts = [by_name(name) for _, name in records]
    found = judged("acme.example", hosts)
    assert isinstance(found, Found)
    assert found.usable is any(host.kind is Kind.MICROSOFT for host in hosts)

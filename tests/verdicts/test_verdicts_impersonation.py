import asyncio

import pytest

from verdicts.contract import Severity, Unscanned
from verdicts.engines.impersonation import Impersonation
from verdicts.kit import PretendDns, PretendHistory, assert_contract, letter, mail_of, pretend_tools
from verdicts.mail import Person, Profile

PROFILE = Profile(("acme.example", "books-acme.example"), (Person("Ann Archer", ("ann.archer@private.example",)),))
REPORT = ("X-Forefront-Antispam-Report", "CIP:192.0.2.7;CTRY:DE;H:mail.sender.example;SCL:1;DIR:INB;")
WELL_KNOWN = PretendHistory({("acme", "x@sender.example"): 3})


class Forgetful:
    async def messages(self, tenant, sender):
        raise OSError("the records cannot be read: gone")


def spf(*domains):
    return PretendDns({domain: ["v=spf1 ip4:192.0.2.7 -all"] for domain in domains})


async def judge(author, *, headers=(), dns=None, history=WELL_KNOWN, sender="x@sender.example", **options):
    engine = Impersonation(Impersonation.Options(**options), pretend_tools(dns=dns, history=history))
    message = letter(headers=[REPORT, *headers]).replace(b"Ann <ann@sender.example>", author.encode())
    return list(await engine.judge(mail_of(message, sender=sender, profile=PROFILE)))


def names(findings):
    return [finding.name for finding in findings]


async def test_who_pretends_nothing():
    assert await judge("Bob Baker <x@sender.example>") == []
    assert await judge("Bob Baker <x@sender.example>", headers=[("Reply-To", "team@mail.sender.example")]) == []


@pytest.mark.parametrize(
    "author",
    [
        "Ann Archer <x@sender.example>",
        '"Archer, Ann" <x@sender.example>',
        "=?utf-8?b?QW5uIEFyY2hlcg==?= <x@sender.example>",
        "x@sender.example (Ann Archer)",
        "Bob <x@sender.example>\r\nFrom: Ann Archer <y@sender.example>",
    ],
)
async def test_the_name_of_a_protected_person_at_another_address(author):
    (found,) = await judge(author)
    assert (found.name, found.severity) == ("PERSON_IMPERSONATED", Severity.SUSPICIOUS)
    assert "Ann Archer does not write from " in found.detail


async def test_a_person_may_write_from_an_address_of_hers_if_that_is_authentic():
    author, sender = "Ann Archer <Ann.Archer@private.example>", "x@private.example"
    history = PretendHistory({("acme", sender): 1})
    assert await judge(author, sender=sender, dns=spf("private.example"), history=history) == []
    assert names(await judge(author, sender=sender, history=history)) == ["PERSON_UNPROVED"]


async def test_a_person_may_write_from_an_own_domain():
    history = PretendHistory({("acme", "x@acme.example"): 1})
    author = "Ann Archer <ann@acme.example>"
    assert await judge(author, sender="x@acme.example", dns=spf("acme.example"), history=history) == []


@pytest.mark.parametrize("address", ["boss@acme.example", "boss@hr.acme.example", "boss@ACME.example."])
async def test_an_own_domain_must_be_authentic(address):
    (found,) = await judge(f"Boss <{address}>", dns=spf("sender.example"))
    assert (found.name, found.severity) == ("OWN_DOMAIN_UNPROVED", Severity.SUSPICIOUS)


async def test_an_own_domain_is_not_proved_by_one_that_only_parsers_see():
    """Clients show acme.example; a reader of ours took the quotes for a letter, and acqme.example is authentic."""
    dns = spf("acqme.example")
    found = await judge('boss@ac""me.example', dns=dns, sender="x@acqme.example")
    assert "OWN_DOMAIN_UNPROVED" in names(found)


async def test_without_an_answer_of_dns_nothing_is_said_against_the_sender():
    dns = PretendDns({"acme.example": OSError("no answer"), "_dmarc.acme.example": OSError("no answer")})
    (found,) = await judge(
        "Boss <boss@acme.example>",
        dns=dns,
        sender="x@acme.example",
        history=PretendHistory({("acme", "x@acme.example"): 1}),
    )
    assert (found.name, found.severity) == ("OWN_DOMAIN_UNPROVED", Severity.NOTE)


async def test_the_silence_of_a_strangers_dns_is_no_excuse():
    (found,) = await judge("Boss <boss@acme.example>", dns=PretendDns({"sender.example": OSError("no answer")}))
    assert (found.name, found.severity) == ("OWN_DOMAIN_UNPROVED", Severity.SUSPICIOUS)


async def test_what_microsoft_says_comes_from_inside_needs_no_proof():
    inside = ("X-Forefront-Antispam-Report", "CIP:255.255.255.255;DIR:INT;")
    engine = Impersonation(Impersonation.Options(), pretend_tools(history=WELL_KNOWN))
    message = letter(headers=[inside]).replace(b"ann@sender.example>", b"ann@acme.example>")
    assert await engine.judge(mail_of(message, sender="x@sender.example", profile=PROFILE)) == []
    both = message.replace(b"DIR:INT;", b"H:x;DIR:INT;DIR:INB;")
    from_outside = await engine.judge(mail_of(both, sender="x@sender.example", profile=PROFILE))
    assert names(from_outside) == ["OWN_DOMAIN_UNPROVED"]
    anybodys = await engine.judge(mail_of(message, sender="x@sender.example", profile=PROFILE, proven=False))
    assert names(anybodys) == ["OWN_DOMAIN_UNPROVED"]


@pytest.mark.parametrize(
    ("author", "detail"),
    [
        ("Bob <bob@acrne.example>", "acrne.example looks like acme.example"),
        ("Bob <bob@acme-login.example>", "acme-login.example looks like acme.example"),
        ("Bob <bob@bigbannk.example>", "bigbannk.example looks like bigbank.example"),
    ],
)
async def test_a_domain_that_looks_like_a_protected_one(author, detail):
    (found,) = await judge(author, protected_domains=["bigbank.example"])
    assert (found.name, found.severity, found.detail) == ("LOOKALIKE_DOMAIN", Severity.SUSPICIOUS, detail)


async def test_lookalikes_are_looked_for_in_envelope_and_reply_to_and_among_many():
    many = [f"{letter * 9}{number}.example" for number, letter in enumerate("bcdfghjklmnpqrstvwxz")] * 5
    found = await judge("Bob <x@sender.example>", headers=[("Reply-To", "bob@acrne.example")], protected_domains=many)
    assert names(found) == ["LOOKALIKE_DOMAIN", "REPLY_TO_ELSEWHERE"]
    history = PretendHistory({("acme", "x@acrne.example"): 1})
    assert names(await judge("Bob <x@sender.example>", sender="x@acrne.example", history=history)) == [
        "LOOKALIKE_DOMAIN"
    ]


async def test_a_protected_domain_looks_like_no_other():
    """Not even like one that it does look like, and is compared with at another time."""
    sender, others = (
        "x@mail.bigbank.example",
        [f"{one * 9}{other}.example" for one in "bcdfghjklmnpqrstvwxz" for other in "bcdfgh"],
    )
    history = PretendHistory({("acme", sender): 1})
    protected = ["bigbannk.example", *others, "bigbank.example"]
    assert await judge(f"Bank <{sender}>", sender=sender, protected_domains=protected, history=history) == []


@pytest.mark.parametrize("name", ['"ann@acme.example"', "ann@acme.example", "Ann via =?utf-8?q?ann=40acme=2Eexample?="])
async def test_a_name_that_is_another_address(name):
    (found,) = await judge(f"{name} <x@sender.example>")
    assert (found.name, found.severity) == ("NAME_HAS_OTHER_ADDRESS", Severity.SUSPICIOUS)
    assert await judge('"x@mail.sender.example" <x@sender.example>') == []


@pytest.mark.parametrize(
    ("reply_to", "found"),
    [
        ("x@elsewhere.example", ["REPLY_TO_ELSEWHERE"]),
        ("Ann <ann@gmail.com>", ["REPLY_TO_FREE_MAIL"]),
        ("x@sender.example, y@elsewhere.example", ["REPLY_TO_ELSEWHERE"]),
        ("x@sub.sender.example", []),
        ("bob@acme.example", []),
        ("nobody", []),
    ],
)
async def test_answers_that_go_elsewhere(reply_to, found):
    findings = await judge("Bob <x@sender.example>", headers=[("Reply-To", reply_to)])
    assert names(findings) == found
    assert {finding.severity for finding in findings} <= {Severity.NOTE}


async def test_a_stranger_is_odd_only_where_something_else_is():
    (alone,) = await judge("Bob <x@sender.example>", history=PretendHistory())
    assert (alone.name, alone.severity, alone.weight) == ("FIRST_CONTACT", Severity.NOTE, 0.5)
    odd = await judge("Bob <x@sender.example>", headers=[("Reply-To", "a@b.example")], history=PretendHistory())
    assert [(one.name, one.severity) for one in odd] == [
        ("REPLY_TO_ELSEWHERE", Severity.NOTE),
        ("FIRST_CONTACT", Severity.SUSPICIOUS),
    ]
    assert await judge("Bob <x@sender.example>", history=PretendHistory(), sender="") == []


async def test_that_records_cannot_be_read_is_told_and_costs_no_mail():
    (found,) = await judge("Bob <x@sender.example>", history=Forgetful())
    assert (found.name, found.severity, found.weight) == ("FIRST_CONTACT_UNKNOWN", Severity.NOTE, 0.0)


async def test_more_than_is_read_is_unscanned_with_what_was_seen():
    with pytest.raises(Unscanned, match="more authors") as caught:
        await judge("Ann Archer <x@sender.example>" + ", a@b.example" * 60)
    assert "PERSON_IMPERSONATED" in names(caught.value.findings)


async def test_more_domains_than_are_compared_are_unscanned_too():
    replies = ", ".join(f"x@d{number}.sender.example" for number in range(10))
    with pytest.raises(Unscanned, match="more authors"):
        await judge("Bob <x@sender.example>", headers=[("Reply-To", replies)])


async def test_a_tenant_that_tells_something_else_is_learned_anew():
    engine = Impersonation(Impersonation.Options(), pretend_tools(history=WELL_KNOWN))
    message = letter().replace(b"Ann <", b"Zoe Zander <")
    other = Profile(("acme.example",), (Person("Zoe Zander"),))
    assert await engine.judge(mail_of(message, sender="x@sender.example", profile=PROFILE)) == []
    assert names(await engine.judge(mail_of(message, sender="x@sender.example", profile=other))) == [
        "PERSON_IMPERSONATED"
    ]


async def test_learning_a_large_tenant_lets_others_have_their_turn():
    people = tuple(Person(f"Person{number} Name{number}") for number in range(1_000))
    profile = Profile(tuple(f"domain{number}.example" for number in range(500)), people)
    engine = Impersonation(Impersonation.Options(), pretend_tools())
    task = asyncio.create_task(engine.judge(mail_of(letter(), profile=profile)))
    turns = 0
    while not task.done():
        await asyncio.sleep(0)
        turns += 1
    assert turns > 30


class Told(Impersonation):
    """Gives every message a profile."""

    async def judge(self, mail):
        mail.profile = PROFILE
        return await super().judge(mail)


@pytest.mark.parametrize("kind", [Impersonation, Told])
async def test_it_keeps_the_contract(kind):
    await assert_contract(lambda: kind(kind.Options(), pretend_tools()))

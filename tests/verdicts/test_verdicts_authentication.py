import asyncio
import dataclasses
import mmap
import time

import pytest
from doubles.real_named import master_text, real_named
from doubles.signing import edwards_key, key, sealed, signed
from hypothesis import given, settings
from hypothesis import strategies as st

from relay.dns import Resolver
from verdicts.contract import Severity, Unscanned
from verdicts.engines.authentication import AuthenticationEngine
from verdicts.fields import Fields
from verdicts.identity import authentication
from verdicts.identity.authentication import authenticate
from verdicts.identity.author import Author, author_of
from verdicts.identity.dmarc import aligned
from verdicts.identity.results import Microsoft, microsoft_of
from verdicts.kit import PretendClock, PretendDns, assert_contract, letter, mail_of, pretend_tools

KEY = {"s._domainkey.sender.example": [key().record], "s._domainkey.list.example": [key().record]}
SPF = {"sender.example": ["v=spf1 ip4:192.0.2.1 -all"], "bulk.example": ["v=spf1 ip4:192.0.2.1 -all"]}
REJECT = {"_dmarc.sender.example": ["v=DMARC1; p=reject; sp=quarantine"]}
DOWN = OSError("down")


def arrived(content, address="192.0.2.1", results=""):
    """`content` as Microsoft passes it on that had it from `address`."""
    told = f"Authentication-Results: {results}\r\n" if results else ""
    report = f"X-Forefront-Antispam-Report: CIP:{address};CTRY:;SCL:1;H:mx.sender.example;PTR:;DIR:INB;SFP:;\r\n"
    return (told + report).encode() + content


def tools_with(texts):
    return dataclasses.replace(pretend_tools(dns=PretendDns(texts)), clock=PretendClock(time.time()))


ALL = {**KEY, **SPF, **REJECT}


async def told(content, texts=ALL, sender="ann@sender.example"):
    return await authenticate(mail_of(content, sender=sender), tools_with(texts))


async def findings(content, texts=ALL, sender="ann@sender.example", **options):
    engine = AuthenticationEngine(AuthenticationEngine.Options(**options), tools_with(texts))
    found = await engine.judge(mail_of(content, sender=sender))
    return {finding.name: finding.severity for finding in found}


ALTERED = signed(letter()).replace(b"Good morning", b"Good evening")
ELSEWHERE = "198.51.100.9"


async def test_a_message_that_is_well_proven():
    found = await told(arrived(signed(letter())))
    assert found.spf == ("pass", "sender.example", "mfrom", "")
    assert [(one.result, one.domain, one.selector) for one in found.dkim] == [("pass", "sender.example", "s")]
    assert found.dmarc == ("pass", "sender.example", "reject", True, True, "")
    assert (found.arc.result, found.authentic) == ("none", True)
    assert await findings(arrived(signed(letter()))) == {}


@pytest.mark.parametrize(
    ("content", "sender", "spf", "dkim", "result"),
    [
        (arrived(letter()), "ann@sender.example", True, False, "pass"),
        (arrived(letter()), "ann@news.sender.example", False, False, "fail"),
        (arrived(letter()), "ann@bulk.example", False, False, "fail"),
        (arrived(letter(), ELSEWHERE), "ann@sender.example", False, False, "fail"),
        (arrived(signed(letter()), ELSEWHERE), "ann@bulk.example", False, True, "pass"),
        (arrived(signed(letter(), "list.example"), ELSEWHERE), "ann@bulk.example", False, False, "fail"),
        (arrived(ALTERED, ELSEWHERE), "ann@sender.example", False, False, "fail"),
        (arrived(letter()), "", False, False, "fail"),
    ],
)
async def test_alignment(content, sender, spf, dkim, result):
    found = await told(content, sender=sender)
    assert (found.dmarc.spf, found.dmarc.dkim, found.dmarc.result) == (spf, dkim, result)
    assert found.authentic == (spf or dkim)
    without_policy = await told(content, {**KEY, **SPF}, sender)
    assert (without_policy.dmarc.result, without_policy.authentic) == ("none", spf or dkim)


@pytest.mark.parametrize(
    ("records", "domain", "policy"),
    [
        ({"_dmarc.sender.example": ["v=DMARC1; p=reject"]}, "sender.example", "reject"),
        ({"_dmarc.sender.example": ["v=DMARC1; p=reject"]}, "a.b.sender.example", "reject"),
        (REJECT, "a.sender.example", "quarantine"),
        ({**REJECT, "_dmarc.a.sender.example": ["v=DMARC1; p=none; sp=reject"]}, "a.sender.example", "none"),
        ({"_dmarc.sender.example": ["v=DMARC1;p=reject;t=y"]}, "sender.example", "quarantine"),
        ({"_dmarc.sender.example": ["v=DMARC1; p=quarantine; pct=0"]}, "sender.example", "none"),
        ({"_dmarc.sender.example": ["v=DMARC1; p=reject; pct=x; x=y;"]}, "sender.example", "reject"),
        ({"_dmarc.sender.example": ["hello", "v=DMARC1; p=reject"]}, "sender.example", "reject"),
        ({"_dmarc.sender.example": ["v=DMARC1; p=reject"] * 2}, "sender.example", ""),
        (
            {"_dmarc.sender.co.uk": ["v=DMARC1; p=reject"], "_dmarc.co.uk": ["v=DMARC1; p=none"]},
            "sender.co.uk",
            "reject",
        ),
        ({"_dmarc.co.uk": ["v=DMARC1; p=reject"]}, "sender.co.uk", ""),
    ],
)
async def test_published_policies(records, domain, policy):
    found = await told(arrived(letter().replace(b"sender.example>", domain.encode() + b">")), records)
    assert (found.dmarc.domain, found.dmarc.policy) == (domain, policy)
    assert found.dmarc.result == ("fail" if policy else "none")


@pytest.mark.parametrize(
    "record", ["v=DMARC1", "v=DMARC1; p=perhaps", "v=DMARC1; reject", "v=DMARC1; p=none" + ";" * 5_000]
)
async def test_policies_that_cannot_be_read(record):
    texts = {"_dmarc.sender.example": [record]}
    assert (await told(arrived(letter()), texts)).dmarc.result == "permerror"
    assert "DMARC_PERMERROR" in await findings(arrived(letter()), texts)


async def test_strict_alignment():
    content = arrived(signed(letter().replace(b"ann@sender", b"ann@news.sender")))
    relaxed = await told(content)
    assert (relaxed.dmarc.spf, relaxed.dmarc.dkim) == (True, True)
    strict = await told(content, {**ALL, "_dmarc.sender.example": ["v=DMARC1; p=reject; aspf=s; adkim=s"]})
    assert (strict.dmarc.spf, strict.dmarc.dkim, strict.dmarc.result) == (False, False, "fail")


def test_organizational_domains():
    assert aligned("a.b.sender.example", "sender.example")
    assert aligned("a.sender.co.uk", "sender.co.uk")
    assert aligned("mail.acme.onmicrosoft.com", "acme.onmicrosoft.com")
    assert not aligned("acme.onmicrosoft.com", "evil.onmicrosoft.com")
    assert not aligned("acme.mail.onmicrosoft.com", "evil.mail.onmicrosoft.com")
    assert not aligned("sender.co.uk", "other.co.uk")
    assert not aligned("sender.co.uk", "co.uk")
    assert not aligned("sender.example", "")
    assert not aligned("", "")


@pytest.mark.parametrize(
    ("value", "domain", "fault"),
    [
        ("a@b.example", "b.example", ""),
        ("<a@B.Example>", "b.example", ""),
        ('"Ann <a@bank.example>" <a@b.example>', "b.example", ""),
        ('"Ann \\" <a@bank.example>" <a@b.example>', "b.example", ""),
        ("Ann (a@bank.example) <a@b.example> (c (d) <a@e.example>)", "b.example", ""),
        ("a@bank.example <a@b.example>", "b.example", ""),
        ('"quoted local"@b.example', "b.example", ""),
        ("a@b\xfccher.example", "xn--bcher-kva.example", ""),
        ("Team: a@b.example;", "b.example", ""),
        ("a@b.example, c@b.example", "b.example", "several addresses"),
        ("a@b.example, c@d.example", "", "several addresses"),
        ("<a@bank.example> <a@b.example>", "", "several addresses"),
        ("<a@bank.example>,<a@b.example>,", "", "several addresses"),
        (",".join(f"a@b{number}.example" for number in range(21)), "", "several addresses"),
        ("Ann", "", "unreadable"),
        ("<>", "", "unreadable"),
        ('"Ann <a@b.example>', "", "unreadable"),
        ("a@b .example", "", "unreadable"),
        ("a@[192.0.2.1]", "", "unreadable"),
        ("@b.example", "", "unreadable"),
        ("a (c) @b.example", "b.example", ""),
        ("a@bank.example (a@b.example", "", "unreadable"),
        ("a@bank.example;a@b.example", "", "unreadable"),
        ("a@bank.example a@b.example", "", "unreadable"),
        ("a@bank.example <a@b.example", "", "unreadable"),
        ("<@bank.example:a@b.example>", "", "unreadable"),
        ('a@ac""me.example', "", "unreadable"),  # not of "acme.example", as clients show, and of nobody else
        ('a@b.example"', "", "unreadable"),
        ('<a"b@c.example>', "", "unreadable"),
        ('<"a b"@b.example>', "b.example", ""),
        ('"Ann\\\\" <a@b.example>', "b.example", ""),
        ("Ann :( <a@b.example>", "b.example", ""),
        ("Ann <a@b.example>;", "b.example", ""),
        ("Ann <<a@b.example>>", "b.example", ""),
        ("Archer, Ann <a@b.example>", "", "unreadable"),
        ("a@b.example, <>", "", "unreadable"),
        ("Ann <a@b.example.,>", "", "unreadable"),
        ("undisclosed-recipients:;", "", "unreadable"),
        ("a" * 9_000 + "@b.example", "", "unreadable"),
        ("", "", "missing"),
        (" ", "", "missing"),
    ],
)
def test_authors(value, domain, fault):
    assert author_of(Fields.parse(f"From: {value}\r\n\r\n".encode())) == Author(domain, fault)


@given(st.text(max_size=200) | st.text(st.sampled_from('a@b.,<>()";:\\ '), max_size=60))
def test_any_author_is_one_or_a_fault(value):
    author = author_of(Fields.parse(f"From: {value}\r\n\r\n".encode("utf-8", "replace")))
    assert bool(author.domain) or bool(author.fault)


@pytest.mark.parametrize(
    ("old", "new", "name"),
    [
        (b"From: Ann", b"X: Ann", "FROM_MISSING"),
        (b"From: Ann", b"from : bank@bank.example\r\nFrom: Ann", "FROM_SEVERAL_FIELDS"),
        (b"From: Ann", b"From: <bank@bank.example>, Ann", "FROM_SEVERAL_ADDRESSES"),
        (b"From: Ann <ann@sender.example>", b"From: Ann", "FROM_UNREADABLE"),
    ],
)
async def test_bad_authors(old, new, name):
    content = arrived(letter().replace(old, new))
    assert (await told(content)).authentic is False
    assert (await findings(content))[name] is Severity.SPAM
    assert (await findings(content, author="suspicious"))[name] is Severity.SUSPICIOUS


class Slow(PretendDns):
    """Never answers about one domain."""

    async def records(self, name, kind):
        if name.endswith("slow.example"):
            await asyncio.sleep(3_600)
        return await super().records(name, kind)


async def test_a_senders_slow_dns_does_not_hide_what_the_author_publishes(monkeypatch):
    monkeypatch.setattr(authentication, "LOOKUP_SECONDS", 0.05)
    tools = dataclasses.replace(pretend_tools(dns=Slow(ALL)), clock=PretendClock(time.time()))
    found = await authenticate(mail_of(arrived(letter(), ELSEWHERE), sender="x@slow.example"), tools)
    assert (found.spf.result, found.dmarc.result, found.dmarc.policy) == ("temperror", "fail", "reject")


async def test_several_addresses_of_one_domain_are_a_note():
    content = arrived(letter().replace(b"From: Ann", b"From: <bob@sender.example>, Ann"))
    assert await findings(content) == {"FROM_SEVERAL_ADDRESSES": Severity.NOTE}


@pytest.mark.parametrize(
    ("policy", "severity"), [("reject", Severity.SPAM), ("quarantine", Severity.SUSPICIOUS), ("none", Severity.NOTE)]
)
async def test_a_failure_counts_as_the_domain_wants(policy, severity):
    texts = {**KEY, **SPF, "_dmarc.sender.example": [f"v=DMARC1; p={policy}"]}
    found = await findings(arrived(letter(), ELSEWHERE), texts)
    assert found == {"SPF_FAIL": Severity.SUSPICIOUS, "DMARC_FAIL": severity}
    stricter = await findings(arrived(letter(), ELSEWHERE), texts, **{f"dmarc_{policy}": "malicious"})
    assert stricter["DMARC_FAIL"] is Severity.MALICIOUS


@pytest.mark.parametrize(
    ("record", "name", "severity"),
    [
        (["v=spf1 -all"], "SPF_FAIL", Severity.SUSPICIOUS),
        (["v=spf1 ~all"], "SPF_SOFTFAIL", Severity.NOTE),
        (["v=spf1 ?all"], "SPF_NEUTRAL", Severity.NOTE),
        (["v=spf1 -all x"], "SPF_PERMERROR", Severity.NOTE),
        ([], "SPF_NONE", Severity.NOTE),
        (DOWN, "SPF_TEMPERROR", Severity.NOTE),
    ],
)
async def test_spf_is_told(record, name, severity):
    found = await findings(arrived(letter()), {"sender.example": record}, undecided="note")
    assert found == {name: severity, "DMARC_NONE": Severity.NOTE}
    by_signature = await findings(arrived(signed(letter())), {**KEY, **REJECT, "sender.example": record})
    assert by_signature == {name: Severity.NOTE}


async def test_signatures_are_told():
    assert (await findings(arrived(ALTERED)))["DKIM_FAIL"] is Severity.NOTE
    assert (await findings(arrived(ALTERED, ELSEWHERE), dkim_fail="spam"))["DKIM_FAIL"] is Severity.SPAM
    old = signed(letter()).replace(b"t=1", b"t=1000000000; x=1000000001; y=1", 1)
    assert "DKIM_EXPIRED" in await findings(arrived(old))
    assert "DKIM_PERMERROR" in await findings(arrived(signed(letter()).replace(b"v=1", b"v=2")))
    weak = {**ALL, "s._domainkey.sender.example": [key(1_024).record]}
    assert await findings(arrived(signed(letter(), pair=key(1_024))), weak) == {"DKIM_WEAK_KEY": Severity.NOTE}
    partial = signed(letter(), length=True) + b"Buy this!\r\n"
    assert await findings(arrived(partial)) == {"DKIM_PARTIAL": Severity.SUSPICIOUS}
    assert not (await told(arrived(partial, ELSEWHERE))).authentic


async def test_what_passed_at_microsoft_was_altered_behind_its_door():
    results = (
        "spf=fail (sender IP is 198.51.100.9) smtp.mailfrom=sender.example; dkim=pass (signature was verified)\r\n"
        " header.d=sender.example;dmarc=pass action=none header.from=sender.example;compauth=pass reason=100"
    )
    found = await findings(arrived(ALTERED, ELSEWHERE, results))
    assert found == dict.fromkeys(("SPF_FAIL", "DKIM_ALTERED", "DMARC_FAIL_ALTERED"), Severity.NOTE)
    passed = await findings(arrived(ALTERED, ELSEWHERE, results.replace("spf=fail", "spf=pass")))
    assert passed == dict.fromkeys(("SPF_ALTERED", "DKIM_ALTERED", "DMARC_FAIL_ALTERED"), Severity.NOTE)
    doubted = await findings(arrived(ALTERED, ELSEWHERE, results.replace("compauth=pass", "compauth=fail")))
    assert doubted["COMPAUTH_FAIL"] is Severity.NOTE
    failed = await findings(arrived(ALTERED, ELSEWHERE, results.replace("dmarc=pass", "dmarc=fail")))
    assert (failed["SPF_FAIL"], failed["DMARC_FAIL"]) == (Severity.SUSPICIOUS, Severity.SPAM)
    engine = AuthenticationEngine(AuthenticationEngine.Options(), tools_with(ALL))
    anybodys = await engine.judge(mail_of(arrived(ALTERED, ELSEWHERE, results), proven=False))
    assert {finding.name for finding in anybodys} == {"SPF_FAIL", "DKIM_FAIL", "DMARC_FAIL"}
    foreign = "mx.bad.example; dkim=pass header.d=sender.example; dmarc=pass header.from=sender.example"
    assert "DMARC_FAIL" in await findings(arrived(ALTERED, ELSEWHERE, foreign))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("spf=pass smtp.mailfrom=a.example;compauth=softpass reason=201", Microsoft("pass", "", "softpass")),
        ("acme.example; SPF=None; dkim=none (x;dmarc=pass) header.d=none;dmarc=none;compauth=pass",
         Microsoft("none", "none", "pass")),
        ("dkim=pass header.d=A.example;dkim=fail header.d=b.example;dkim=pass header.d=c.example;compauth=none",
         Microsoft("", "", "none", ("a.example", "c.example"))),
        ("dmarc=fail;dmarc=pass;compauth=fail", Microsoft("", "", "fail")),
        ("dmarc=fail;compauth=fail;compauth=pass", Microsoft()),
        ("dmarc=pass", Microsoft()),
        ("", Microsoft()),
    ],
)  # fmt: skip
def test_what_microsoft_says(value, expected):
    assert microsoft_of(Fields.parse(f"Authentication-Results: {value}\r\n\r\n".encode())) == expected


async def test_a_message_that_trusted_sealers_forwarded(tmp_path):
    results = "dmarc=pass (p=reject) header.from=sender.example"
    content = sealed(signed(letter()), tmp_path, "list.example", results)
    listed = content.replace(b"Subject: A", b"Subject: [list] A")
    forwarded = arrived(sealed(listed, tmp_path, "list.example", "arc=pass", "pass"), ELSEWHERE)
    assert (await findings(forwarded))["DMARC_FAIL"] is Severity.SPAM
    excused = await findings(forwarded, sealers=["LIST.example"], dkim_fail="spam")
    assert excused == dict.fromkeys(("SPF_FAIL", "DKIM_FAIL", "DMARC_FAIL_FORWARDED"), Severity.NOTE)
    doubt = b"Authentication-Results: dmarc=fail action=oreject header.from=sender.example;compauth=fail reason=000\r\n"
    assert "DMARC_FAIL" in await findings(doubt + forwarded, sealers=["list.example"])
    assert "DMARC_FAIL" in await findings(forwarded.replace(b"Good", b"Bad!"), sealers=["list.example"])
    foreign = sealed(letter(), tmp_path, "list.example", results.replace("sender", "other"))
    assert "DMARC_FAIL" in await findings(arrived(foreign, ELSEWHERE), sealers=["list.example"])
    broken = await findings(forwarded.replace(b"Good", b"Bad!"), arc_fail="spam")
    assert broken["ARC_FAIL"] is Severity.SPAM


@pytest.mark.parametrize(
    ("texts", "content"),
    [
        ({**ALL, "sender.example": DOWN}, arrived(letter(), ELSEWHERE)),
        ({**ALL, "s._domainkey.sender.example": DOWN}, arrived(signed(letter()), ELSEWHERE)),
        ({**ALL, "_dmarc.sender.example": DOWN}, arrived(letter(), ELSEWHERE)),
        (ALL, letter()),
    ],
    ids=["spf", "dkim", "dmarc", "no address"],
)
async def test_what_cannot_be_told_is_unscanned(texts, content):
    with pytest.raises(Unscanned):
        await findings(content, texts)
    found = await findings(content, texts, undecided="note")
    assert "DMARC_TEMPERROR" in found
    assert max(found.values()) <= Severity.SUSPICIOUS


async def test_no_answer_matters_only_when_it_decides():
    texts = {**ALL, "s._domainkey.sender.example": DOWN}
    assert await findings(arrived(signed(letter())), texts) == {"DKIM_TEMPERROR": Severity.NOTE}
    texts = {**ALL, "_dmarc.sender.example": DOWN}
    assert await findings(arrived(signed(letter())), texts) == {"DMARC_TEMPERROR": Severity.NOTE}
    texts = {**ALL, "bulk.example": DOWN}
    found = await findings(arrived(letter(), ELSEWHERE), texts, "ann@bulk.example")
    assert (found["SPF_TEMPERROR"], found["DMARC_FAIL"]) == (Severity.NOTE, Severity.SPAM)


async def test_proofs_of_another_domain_are_told():
    found = await findings(arrived(signed(letter(), "list.example")), sender="ann@bulk.example")
    assert found == {"DMARC_FAIL": Severity.SPAM, "MISALIGNED": Severity.NOTE}


async def test_too_much_is_unscanned_whatever_the_options():
    content = arrived(b"X: y\r\n" * 5_001 + signed(letter()), ELSEWHERE)
    with pytest.raises(Unscanned, match="more than 5000 header fields"):
        await findings(content, undecided="note")
    assert (await told(content)).dmarc.result == "temperror"


NAMES = st.sampled_from(
    [
        "DKIM-Signature",
        "ARC-Seal",
        "ARC-Message-Signature",
        "ARC-Authentication-Results",
        "From",
        "Authentication-Results",
    ]
)
WORDS = [
    "v=1", "a=rsa-sha256", "b=AAAA", "bh=AAAA", "d=sender.example", "h=from", "s=s", "i=1", "i=2", "cv=none", "l=1",
    "c=relaxed", "h=from:x:x", "<a@b.c>", "dmarc=pass", "(", '"', "\xff\r\n ",
]  # fmt: skip
VALUES = st.lists(st.sampled_from(WORDS))


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(NAMES, VALUES.map("; ".join)), max_size=6), st.sampled_from(["\r\n", "\n"]))
async def test_any_message_is_judged(fields, line_end):
    head = "".join(f"{name}: {value}{line_end}" for name, value in fields)
    found = await told(arrived(head.encode() + letter()))
    assert found.spf.result == "pass"
    assert all(one.result != "pass" for one in found.dkim)
    assert found.arc.result in {"none", "fail"}


class SlowDns(PretendDns):
    """Answers when it is let."""

    def __init__(self, texts):
        super().__init__(texts)
        self.asked = 0
        self.let = asyncio.Event()

    async def records(self, name, kind):
        self.asked += 1
        await self.let.wait()
        return await super().records(name, kind)


def slow_tools():
    dns = SlowDns(ALL)
    return dataclasses.replace(tools_with(ALL), dns=dns), dns


async def turns():
    for _ in range(20):
        await asyncio.sleep(0)


async def test_engines_share_one_authentication():
    tools, dns = slow_tools()
    mail = mail_of(arrived(signed(letter())))
    first, second = (asyncio.create_task(authenticate(mail, tools)) for _ in range(2))
    await turns()
    first.cancel()
    await turns()
    assert first.cancelled()
    dns.let.set()
    assert (await second).authentic
    assert await authenticate(mail, tools) is await authenticate(mail, tools)
    assert dns.asked == 1


async def test_when_all_are_cancelled_it_ends_and_may_begin_anew():
    tools, dns = slow_tools()
    mail = mail_of(arrived(signed(letter())))
    before = asyncio.all_tasks()
    tasks = [asyncio.create_task(authenticate(mail, tools)) for _ in range(2)]
    await turns()
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    assert asyncio.all_tasks() == before
    dns.let.set()
    assert (await authenticate(mail, tools)).authentic
    assert dns.asked == 2


class MappedContent:
    """A message in a memory map, which cannot be closed while anybody looks at it."""

    def __init__(self, content):
        self.map = mmap.mmap(-1, len(content))
        self.map.write(content)
        self.size = len(content)

    def view(self):
        return memoryview(self.map)


async def test_a_cancelled_one_lets_go_of_the_message():
    content = signed(letter(attachments=[("a", bytes(3_000_000))]))
    mail = mail_of(b"")
    mail.content = MappedContent(arrived(content))
    task = asyncio.create_task(authenticate(mail, tools_with(ALL)))
    await turns()
    assert not task.done()
    task.cancel()
    await asyncio.wait([task])
    mail.content.map.close()


async def test_look_ups_end_in_time(monkeypatch):
    monkeypatch.setattr(authentication, "LOOKUP_SECONDS", 0.0)
    tools, _ = slow_tools()
    found = await authenticate(mail_of(arrived(letter())), tools)
    assert found.spf.result == "temperror"


async def test_contract():
    await assert_contract(lambda: AuthenticationEngine(AuthenticationEngine.Options(), tools_with(ALL)))


async def test_a_body_of_any_size_does_not_hold_the_loop():
    content = arrived(signed(letter(attachments=[("a", bytes(10_000_000))])))
    task = asyncio.create_task(told(content))
    steps = 0
    while not task.done():
        await asyncio.sleep(0)
        steps += 1
    assert (await task).authentic
    assert steps > len(content) / 40_000


ZONE = f"""
@ IN TXT "v=spf1 a:mail.sender.example include:_spf.sender.example -all"
@ IN TXT "unrelated"
mail IN A 192.0.2.77
_spf IN TXT "v=spf1 exists:%{{ir}}.allowed.%{{d}} mx:sender.example ~all"
1.2.0.192.allowed._spf IN A 127.0.0.2
@ IN MX 10 mail
s._domainkey IN TXT {master_text(key().record)}
e._domainkey IN TXT {master_text(edwards_key().record)}
_dmarc IN TXT "v=DMARC1; p=reject;" " adkim=s; aspf=r"
"""


@pytest.fixture(scope="module")
def named(tmp_path_factory):
    with real_named(tmp_path_factory.mktemp("named"), {"sender.example": ZONE}) as address:
        yield address


@pytest.mark.parametrize(
    ("content", "spf", "dkim", "dmarc"),
    [
        (arrived(signed(letter())), "pass", ["pass"], "pass"),
        (arrived(ALTERED), "pass", ["fail"], "pass"),
        (arrived(ALTERED, "192.0.2.77"), "pass", ["fail"], "pass"),
        (arrived(ALTERED, ELSEWHERE), "fail", ["fail"], "fail"),
        (arrived(signed(letter(), "news.sender.example"), ELSEWHERE), "fail", ["permerror"], "fail"),
        (arrived(signed(letter(), "refused.example"), ELSEWHERE), "fail", ["temperror"], "fail"),
    ],
)
async def test_a_real_name_server(named, content, spf, dkim, dmarc):
    tools = dataclasses.replace(tools_with({}), dns=Resolver([named], 3.0))
    found = await authenticate(mail_of(content), tools)
    assert (found.spf.result, [one.result for one in found.dkim], found.dmarc.result) == (spf, dkim, dmarc)
    assert found.dmarc.policy == "reject"

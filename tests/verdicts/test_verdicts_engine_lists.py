import asyncio
import dataclasses
import hashlib
import time

import pytest
from doubles.signing import key, signed

from verdicts.contract import Finding, Severity, Unscanned
from verdicts.engines.lists import Lists as Engine
from verdicts.kit import PretendClock, PretendDns, assert_contract, letter, mail_of, pretend_tools
from verdicts.lists import Entry, Lists
from verdicts.mail import Profile, Session

MICROSOFT = Session("1", "40.107.0.1", network="exchange-online")
OPERATOR = Session("1", "10.0.0.1", network="operator")
REPORT = ("X-Forefront-Antispam-Report", "CIP:192.0.2.7;CTRY:DE;H:mail.sender.example;SCL:1;DIR:INB;")
SPF = PretendDns({"sender.example": ["v=spf1 ip4:192.0.2.7 -all"]})
OTHER_SPF = PretendDns({"sender.example": ["v=spf1 ip4:192.0.2.8 -all"]})


def entry(kind, **what):
    ((matter, value),) = what.items()
    return Entry(kind, matter, value, "ticket 1")


def profile(*entries):
    return Profile(("acme.example",), (), Lists(entries))


async def judge(message, *entries, dns=None, options=None, **facts):
    engine = Engine(Engine.Options(**(options or {})), pretend_tools(dns=dns))
    return list(await engine.judge(mail_of(message, profile=profile(*entries), **facts)))


def names(findings):
    return [(finding.name, finding.severity, finding.allows) for finding in findings]


BLOCKED = [("LIST_BLOCK_SENDER", Severity.MALICIOUS, False)]


async def test_nobody_has_lists():
    assert await judge(letter()) == []


@pytest.mark.parametrize("value", ["ann@sender.example", "sender.example", ".sender.example", ".example"])
async def test_a_blocked_sender(value):
    found = await judge(letter(), entry("block", sender=value))
    assert found == [Finding("LIST_BLOCK_SENDER", Severity.MALICIOUS, detail=f"sender {value}: ticket 1")]


async def test_envelope_and_author_are_both_senders_and_need_no_proof():
    message = letter().replace(b"Ann <ann@sender.example>", b"=?utf-8?q?X?= <x@BOOKS.example>, y@evil.example")
    for value in ("books.example", "evil.example", "sender.example"):
        assert names(await judge(message, entry("block", sender=value))) == BLOCKED
    assert await judge(message, entry("block", sender="acme.example")) == []
    assert await judge(message, entry("block", sender="sender.example"), sender="") == []


async def test_an_option_makes_it_spam():
    found = await judge(letter(), entry("block", sender="sender.example"), options={"block": "spam"})
    assert names(found) == [("LIST_BLOCK_SENDER", Severity.SPAM, False)]


async def test_a_blocked_network_is_that_of_the_origin():
    block = entry("block", network="192.0.2.0/24")
    assert names(await judge(letter(headers=[REPORT]), block)) == [("LIST_BLOCK_NETWORK", Severity.MALICIOUS, False)]
    assert await judge(letter(), block, session=Session("1", "192.0.2.7", network="exchange-online")) == []


async def test_a_blocked_attachment_however_it_is_encoded():
    content = bytes(range(256)) * 2_000
    block = entry("block", hash=hashlib.sha256(content).hexdigest())
    found = await judge(letter(attachments=[("a.bin", b"x"), ("b.bin", content)]), block)
    assert names(found) == [("LIST_BLOCK_HASH", Severity.MALICIOUS, False)]
    assert await judge(letter(attachments=[("b.bin", content + b"x")]), block) == []


async def test_a_blocked_link():
    block = entry("block", url="shared.example/bad")
    found = await judge(letter("see https://shared.example/bad/x?y and http://fine.example/\r\n"), block)
    assert names(found) == [("LIST_BLOCK_URL", Severity.MALICIOUS, False)]
    assert await judge(letter("see https://shared.example/good\r\n"), block) == []


async def test_what_has_expired_counts_no_more():
    old = Entry("block", "sender", "sender.example", "ticket 1", PretendClock().now)
    assert await judge(letter(), old) == []
    assert names(await judge(letter(), old._replace(expires=old.expires + 1))) == BLOCKED


async def test_an_authentic_sender_is_allowed():
    allow = entry("allow", sender="sender.example")
    found = await judge(letter(headers=[REPORT]), allow, dns=SPF, options={"allow_weight": -3})
    assert found == [Finding("LIST_ALLOW", Severity.NOTE, -3.0, "sender sender.example: ticket 1", allows=True)]


@pytest.mark.parametrize(
    ("facts", "why"),
    [
        ({"dns": OTHER_SPF}, "not authentic: SPF fail"),
        ({"dns": PretendDns()}, "not authentic: SPF none"),
        ({"dns": PretendDns({"sender.example": OSError("no answer")})}, "not authentic: SPF temperror"),
        ({"dns": SPF, "session": OPERATOR}, "neither SPF by Microsoft"),
        ({"dns": SPF, "proven": False}, "neither SPF by Microsoft"),
        ({"dns": SPF, "sender": "x@elsewhere.example"}, "not authentic"),
    ],
)
async def test_a_spoofed_sender_is_not_allowed_and_told(facts, why):
    allow = entry("allow", sender="sender.example")
    (found,) = await judge(letter(headers=[REPORT]), allow, **facts)
    assert (found.name, found.severity, found.allows) == ("LIST_ALLOW_UNUSED", Severity.NOTE, False)
    assert why in found.detail


@pytest.mark.parametrize(
    "author",
    [
        b"Ann <ann@evil.example>",
        b"ann@sender.example, x@evil.example",
        b"<ann@sender.example> <x@evil.example>",
        b"Ann <ann@sender.example>\r\nFrom: x@evil.example",
        b'"ann@sender.example" <x@evil.example>',
    ],
)
async def test_the_one_author_must_be_the_allowed_sender(author):
    """The envelope is authentic, and the author is another, or one of several."""
    message = letter(headers=[REPORT]).replace(b"Ann <ann@sender.example>", author)
    found = await judge(message, entry("allow", sender="sender.example"), dns=SPF)
    assert [finding for finding in found if finding.allows] == []


WHOLE = b"from:subject:content-type:content-transfer-encoding"


@pytest.mark.parametrize(
    ("names", "covers", "added", "above", "passes"),
    [
        (WHOLE, False, b"", b"", True),
        (WHOLE, True, b"", b"", True),
        (WHOLE, True, b"pills\r\n", b"", False),
        (WHOLE, False, b"", b"Subject: pills\r\n", False),
        (WHOLE, False, b"", b"X: pills\r\n", True),
        (b"from:subject", False, b"", b"", False),
        (b"from:content-type", False, b"", b"", False),
    ],
)
async def test_a_signature_allows_unless_it_leaves_room_to_add(names, covers, added, above, passes):
    """By the clock of today, as the signature is from today."""
    dns = PretendDns({"s._domainkey.sender.example": [key().record]})
    tools = dataclasses.replace(pretend_tools(dns=dns), clock=PretendClock(time.time()))
    message = above + signed(letter(), include_headers=names.split(b":"), length=covers) + added
    known = profile(entry("allow", sender="sender.example"))
    (found,) = await Engine(Engine.Options(), tools).judge(mail_of(message, profile=known, session=OPERATOR))
    assert found.allows is passes


async def test_an_entry_for_the_envelopes_sender_alone_allows_nothing():
    """Although the author is authentic: the entry is about others."""
    dns, message = PretendDns({"mail.sender.example": SPF.texts["sender.example"]}), letter(headers=[REPORT])
    (found,) = await judge(
        message, entry("allow", sender="mail.sender.example"), dns=dns, sender="x@mail.sender.example"
    )
    assert (found.name, found.allows) == ("LIST_ALLOW_UNUSED", False)
    (found,) = await judge(message, entry("allow", sender="sender.example"), dns=dns, sender="x@mail.sender.example")
    assert found.allows


async def test_a_network_is_allowed_on_microsofts_evidence_only():
    allow, message = entry("allow", network="192.0.2.0/24"), letter(headers=[REPORT])
    assert names(await judge(message, allow)) == [("LIST_ALLOW", Severity.NOTE, True)]
    assert names(await judge(message, allow, session=OPERATOR)) == [("LIST_ALLOW_UNUSED", Severity.NOTE, False)]
    assert await judge(letter(), allow, session=Session("1", "192.0.2.7", network="operator")) == []


async def test_what_is_blocked_is_not_allowed():
    entries = entry("allow", sender="sender.example"), entry("block", network="192.0.2.7/32")
    found = await judge(letter(headers=[REPORT]), *entries, dns=SPF)
    assert [finding.name for finding in found] == ["LIST_BLOCK_NETWORK", "LIST_ALLOW_UNUSED"]
    assert "a blocking entry is stronger" in found[1].detail


async def test_what_is_not_read_may_be_blocked():
    many = b"Content-Type: multipart/mixed; boundary=x\r\n\r\n" + b"--x\r\n\r\n\r\n" * 20_000
    with pytest.raises(Unscanned, match="more parts"):
        await judge(many, entry("block", hash="ab" * 32), entry("block", sender="sender.example"))
    assert names(await judge(many, entry("block", sender="sender.example"))) == BLOCKED
    with pytest.raises(Unscanned, match="more authors"):
        await judge(b"From: a@b.example\r\n" * 9 + b"\r\n", entry("block", sender="evil.example"))
    assert await judge(b"From: a@b.example\r\n" * 9 + b"\r\n") == []


async def test_hashing_lets_others_have_their_turn():
    mail = mail_of(letter(attachments=[("a", bytes(3_000_000))]), profile=profile(entry("block", hash="ab" * 32)))
    task = asyncio.create_task(Engine(Engine.Options(), pretend_tools()).judge(mail))
    turns = 0
    while not task.done():
        await asyncio.sleep(0)
        turns += 1
    assert turns > 10


class Told(Engine):
    """Gives every message a profile."""

    async def judge(self, mail):
        mail.profile = profile(
            *(
                entry("block", **what)
                for what in ({"sender": "evil.example"}, {"hash": "ab" * 32}, {"url": "a.example/x"})
            )
        )
        return await super().judge(mail)


@pytest.mark.parametrize("kind", [Engine, Told])
async def test_it_keeps_the_contract(kind):
    await assert_contract(lambda: kind(kind.Options(), pretend_tools()))

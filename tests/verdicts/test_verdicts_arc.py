"""ARC chains, sealed by Perl's Mail::DKIM and checked by dkimpy as well."""

import re

import dkim as dkimpy
import pytest
from doubles.signing import key, sealed, sets_of, signed
from hypothesis import given
from hypothesis import strategies as st

from verdicts.identity import arc
from verdicts.identity.arc import Arc
from verdicts.identity.signatures import SignedMessage
from verdicts.identity.tags import Fault
from verdicts.kit import PretendDns, letter, mail_of

RECORDS = {f"s._domainkey.{domain}.example": [key().record] for domain in ("list", "other", "sender")}
RESULTS = "dkim=pass header.d=sender.example; dmarc=pass (p=none) header.from=sender.example"


async def check(content, records=RECORDS):
    return await arc.check(await SignedMessage.read(mail_of(content)), PretendDns(records))


def by_dkimpy(content):
    result, *_ = dkimpy.arc_verify(content, dnsfunc=lambda *_, **__: key().record.encode())
    return {b"pass": "pass", b"none": "none"}.get(result, "fail")


@pytest.fixture(scope="module")
def chain(tmp_path_factory):
    """A message with one, two and three sets."""
    folder = tmp_path_factory.mktemp("keys")
    first = sealed(signed(letter()), folder, "list.example", RESULTS)
    second = sealed(first, folder, "other.example", "arc=pass", "pass")
    return first, second, sealed(second, folder, "list.example", "arc=pass", "pass")


async def test_no_chain():
    assert await check(letter()) == Arc()


async def test_chains_pass(chain):
    for instances, content in enumerate(chain, start=1):
        sealers = ("list.example", "other.example", "list.example")[:instances]
        sets = tuple(await sets_of(content))
        assert await check(content) == Arc("pass", instances, "", sealers, "sender.example", sets=sets)
        assert by_dkimpy(content) == "pass"


async def test_a_change_before_the_newest_set_is_allowed(chain, tmp_path):
    listed = chain[0].replace(b"Subject: A", b"Subject: [list] A")
    assert (await check(listed)).result == by_dkimpy(listed) == "fail"
    again = sealed(listed, tmp_path, "other.example", "arc=pass", "pass")
    assert (await check(again)).result == by_dkimpy(again) == "pass"


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        (b"Good morning", b"Good evening", "the body is not the signed one"),
        (b"Subject: A letter", b"Subject: A better", "does not match"),
        (b"dmarc=pass (p=none)", b"dmarc=pass (p=nonE)", "does not match"),
        (b"cv=none", b"cv=pass", "seal 1 says cv=pass"),
        (b"i=2; a=rsa-sha256; cv=pass", b"i=2; a=rsa-sha256; cv=none", "seal 2 says cv=none"),
        (b"i=3; a=rsa-sha256; cv=pass", b"i=3; a=rsa-sha256; cv=fail", "seal 3 says cv=fail"),
        (b"ARC-Seal: i=2", b"ARC-Seal: i=1", "the sets are not complete"),
        (b"ARC-Seal: i=2", b"ARC-Zeal: i=2", "the sets are not complete"),
        (b"ARC-Seal: i=2", b"ARC-Seal: i=x", "i= is no number"),
        (b"ARC-Seal: i=3", b"ARC-Seal: i=4", "the sets are not complete"),
        (b"ARC-Authentication-Results: i=1", b"ARC-Authentication-Results: j=1", "the sets are not complete"),
        (b"ARC-Seal: i=1; a=rsa-sha256", b"ARC-Seal: i=1; a=rsa-sha1", "SHA-1"),
        (b"ARC-Seal: i=1;", b"ARC-Seal: i=1; h=from;", "seal 1 names fields"),
        (b"ARC-Message-Signature: i=3;", b"ARC-Message-Signature: i=3; l=x;", "does not match"),
        (b"; h=from:", b"; h=arc-seal:from:", "signs seals"),
        (b"d=other.example", b"d=nobody.example", "there is no key at"),
    ],
)
async def test_broken_chains_fail(chain, old, new, reason):
    content = chain[2].replace(old, new)
    assert content != chain[2]
    found = await check(content)
    assert (found.result, found.instances) == ("fail", 3)
    assert reason in found.reason
    if b"i=" not in new[:30] and b"nobody" not in new:
        assert by_dkimpy(content) == "fail"


async def test_sets_in_any_order_of_fields(chain):
    head, _, rest = chain[1].partition(b"DKIM-Signature")
    fields = re.findall(rb"[^\r\n]+\r\n(?:[ \t][^\r\n]*\r\n)*", head)
    content = b"".join(reversed(fields)) + b"DKIM-Signature" + rest
    assert (await check(content)).result == "pass"


async def test_no_answer_of_the_dns_is_told_apart(chain):
    found = await check(chain[1], {**RECORDS, "s._domainkey.other.example": OSError("down")})
    assert (found.result, found.temporary) == ("fail", True)
    found = await check(chain[1], {**RECORDS, "s._domainkey.other.example": ["p="]})
    assert (found.result, found.temporary) == ("fail", False)


async def test_chains_are_bounded():
    sets = b"".join(
        b"ARC-Seal: i=%d\r\nARC-Message-Signature: i=%d\r\nARC-Authentication-Results: i=%d; x\r\n" % ((number,) * 3)
        for number in range(1, 52)
    )
    assert (await check(sets + letter())).reason == "there are more than 50 sets"
    assert "missing" in (await check(sets[: sets.find(b"ARC-Seal: i=51")] + letter())).reason


def a_set(number, *, parts=("ARC-Seal", "ARC-Message-Signature", "ARC-Authentication-Results")):
    return b"".join(f"{part}: i={number}; x=y\r\n".encode() for part in parts)


@given(st.permutations(range(1, 6)), st.integers(0, 5))
async def test_sets_are_found_in_any_order(order, count):
    message = b"".join(a_set(number) for number in order if number <= count) + b"\r\n"
    assert await sets_of(message) == [
        tuple(
            f"{name}:i={number}; x=y\r\n".encode()
            for name in ("arc-authentication-results", "arc-message-signature", "arc-seal")
        )
        for number in range(1, count + 1)
    ]


@pytest.mark.parametrize(
    "head",
    [
        a_set(2),
        a_set(1) + a_set(3),
        a_set(1) + a_set(1),
        a_set(1, parts=["ARC-Seal", "ARC-Message-Signature"]),
        a_set(1, parts=["ARC-Message-Signature", "ARC-Authentication-Results"]),
        a_set(1, parts=["ARC-Authentication-Results"]),
        a_set(1) + a_set(2, parts=["ARC-Message-Signature"]),
        a_set(0),
        a_set("x"),
        a_set("1 2"),
        a_set("100"),
        a_set("1") + b"ARC-Seal: no instance\r\n",
        a_set(1) * 1000,
    ],
)
async def test_sets_that_are_no_chain(head):
    with pytest.raises(Fault):
        await sets_of(head + b"From: x\r\n\r\n")


async def test_long_fields_are_not_checked(chain):
    content = chain[0].replace(b"ARC-Seal: i=1;", b"ARC-Seal: i=1; z=" + b"x" * 40_000 + b";")
    assert "16384 bytes" in (await check(content)).reason
    results = b"ARC-Authentication-Results: i=1;"
    content = chain[0].replace(results, results + b"x" * 40_000)
    assert (await check(content)).result == "fail"

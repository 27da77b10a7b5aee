"""DKIM signatures, made by dkimpy, which also is the oracle of what was changed on the way."""

import base64
import hashlib
import re
import time

import dkim as dkimpy
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from doubles.signing import edwards_key, key, signed
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from verdicts.identity import dkim
from verdicts.identity.canonical import relaxed_header
from verdicts.identity.keys import read_key
from verdicts.identity.signatures import MAX_HEADER, MAX_NAMES, SignedMessage
from verdicts.identity.tags import Fault, tags
from verdicts.kit import PretendDns, letter, mail_of

LETTER = letter()
NAME = "s._domainkey.sender.example"
FORMS = [(header, body) for header in (b"simple", b"relaxed") for body in (b"simple", b"relaxed")]


async def check(content, now=None, prefer=lambda _domain: False, **records):
    dns = PretendDns({NAME: [key().record], **records})
    message = await SignedMessage.read(mail_of(content))
    return await dkim.check(message, dns, time.time() if now is None else now, prefer)


async def one(content, record=None, **options):
    (found,) = await check(
        content, **({NAME: record if isinstance(record, list) else [record]} if record else {}), **options
    )
    return found


def with_tag(content, name, value):
    """The first signature field with a tag set, or left out; its b= is wrong then."""
    field, _, rest = content.partition(b"\r\nFrom:")
    field = re.sub(rb"([;:]\s*)" + name + rb"=[^;]*;?", rb"\1", field, count=1)
    return (field.rstrip(b"; \r\n") + (b"; " + name + b"=" + value if value is not None else b"")) + b"\r\nFrom:" + rest


@pytest.mark.parametrize("canonicalize", FORMS)
@pytest.mark.parametrize(
    "content",
    [
        LETTER,
        letter("\r\n  two  spaces \t and a tab\t\r\n\r\n\r\n"),
        letter(""),
        b"From: a@sender.example\r\n\r\n",
        b"From:a@sender.example\r\nSubject:  folded\r\n\t text  \r\nX:\r\n\r\n\r\n\r\n",
        letter(attachments=[("a", bytes(200_000))]),
    ],
)
async def test_what_dkimpy_signs_passes(content, canonicalize):
    found = await one(signed(content, canonicalize=canonicalize))
    assert found == dkim.Signature("pass", "sender.example", "s", "", 2_048)


DKIMPY_TAKES = re.compile(rb"[!-9;-~]+:|[ \t]")
WORDS = st.text(st.sampled_from("ab \t=;:"), max_size=20)
LINES = st.lists(st.text(st.sampled_from("ab \t.="), max_size=12), max_size=8)


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(
    WORDS,
    WORDS,
    LINES,
    st.sampled_from(FORMS),
    st.integers(0, 2_000),
    st.sampled_from([b" ", b"\t", b"x", b"\r\n", b""]),
)
@example("", "", [], FORMS[0], 0, b"")
async def test_as_dkimpy_when_it_was_changed(subject, folded, lines, canonicalize, where, put):
    message = f"From: a@sender.example\r\nSubject: {subject}x\r\n {folded}y\r\n\r\n" + "".join(
        f"{line}\r\n" for line in lines
    )
    content = signed(message.encode(), canonicalize=canonicalize)
    start = content.index(b"From: a@")
    at = start + where % (len(content) - start)
    content = content[:at] + put + content[at + (put == b"x") :]
    assume(b"\r" not in content.replace(b"\r\n", b""))  # a bare one is white space for dkimpy
    assume(all(map(DKIMPY_TAKES.match, content.partition(b"\r\n\r\n")[0].split(b"\r\n"))))
    expected = dkimpy.verify(content, dnsfunc=lambda *_, **__: key().record.encode())
    found = await check(content)
    assert any(signature.result == "pass" for signature in found) == expected


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        (b"Good morning", b"Good evening", dkim.ALTERED),
        (b"Subject: A letter", b"Subject: A better", "the signature does not match"),
        (b"d=sender.example", b"d=sender.exampl", "i= is not of"),
        (b"t=1", b"t=0", "the signature does not match"),
    ],
)
async def test_what_was_changed_fails(old, new, reason):
    found = await one(signed(LETTER).replace(old, new, 1))
    assert (found.result, found.reason[: len(reason)]) == ("permerror" if "i=" in reason else "fail", reason)


@pytest.mark.parametrize(
    ("name", "value", "result", "reason"),
    [
        (b"v", b"2", "permerror", "v= is unknown"),
        (b"v", None, "permerror", "v= is missing"),
        (b"a", b"rsa-sha1", "permerror", "SHA-1"),
        (b"a", b"rsa-md5", "permerror", "a= is unknown"),
        (b"h", b"to:subject", "permerror", "From is not signed"),
        (b"h", b"from:" + b"x:" * MAX_NAMES + b"to", "policy", "names more than"),
        (b"i", b"@other.example", "permerror", "i= is not of"),
        (b"i", b"@xsender.example", "permerror", "i= is not of"),
        (b"q", b"dns/mail", "permerror", "q= is unknown"),
        (b"c", b"none/none", "permerror", "c= is unknown"),
        (b"l", b"x", "permerror", "l= is no number"),
        (b"l", b"9" * 80, "permerror", "l= is no number"),
        (b"t", b"99999999999", "fail", "future"),
        (b"x", b"1000000000", "fail", dkim.EXPIRED),
        (b"b", b"!", "permerror", "b= is not base64"),
        (b"b", b"AAAA", "fail", "does not match"),
        (b"d", b"a..b", "permerror", "i= is not of"),
        (b"s", b"a..b", "permerror", "no domain name"),
        (b"x y", b"1", "permerror", "no list of tags"),
        (b"v", b"1; v=1", "permerror", "no list of tags"),
        (b"z", b"x" * 40_000, "policy", "more than 16384 bytes"),
        (b"z", b"1" + b";y=" * 100, "permerror", "more than 100 tags"),
    ],
)
async def test_bad_tags(name, value, result, reason):
    found = await one(with_tag(signed(LETTER), name, value))
    assert found.result == result
    assert reason in found.reason


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        ([], "there is no key"),
        ("v=DKIM1; k=rsa; p=", "revoked"),
        ("v=DKIM2; p=AAAA", "the key record is none"),
        ("v=DKIM1; k=rsa", "the key record is none"),
        ("hello", "no list of tags"),
        ("v=DKIM1; p=AAAA", "cannot be read"),
        ("v=DKIM1; p=!", "not base64"),
        ("v=DKIM1; k=dsa; p=AAAA", "unknown kind"),
        ("v=DKIM1; h=sha1; p=AAAA", "another use"),
        ("v=DKIM1; s=tlsrpt; p=AAAA", "another use"),
        ("v=DKIM1; k=ed25519; p=AAAA", "cannot be read"),
        (edwards_key().record, "none for rsa-sha256"),
        ("v=DKIM1; n=" + "x" * 9_000, "more than 8192"),
        (key(1_024).record.replace("v=DKIM1", "v=DKIM1; t=s")[:60], "base64"),
    ],
)
async def test_bad_keys(record, reason):
    (found,) = await check(signed(LETTER), **{NAME: record if isinstance(record, list) else [record]})
    assert found.result == "permerror"
    assert reason in found.reason


@pytest.mark.parametrize(("bits", "exponent"), [(512, 65_537), (1_023, 65_537), (9_000, 65_537), (2_048, 2**2_047 + 1)])
def test_keys_that_are_weak_or_slow_are_none(bits, exponent):
    public = rsa.RSAPublicNumbers(exponent, 2 ** (bits - 1) + 12_345).public_key()
    der = public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    with pytest.raises(Fault, match=f"the key has {bits} bits"):
        read_key("p=" + base64.b64encode(der).decode())


async def test_the_size_of_the_key_is_told():
    assert (await one(signed(LETTER, pair=key(1_024)), key(1_024).record)).bits == 1_024


async def test_other_forms_of_records():
    content = signed(LETTER)
    assert (await one(content, key().bare_record)).result == "pass"
    assert (await one(content, ["unrelated", key().record])).result == "pass"
    assert (await one(content, key().record.replace("v=DKIM1", "v=DKIM1; t=y:s"))).result == "pass"
    elsewhere = signed(LETTER, identity=b"ann@news.sender.example")
    assert (await one(elsewhere)).result == "pass"
    assert (await one(elsewhere, key().record.replace("v=DKIM1", "v=DKIM1; t=s"))).result == "permerror"


async def test_no_answer_of_the_dns():
    (found,) = await check(signed(LETTER), **{NAME: OSError("down")})
    assert (found.result, found.reason) == ("temperror", f"no answer for {NAME}")


def edwards_signed(content):
    """With a signature by RFC 8463, for which dkimpy would need another library."""
    body = base64.b64encode(hashlib.sha256(content.partition(b"\r\n\r\n")[2]).digest())
    value = b" v=1; a=ed25519-sha256; c=relaxed; d=sender.example; s=s; h=From:Subject; bh=" + body + b"; b="
    lines = dict(line.split(b":", 1) for line in content.partition(b"\r\n\r\n")[0].split(b"\r\n"))
    data = relaxed_header(b"From", lines[b"From"]) + relaxed_header(b"Subject", lines[b"Subject"])
    data += relaxed_header(b"DKIM-Signature", value).rstrip(b"\r\n")
    signature = edwards_key().private.sign(hashlib.sha256(data).digest())
    return b"DKIM-Signature:" + value + base64.b64encode(signature) + b"\r\n" + content


async def test_ed25519():
    content = edwards_signed(LETTER)
    assert (await one(content, edwards_key().record)).result == "pass"
    assert (await one(content.replace(b"A letter", b"A better"), edwards_key().record)).result == "fail"


async def test_a_part_of_the_body():
    content = signed(LETTER, length=True)
    whole, longer = await one(content), await one(content + b"Buy this!\r\n")
    assert (whole.result, whole.partial) == ("pass", False)
    assert (longer.result, longer.partial) == ("policy", True)


async def test_fields_are_taken_from_the_bottom():
    content = signed(b"X: 1\r\nX: 2\r\n" + LETTER, include_headers=[b"from", b"x", b"x"])
    assert (await one(content)).result == "pass"
    assert (await one(content.replace(b"X: 1\r\nX: 2", b"X: 2\r\nX: 1"))).result == "fail"
    once = signed(b"X: 1\r\n" + LETTER, include_headers=[b"from", b"x"])
    assert (await one(b"X: 0\r\n" + once)).result == "pass"
    assert (await one(once.replace(b"X: 1\r\n", b"X: 1\r\nX: 2\r\n"))).result == "fail"
    oversigned = signed(b"X: 1\r\n" + LETTER, include_headers=[b"from", b"x", b"x"])
    assert (await one(oversigned)).result == "pass"
    assert (await one(b"X: 0\r\n" + oversigned)).result == "fail"


async def test_a_signature_never_signs_itself(monkeypatch):
    monkeypatch.setattr(dkimpy.DKIM, "SHOULD_NOT", ())
    both = signed(signed(LETTER), "other.example", include_headers=[b"from", b"dkim-signature", b"dkim-signature"])
    found = await check(both, **{"s._domainkey.other.example": [key().record]})
    assert [signature.result for signature in found] == ["pass", "pass"]


async def test_five_are_verified_and_those_that_matter_first():
    others = LETTER
    for number in range(7):
        others = signed(others, f"d{number}.example")
    records = {f"s._domainkey.d{number}.example": [key().record] for number in range(7)}
    found = await check(others, **records)
    assert [signature.result for signature in found] == ["pass"] * 5 + ["policy"] * 2
    found = await check(others, prefer=lambda domain: domain == "d0.example", **records)
    assert [signature.result for signature in found] == ["pass"] * 4 + ["policy"] * 2 + ["pass"]


async def test_a_signature_that_is_none_costs_no_look_up():
    asked = []

    class Asked(PretendDns):
        async def txt(self, name):
            asked.append(name)
            return await super().txt(name)

    message = await SignedMessage.read(mail_of(with_tag(signed(LETTER), b"v", b"2")))
    await dkim.check(message, Asked(), time.time())
    assert asked == []


@pytest.mark.parametrize("content", [b"X: " + b"y" * MAX_HEADER + b"\r\n", b"X: y\r\n" * 5_001], ids=["long", "many"])
async def test_too_much_is_told(content):
    message = await SignedMessage.read(mail_of(content + signed(LETTER)))
    assert "more than" in message.too_much
    assert message.each(b"from", 9) == []


async def test_what_is_signed_is_bounded():
    content = b"X: " + b"y" * 140_000 + b"\r\n" + LETTER
    found = await one(signed(content, include_headers=[b"from", b"x"]))
    assert (found.result, "131072 bytes" in found.reason) == ("policy", True)


def test_tags():
    assert tags(" a = b c ;\r\n\td=e;; ".replace(";;", ";")) == {"a": "b c", "d": "e"}
    for bad in ("", "a", "a=1;;b=2", "a=1;a=2", "=1", "1a=2", "a b=1"):
        with pytest.raises(Fault):
            tags(bad)


@settings(max_examples=200)
@given(st.binary(max_size=300), st.binary(max_size=100))
async def test_any_field_has_a_result(value, body):
    content = b"DKIM-Signature:" + value.replace(b"\n", b"") + b"\r\nFrom: a@b.example\r\n\r\n" + body
    assert all(found.result in {"permerror", "fail", "policy"} for found in await check(content))


@settings(max_examples=200)
@given(st.text(max_size=200) | st.text(st.sampled_from("v=DKIM1; kprsa:ed25519"), max_size=60))
def test_any_key_record_has_a_result(record):
    with pytest.raises(Fault):
        read_key(record)

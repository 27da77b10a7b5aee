import re

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from doubles.arc_verifiers import dkimpy_says, key, pem, perl_says, record, sealed_by_perl
from doubles.pretend_names import pretend_names
from doubles.signing import sets_of
from hypothesis import given, settings
from hypothesis import strategies as st

from relay.headers import authres
from relay.headers.arc import BrokenChain, Signer, read_key, seal
from verdicts.fields import Fields
from verdicts.identity.arc import check
from verdicts.identity.canonical import body_hash
from verdicts.identity.signatures import SignedMessage
from verdicts.kit import BytesContent, PretendDns, letter, mail_of

NAMES = ("From", "To", "Subject", "Message-ID", "Received-By", "DKIM-Signature")
SIGNERS = [Signer(f"sealer{number}.example", "2026", key(f"sealer{number}"), NAMES) for number in range(3)]
TEXTS = {f"{signer.selector}._domainkey.{signer.domain}": record(signer.key) for signer in SIGNERS}
RESULTS = "mx1.relay.example;\r\n\tspf=pass smtp.mailfrom=sender.example;\r\n\tarc=none"
LETTER = letter("Good morning. \r\n\r\n  So it  is.\r\n\r\n", headers=[("DKIM-Signature", "v=1; a=b")])


async def sealed(message, signer, results=RESULTS):
    fields = Fields.parse(message)
    digest = await body_hash(BytesContent(message), "relaxed")
    head = await seal(signer, fields, digest, results, await sets_of(message), 1_700_000_000)
    return b"".join([*head, authres.field(results), message])


@pytest.fixture(scope="module")
def names():
    with pretend_names(TEXTS) as port:
        yield port


async def test_chains_of_one_to_three_sets_are_good_for_others(names):
    message = LETTER
    for count, signer in enumerate(SIGNERS, 1):
        message = await sealed(message, signer)
        assert len(await sets_of(message)) == count
        assert dkimpy_says(message, TEXTS) == "pass"
        assert perl_says(message, names) == "pass"


async def test_a_seal_over_the_set_of_another_implementation_and_under_one(names, tmp_path):
    def by_perl(message, signer, chain):
        file = tmp_path / signer.domain
        file.write_bytes(pem(signer.key))
        return sealed_by_perl(message, signer.domain, signer.selector, file, chain)

    message = await sealed(by_perl(LETTER, SIGNERS[0], "none"), SIGNERS[1])
    assert (dkimpy_says(message, TEXTS), perl_says(message, names)) == ("pass", "pass")
    message = by_perl(message, SIGNERS[2], "pass")
    assert (dkimpy_says(message, TEXTS), perl_says(message, names)) == ("pass", "pass")
    assert len(await sets_of(message)) == 3


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"Subject: A letter", b"Subject: A better"),
        (b"From: Ann", b"From: Eve"),
        (b"From: Ann", b"From: Eve <eve@evil.example>\r\nFrom: Ann"),
        (b"v=1; a=b", b"v=1; a=c"),
        (b"So it ", b"So is "),
        (b"spf=pass smtp", b"spf=fail smtp"),
        (b"cv=none", b"cv=pass"),
    ],
)
async def test_what_is_sealed_cannot_be_changed(names, old, new):
    message = await sealed(LETTER, SIGNERS[0])
    changed = message.replace(old, new)
    assert changed != message
    assert dkimpy_says(changed, TEXTS).startswith("fail")
    assert perl_says(changed, names).startswith("fail")


async def test_what_others_put_on_top_and_odd_white_space_do_no_harm(names):
    message = await sealed(LETTER, SIGNERS[0])
    moved = b"Received: from us\r\n" + message.replace(b"From: Ann", b"from:   Ann").replace(
        b"So it  is.", b"So it \tis.  "
    )
    assert (dkimpy_says(moved, TEXTS), perl_says(moved, names)) == ("pass", "pass")


async def test_how_a_set_is_written():
    top, signature, results = await seal(SIGNERS[0], Fields.parse(LETTER), b"h" * 32, RESULTS, [], 1_700_000_000.7)
    assert results == f"ARC-Authentication-Results: i=1; {RESULTS}\r\n".encode()
    assert re.fullmatch(
        rb"ARC-Message-Signature: i=1; a=rsa-sha256; c=relaxed/relaxed; d=sealer0.example; s=2026;\r\n"
        rb"\tt=1700000000;\r\n\th=From:From:To:Subject:\r\n\tMessage-ID:DKIM-Signature;\r\n"
        rb"\tbh=aGhoaGhoaGhoaGhoaGhoaGhoaGhoaGhoaGhoaGhoaGg=;\r\n"
        rb"\tb=[\w+/]{72}\r\n(\t[\w+/=]{1,72}\r\n)+",
        signature,
    )
    assert top.startswith(
        b"ARC-Seal: i=1; a=rsa-sha256; cv=none; d=sealer0.example; s=2026;\r\n\tt=1700000000;\r\n\tb="
    )


async def test_the_longest_chain_is_good_for_us_and_for_others():
    message = LETTER
    for number in range(50):
        message = await sealed(message, SIGNERS[number % 3])
    found = await check(await SignedMessage.read(mail_of(message)), PretendDns({name: [TEXTS[name]] for name in TEXTS}))
    assert (found.result, found.instances, len(found.sets)) == ("pass", 50, 50)
    assert dkimpy_says(message, TEXTS) == "pass"
    with pytest.raises(BrokenChain, match="50"):
        await sealed(message, SIGNERS[0])


async def test_nobody_seals_over_fifty_sets():
    header, one = Fields.parse(LETTER), (b"a:b\r\n",) * 3
    top, *_ = await seal(SIGNERS[0], header, b"", RESULTS, [one] * 49, 1.0)
    assert top.startswith(b"ARC-Seal: i=50; a=rsa-sha256; cv=pass;")
    with pytest.raises(BrokenChain, match="50"):
        await seal(SIGNERS[0], header, b"", RESULTS, [one] * 50, 1.0)


odd = st.text("abAB.: \t;=,", max_size=30).map(lambda text: text.encode().replace(b"\n", b""))


@given(st.lists(st.tuples(st.sampled_from(["From", "to", "SUBJECT", "X"]), odd), min_size=1, max_size=19), odd)
@settings(max_examples=60, deadline=None)
async def test_any_header_section_is_signed_as_dkimpy_reads_it(fields, body):
    head = b"".join(name.encode() + b": " + value + b"\r\n \t" + value + b".\r\n" for name, value in fields)
    message = await sealed(head + b"\r\n" + body + b"\r\n", SIGNERS[0])
    assert dkimpy_says(message, TEXTS) == "pass"


async def test_fields_of_one_name_are_signed_from_the_lowest_up(names):
    message = await sealed(b"".join(b"To: %d\r\n" % number for number in range(19)) + LETTER, SIGNERS[0])
    assert (dkimpy_says(message, TEXTS), perl_says(message, names)) == ("pass", "pass")
    assert dkimpy_says(message.replace(b"To: 9", b"To: 8"), TEXTS).startswith("fail")
    with pytest.raises(ValueError, match="called To"):
        await sealed(b"To: x\r\n" * 20 + LETTER, SIGNERS[0])


def test_keys_that_cannot_be_used(tmp_path):
    file = tmp_path / "arc.key"
    for bad, said in (
        (b"no key", "PEM"),
        (pem(rsa.generate_private_key(65537, 1024)), "2048 to 4096"),
        (pem(ec.generate_private_key(ec.SECP256R1())), "RSA"),
    ):
        file.write_bytes(bad)
        with pytest.raises(ValueError, match=said) as caught:
            read_key(file)
        assert "KEY" not in str(caught.value)
    with pytest.raises(OSError):
        read_key(tmp_path / "none")
    file.write_bytes(pem(key("sealer0")))
    assert read_key(file).private_numbers() == key("sealer0").private_numbers()

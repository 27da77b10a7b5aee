import email.utils
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.headers.folding import folded, harmless
from relay.headers.stamps import antispam_copy, received
from verdicts.fields import Fields
from verdicts.mail import Session, Tls
from verdicts.origin import Origin

NOON = 1_700_000_000.25
SESSION = Session("s1", "192.0.2.7", "mail-eus.outbound.protection.outlook.com")
TLS = Tls("TLSv1.3", "TLS_AES_256_GCM_SHA384")


def stamp(session: Session = SESSION, *, smtputf8: bool = False) -> str:
    return received(session, "mx1.relay.example", "01JD8Z", NOON, smtputf8=smtputf8).decode("ascii")


def test_the_form_of_received():
    assert stamp(Session("s1", "192.0.2.7", "mail.example", tls=TLS)) == (
        "Received: from mail.example ([192.0.2.7])\r\n"
        "\t(using TLSv1.3 with cipher TLS_AES_256_GCM_SHA384)\r\n"
        "\tby mx1.relay.example with ESMTPS id 01JD8Z;\r\n"
        "\tTue, 14 Nov 2023 22:13:20 +0000\r\n"
    )


@pytest.mark.parametrize(
    ("esmtp", "tls", "smtputf8", "keyword"),
    [
        (True, None, False, "ESMTP"),
        (False, None, False, "SMTP"),
        (True, TLS, False, "ESMTPS"),
        (False, TLS, False, "ESMTPS"),
        (True, None, True, "UTF8SMTP"),
        (True, TLS, True, "UTF8SMTPS"),
    ],
)
def test_the_protocol_keyword(esmtp, tls, smtputf8, keyword):
    assert f" with {keyword} id " in stamp(Session("s1", "192.0.2.7", "h", esmtp=esmtp, tls=tls), smtputf8=smtputf8)


@pytest.mark.parametrize(
    ("peer", "literal"),
    [
        ("192.0.2.7", "([192.0.2.7])"),
        ("2001:DB8::7", "([IPv6:2001:db8::7])"),
        ("fe80::1%eth0", "([IPv6:fe80::1])"),
        ("", "([unknown])"),
        ("x\r\ny", "([unknown])"),
    ],
)
def test_the_peer_is_an_address_literal(peer, literal):
    assert literal in stamp(Session("s1", peer, "h"))


@pytest.mark.parametrize(
    ("helo", "shown"),
    [
        ("", "unknown"),
        ("[192.0.2.7]", "[192.0.2.7]"),
        ("[IPv6:::1]", "[IPv6:::1]"),
        ("a.example) by evil; (", "a.example??by?evil???"),
        ("a\r\nX-PERCEPTION-POINT-SPAM: FAIL", "a??X-PERCEPTION-POINT-SPAM:?FAIL"),
        ("bücher.example", "b?cher.example"),
        ("\udcff\0", "??"),
        ("h" * 5000, "h" * 255),
    ],
)
def test_a_hostile_helo_is_made_harmless(helo, shown):
    assert stamp(Session("s1", "192.0.2.7", helo)).startswith(f"Received: from {shown} ([192.0.2.7])\r\n")


@given(st.text(), st.text(), st.text(), st.text())
def test_received_is_one_field_whatever_the_client_says(helo, peer, version, cipher):
    field = received(Session("s", peer, helo, tls=Tls(version, cipher)), "mx1", "id", NOON, smtputf8=False)
    (found,) = Fields.parse(field + b"\r\n")
    assert found.name == b"Received"
    assert found.end == len(field)
    assert max(map(len, field.split(b"\r\n"))) <= 998
    assert field.isascii()
    date = found.text.rpartition(";")[2]
    assert email.utils.parsedate_to_datetime(date.strip()).timestamp() == int(NOON)


def copy(value: bytes) -> bytes | None:
    return antispam_copy(Fields.parse(b"X-Forefront-Antispam-Report:" + value + b"\r\n\r\n"))


@pytest.mark.parametrize(
    ("value", "copied"),
    [
        (b" CIP:192.0.2.7;SCL:9;", b" CIP:192.0.2.7;SCL:9;\r\n"),
        (b"\r\n CIP:192.0.2.7;\r\n\tSCL:9", b" CIP:192.0.2.7; SCL:9\r\n"),
        (b" H:a\xffb\x00c;SCL:9;", b" H:ab c;SCL:9;\r\n"),
        (b" PTR:\xc2\x85\xe2\x80\xa8x\xc3\xbc;SCL:9;", b" PTR: x;SCL:9;\r\n"),
    ],
)
def test_the_copy_of_microsofts_report(value, copied):
    assert copy(value) == b"X-PP-Forefront-Antispam-Report:" + copied


@pytest.mark.parametrize("value", [b"", b" \t", b"\r\n ", b" \xff", b" " + b"x" * 3000])
def test_no_copy_of_a_report_that_says_nothing(value):
    assert copy(value) is None
    assert antispam_copy(Fields.parse(b"Subject: x\r\n\r\n")) is None


def test_the_topmost_report_is_copied():
    two = b"X-Forefront-Antispam-Report: SCL:1\r\nX-Forefront-Antispam-Report: SCL:9\r\n\r\n"
    assert antispam_copy(Fields.parse(two)) == b"X-PP-Forefront-Antispam-Report: SCL:1\r\n"


def test_a_long_report_is_folded_and_cut_between_two_parts():
    field = copy(b" CIP:192.0.2.7;" + b"".join(b"K%d:%s;" % (number, b"v" * 40) for number in range(99)))
    lines = field.split(b"\r\n")
    assert max(map(len, lines)) <= 78
    text = Fields.parse(field).text("X-PP-Forefront-Antispam-Report")
    assert text.endswith("v;")
    assert 1900 < len(text) <= 2000


@given(st.binary(max_size=3000).map(lambda value: value.replace(b"\n", b"\n ").replace(b"\r", b"")))
def test_the_copy_is_one_field_whatever_the_report_says(value):
    field = copy(value)
    if field is None:
        return
    (found,) = Fields.parse(field + b"\r\n")
    assert found.end == len(field) < 2200
    assert max(map(len, field.split(b"\r\n"))) <= 998
    assert all(byte in b"\r\n" or 32 <= byte < 127 for byte in field)


def test_the_copy_means_the_same_as_the_report():
    report = (
        b" CIP:63.35.35.123;CTRY:IE;LANG:en;SCL:5;SRV:;IPV:CAL;SFV:NSPM;H:mail-out.example.com;"
        b"\r\n PTR:ec2-63-35-35-123.example.com;CAT:NONE;SFS:(4636009)(376002);DIR:INB;SFP:;"
    )
    original = b"X-Forefront-Antispam-Report:" + report + b"\r\n\r\n"
    copied = copy(report).replace(b"X-PP-Forefront", b"X-Forefront")
    assert Origin.of(Fields.parse(copied)) == Origin.of(Fields.parse(original))


@given(st.text(), st.integers(1, 100))
def test_harmless_text_is_printable_and_has_an_end(text, limit):
    clean = harmless(text, limit)
    assert clean.isascii()
    assert clean.isprintable() or not clean
    assert len(clean) <= limit
    assert clean == " ".join(clean.split())


def folded_naively(name: str, text: str) -> bytes:
    lines = [f"{name}:"]
    for word in text.split():
        if len(lines[-1]) + 1 + len(word) > 78 and lines != [f"{name}:"]:
            lines.append("")
        lines[-1] += f" {word[:900]}"
    return "".join(f"{line}\r\n" for line in lines).encode("ascii")


@given(st.lists(st.integers(1, 99).map("w".__mul__), min_size=1).map(" ".join))
def test_folding_is_what_a_plain_reading_says(text):
    assert folded("X-Name", text) == folded_naively("X-Name", text)


@given(st.text(st.sampled_from("a; \t\r\n\0\x7f\x85\xa0ü\u2028\ud800")), st.integers(1, 12))
def test_harmless_is_what_a_plain_reading_says(text, limit):
    spaced = "".join(character if character.isprintable() else " " for character in text[: limit * 4])
    assert harmless(text, limit) == " ".join(re.sub(r"[^ -~]", "", spaced).split())[:limit].strip()


def test_a_word_that_fits_no_line_is_cut():
    assert folded("A", "b " + "w" * 2000) == b"A: b\r\n " + b"w" * 900 + b"\r\n"
    assert folded("A", "w" * 100 + " b") == b"A: " + b"w" * 100 + b"\r\n b\r\n"

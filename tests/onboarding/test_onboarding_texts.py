"""What notices say: every template, whatever a tenant, a domain or a template's author is called."""

import email
import email.policy
import json
import re
from email.headerregistry import Address

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from relay.onboarding.notices import letters, texts
from relay.onboarding.notices.kinds import KINDS, Notice, Reason
from relay.onboarding.notices.texts import Templates

NODE = "mx1.relay.example"
SENDER = Address("Sluice", addr_spec="sluice@relay.example")
ANN = letters.address("ann@acme.example")
AT = 1_795_000_000.0
HOSTILE = [
    "acme\r\nBcc: eve@evil.example\r\n\r\nbody", "acme\n\nbody", "\u202egnp.exe\u2066", "a\x00b\x1b[31m",
    "$tenant ${x} $$", "x" * 5_000, "\ud800", "=?utf-8?q?=0D=0ABcc:?=", "Ünïcode \N{GRINNING FACE}", "",
    "\u2028\u2029\x85\x0b\x0c",
]  # fmt: skip
FACTS = {
    "domain": "acme.example", "region": "eu", "record": '_sluice.acme.example  TXT  "x"', "consequence": "So it is.",
    "hop": "mx.acme.example", "failure": "It is slow.",
}  # fmt: skip
hostile = st.sampled_from(HOSTILE) | st.text(max_size=300)


def notice(kind="unproven", tenant="acme", facts=None, **more):
    return Notice(Reason(tenant, kind, "acme.example", facts=FACTS if facts is None else facts), AT, **more)


def read(raw):
    return email.message_from_bytes(raw, policy=email.policy.default)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_words(kind):
    words = Templates().words(notice(kind, count=3, since=AT - 86_400), NODE)
    whole = f"{words.subject}\n{words.text}"
    assert "$" not in whole
    assert "acme" in words.subject
    assert all(len(line) <= 98 for line in whole.splitlines())


@pytest.mark.parametrize("kind", ["unproven", "loop", "next_hop"])
def test_what_is_counted_is_told(kind):
    templates = Templates()
    assert "1 message for acme" in templates.words(notice(kind, count=1), NODE).text
    later = templates.words(notice(kind, count=38, since=AT - 86_400), NODE).text
    assert "38 messages for acme" in later
    assert "since the last notice (2026-11-17 11:06 UTC)" in later


@pytest.mark.parametrize("kind", ["verified", "failed", "lapsing", "lapsed"])
def test_the_record_is_told(kind):
    assert '\n    _sluice.acme.example  TXT  "x"\n' in Templates().words(notice(kind), NODE).text


def test_a_mail_is_what_the_standards_ask_for():
    one = notice()
    raw = letters.mail(one, Templates().words(one, NODE), sender=SENDER, contact=ANN, node=NODE)
    assert raw.isascii()
    assert raw.count(b"\n") == raw.count(b"\r\n")
    letter = read(raw)
    assert letter.keys() == letters.FIELDS
    assert (letter["From"], letter["To"]) == ("Sluice <sluice@relay.example>", "ann@acme.example")
    assert letter["Auto-Submitted"] == "auto-generated"
    assert letter["Date"].datetime.timestamp() == AT
    assert re.fullmatch(r"<[0-9a-f]{32}@mx1\.relay\.example>", letter["Message-ID"])
    assert letter.defects == []


@given(st.sampled_from(sorted(KINDS)), hostile, st.dictionaries(st.sampled_from(sorted(FACTS)), hostile), hostile)
@example("verified", HOSTILE[0], dict.fromkeys(FACTS, HOSTILE[0]), HOSTILE[0])
@example("next_hop", HOSTILE[5], dict.fromkeys(FACTS, HOSTILE[5]), HOSTILE[5])
def test_no_value_can_break_out_of_its_place(kind, tenant, facts, name):
    one = notice(kind, tenant, facts, count=2)
    words = Templates().words(one, NODE)
    assert words.subject.isprintable()
    assert len(words.subject) <= texts.LONGEST_SUBJECT
    plain = Templates().words(notice(kind, "acme", dict.fromkeys(facts, "x"), count=2), NODE)
    assert words.text.count("\n") == plain.text.count("\n")
    assert all(line.isprintable() for line in words.text.split("\n"))
    sender = Address(texts.harmless(name)[:200], addr_spec="sluice@relay.example")
    raw = letters.mail(one, words, sender=sender, contact=ANN, node="n" * 60 + ".relay.example")
    head, _, body = raw.partition(b"\r\n\r\n")
    assert raw.isascii()
    assert max(map(len, raw.split(b"\r\n"))) <= 998
    assert [name.decode() for name in re.findall(rb"(?m)^[^ \t:]+(?=:)", head)] == letters.FIELDS
    letter = read(raw)
    assert letter["Message-ID"] == f"<{one.id}@{'n' * 60}.relay.example>"
    assert letter["From"].addresses[0].addr_spec == "sluice@relay.example"
    assert letter.get_content().replace("\r\n", "\n") == words.text
    assert body.count(b"\r\n") == body.count(b"\n")


def test_a_long_name_of_the_node_stays_whole():
    node = ".".join(["n" * 60] * 4)
    one = notice()
    raw = letters.mail(one, Templates().words(one, node), sender=SENDER, contact=ANN, node=node)
    assert f"Message-ID: <{one.id}@{node}>\r\n".encode() in raw.replace(b"\r\n ", b" ")


def test_an_address_that_is_not_ascii_goes_as_it_is():
    one = notice()
    raw = letters.mail(
        one, Templates().words(one, NODE), sender=SENDER, contact=letters.address("änn@acme.example"), node=NODE
    )
    assert "To: änn@acme.example\r\n".encode() in raw


@given(hostile | st.sampled_from(["=?utf-8?q?=0D=0ABcc:_x?=", "<x>", '"', "a,b", "a@b", "(", "\\"]))
def test_an_address_adds_no_field(local):
    try:
        to = letters.address(f"{local}@acme.example")
        raw = letters.mail(notice(), Templates().words(notice(), NODE), sender=SENDER, contact=to, node=NODE)
    except ValueError:
        return
    head = raw.partition(b"\r\n\r\n")[0]
    assert [name.decode() for name in re.findall(rb"(?m)^[^ \t:]+(?=:)", head)] == letters.FIELDS
    assert b"\r" not in head.replace(b"\r\n", b"")


def test_what_fools_the_library_is_not_sent():
    """A display name of which it makes line ends; our own settings allow none."""
    fooled = Address("=?utf-8?q?=0D=0ABcc:_x?=", addr_spec="sluice@relay.example")
    try:
        raw = letters.mail(notice(), Templates().words(notice(), NODE), sender=fooled, contact=ANN, node=NODE)
    except ValueError:
        return
    assert b"\r\nBcc" not in raw  # a Python that is not fooled


@given(hostile)
def test_json_says_the_same(tenant):
    one = notice("next_hop", tenant, count=2, since=AT - 5)
    words = Templates().words(one, NODE)
    told = json.loads(letters.as_json(one, words, NODE))
    assert told == {
        "version": 1, "id": one.id, "kind": "next_hop", "tenant": tenant, "subject": "acme.example",
        "at": "2026-11-18T11:06:40Z", "since": "2026-11-18T11:06:35Z", "node": NODE, "count": 2, "facts": FACTS,
        "title": words.subject, "text": words.text,
    }  # fmt: skip


def test_an_operators_template_takes_the_place_of_ours(tmp_path):
    (tmp_path / "loop.txt").write_text(
        "Subject: $tenant: Schleife\n\nSchöne $messages, $since. 5 $$.\n", encoding="utf-8"
    )
    templates = Templates(tmp_path)
    words = templates.words(notice("loop", count=2), NODE)
    assert (words.subject, words.text) == ("acme: Schleife", "Schöne 2 messages, so far. 5 $.\n")
    assert templates.words(notice("working"), NODE) == Templates().words(notice("working"), NODE)
    raw = letters.mail(notice("loop"), words, sender=SENDER, contact=ANN, node=NODE)
    assert raw.isascii()
    assert read(raw).get_content() == words.text.replace("\n", "\r\n")


@pytest.mark.parametrize(
    ("name", "content", "wrong"),
    [
        ("loops.txt", b"Subject: x\n\ny", "loops.txt: no notice has this name"),
        ("loop.html", b"Subject: x\n\ny", "loop.html: no notice has this name"),
        ("loop.txt", b"x\n\ny", 'loop.txt: must be "Subject: '),
        ("loop.txt", b"Subject: x\ny\nz", 'loop.txt: must be "Subject: '),
        ("loop.txt", b"Subject: x\n\n \n", 'loop.txt: must be "Subject: '),
        ("loop.txt", b"", 'loop.txt: must be "Subject: '),
        ("loop.txt", b"Subject: x\n\n" + b"y" * texts.LONGEST_TEMPLATE, 'loop.txt: must be "Subject: '),
        ("loop.txt", b"Subject: x\n\ncosts 5 $ a day", 'loop.txt: a "\\$" must be followed'),
        ("loop.txt", b"Subject: x\n\n$loop_value", "loop.txt: knows no \\$loop_value; there are consequence, date"),
        ("loop.txt", b"Subject: $secret\n\ny", "loop.txt: knows no \\$secret"),
        ("loop.txt", b"Subject: x\n\n\xff", "loop.txt: is not UTF-8"),
    ],
)
def test_what_is_wrong_with_a_template_is_told(tmp_path, name, content, wrong):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=wrong):
        Templates(tmp_path)

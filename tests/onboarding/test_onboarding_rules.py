"""Mail on its way through the rules that the script made: scanned once, and what outsiders write changes nothing."""

import re
from dataclasses import replace

import pytest
from doubles.rule_engine import Mail, apply
from hypothesis import given
from hypothesis import strategies as st
from onboarding.exchange_kit import EU, OLD, Exchange, run

from relay.onboarding.exchange import rules
from relay.onboarding.exchange.rules import LOOP, OUTBOUND, REPORT, SPAM

OURS = EU.egress[0]
MEGABYTE = 1024**2


def made(**switches):
    exchange = Exchange()
    assert run(exchange, **switches).status == 0
    return exchange.rules


HARDENED = made()
ARTICLE = made(AsInArticle=True)


def back(mail, *, report="", spam=False, address=OURS):
    """What Sluice hands back of a message: it takes away what others wrote, and adds what it knows."""
    assert mail.route == OUTBOUND
    assert OLD in mail.values(LOOP)
    fields = [(name, value) for name, value in mail.fields if name not in (REPORT, SPAM)]
    fields += [(REPORT, report)] if report else []
    fields += [(SPAM, "FAIL")] if spam else []
    return replace(mail, fields=tuple(fields), address=address, route=None, scl=None)


@pytest.mark.parametrize("ruleset", [HARDENED, ARTICLE])
def test_mail_from_outside_is_scanned_once(ruleset):
    sent = apply(ruleset, Mail())
    assert (sent.route, sent.values(LOOP), sent.scl) == (OUTBOUND, [OLD], None)
    assert apply(ruleset, back(sent)).route is None


def test_what_is_delivered_does_not_have_the_value():
    delivered = apply(HARDENED, back(apply(HARDENED, Mail())))
    assert delivered.values(LOOP) == []
    assert apply(ARTICLE, back(apply(ARTICLE, Mail()))).values(LOOP) == [OLD]


@pytest.mark.parametrize("ruleset", [HARDENED, ARTICLE])
@pytest.mark.parametrize(
    ("report", "spam", "hardened", "article"),
    [
        ("CIP:1.2.3.4;SCL:1;SFV:NSPM", False, -1, None),
        ("CIP:1.2.3.4;CTRY:;SCL:5;SRV:", False, 6, 6),
        ("SFV:SPM;DIR:INB;SFP:;SCL:9;SRVR:x", False, 9, 9),
        ("SCL:7", False, 9, 9),
        ("CIP:1.2.3.4; SCL:6; SRV:", False, 6, 6),
        ("CIP:1.2.3.4;SCL:-1;SFV:SKN", False, -1, None),
        ("SCL:1;BCL:9;", False, -1, None),
        ("SCL:50;", False, -1, 6),
        ("PSCL:9;", False, -1, 9),
        ("", False, -1, None),
        ("", True, 6, 6),
        ("SCL:1", True, 6, 6),
    ],
)
def test_the_score_is_that_of_the_first_way_through_or_sluices(ruleset, report, spam, hardened, article):
    returned = apply(ruleset, back(apply(ruleset, Mail()), report=report, spam=spam))
    assert returned.scl == (hardened if ruleset is HARDENED else article)


@pytest.mark.parametrize("address", ["203.0.113.9", ""])
def test_a_value_that_got_out_does_not_help_a_stranger(address):
    forged = Mail(fields=((LOOP, OLD),), address=address)
    assert apply(HARDENED, forged).route == OUTBOUND
    assert apply(ARTICLE, forged).route is None


@pytest.mark.parametrize("value", ["", "guess", f"x {OLD}", f"{OLD}, {OLD}"])
def test_whatever_a_stranger_writes_into_the_header_is_replaced(value):
    sent = apply(HARDENED, Mail(fields=((LOOP, value), ("Subject", "x"), (LOOP.lower(), "more"))))
    assert sent.route == OUTBOUND
    assert sent.values(LOOP) == [OLD]
    assert sent.values("Subject") == ["x"]


def test_our_address_without_the_value_goes_to_sluice_which_ends_the_loop():
    assert apply(HARDENED, Mail(address=OURS)).route == OUTBOUND
    assert apply(ARTICLE, Mail(address=OURS)).route is None


@pytest.mark.parametrize("ruleset", [HARDENED, ARTICLE])
def test_mail_that_is_too_big_passes(ruleset):
    limit = 40_000 * 1024
    assert apply(ruleset, Mail(size=limit - 1)).route == OUTBOUND
    assert apply(ruleset, Mail(size=limit)).route is None


@pytest.mark.parametrize("lie", [(SPAM, "FAIL"), (REPORT, "SCL:9"), (REPORT, "SCL:5")])
def test_mail_that_passes_is_not_believed(lie):
    big = Mail(size=60 * MEGABYTE, fields=(lie,))
    assert apply(HARDENED, big).scl is None
    assert apply(ARTICLE, big).scl is not None


def test_a_forged_verdict_does_not_reach_the_second_way():
    sent = apply(HARDENED, Mail(fields=((SPAM, "FAIL"), (REPORT, "SCL:9"))))
    assert sent.scl is None
    assert apply(HARDENED, back(sent, report="SCL:1")).scl == -1


@pytest.mark.parametrize("ruleset", [HARDENED, ARTICLE])
def test_mail_between_own_people_is_not_sent_to_sluice(ruleset):
    inside = Mail(sender="eve@acme.example", authenticated=True, address="")
    assert apply(ruleset, inside).route is None
    assert apply(ruleset, replace(inside, authenticated=False, address="203.0.113.9")).route == OUTBOUND
    assert apply(ruleset, Mail(recipient="bob@other.example")).route is None


def test_own_rules_of_the_tenant_see_the_mail_after_ours():
    blocking = dict(HARDENED[0]) | {"Name": "block", "SenderIpRanges": [OURS], "HeaderMatchesMessageHeader": None,
                                    "HeaderMatchesPatterns": None, "ExceptIfSenderIpRanges": None,
                                    "RemoveHeader": "Subject", "StopRuleProcessing": True}  # fmt: skip
    returned = back(apply(HARDENED, Mail()), spam=True)
    assert apply([*HARDENED, blocking], returned).scl == 6
    assert apply([blocking, *HARDENED], returned).values(LOOP) == [OLD]


GROUP, USER = "staff@acme.example", "boss@acme.example"


@pytest.mark.parametrize(
    ("scope", "protected"),
    [
        ({}, {"member", "user", "neither"}),
        ({"groups": [GROUP]}, {"member"}),
        ({"users": [USER]}, {"user"}),
        ({"groups": [GROUP], "users": [USER]}, {"member", "user"}),
    ],
)
@pytest.mark.parametrize("switches", [{}, {"AsInArticle": True}])
def test_who_is_protected(scope, protected, switches):
    exchange = Exchange()
    assert run(exchange, script_of={"scope": scope}, **switches).status == 0
    mails = {"member": Mail(groups=(GROUP,)), "user": Mail(recipient=USER), "neither": Mail()}
    assert {name for name, mail in mails.items() if apply(exchange.rules, mail).route} == protected


def test_sub_domains_are_meant_too():
    assert apply(HARDENED, Mail(recipient="bob@sub.acme.example")).route == OUTBOUND


@given(
    st.lists(st.tuples(st.sampled_from([LOOP, SPAM, REPORT, LOOP.lower()]), st.text(max_size=40) | st.just(OLD))),
    st.booleans(),
)
def test_no_field_of_a_stranger_spares_a_message_the_scan_or_changes_its_score(fields, spam):
    sent = apply(HARDENED, Mail(fields=tuple(fields)))
    assert sent.route == OUTBOUND
    assert sent.scl is None
    delivered = apply(HARDENED, back(sent, spam=spam))
    assert delivered.route is None
    assert delivered.scl == (6 if spam else -1)
    assert delivered.values(LOOP) == []


def test_a_level_is_a_whole_entry():
    found = [text for text in ("SCL:9", "x;SCL:9;", " SCL:9 ") if re.search(rules.level(9), text)]
    assert len(found) == 3
    assert not [text for text in ("SCL:-9", "SCL:99", "BSCL:9", "SCL:1;BCL:9") if re.search(rules.level(9), text)]

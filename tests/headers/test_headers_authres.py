import re
from types import SimpleNamespace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from relay.headers.authres import claiming, claims, field, payload
from verdicts.fields import Fields

OURS = "mx1.relay.example"

white = st.sampled_from(["", " ", "\t", "\r\n ", " \r\n\t", "  "])
words = st.text("ab;=.,@ \t", max_size=8)
comments = words.map(lambda text: f"({text})")
cfws = st.lists(white | comments, max_size=4).map("".join)


@st.composite
def spelled(draw, name=OURS):
    """`name` in any case, as a token or a quoted string, with any of its characters escaped there (RFC 8601, 2.2)."""
    letters = [draw(st.sampled_from([letter, letter.upper()])) for letter in name]
    if draw(st.booleans()):
        return "".join(letters)
    return '"' + "".join(draw(st.sampled_from(["", "\\"])) + letter for letter in letters) + '"'


version = st.sampled_from(["", " 1", "\t2", "\r\n 1"])
results = st.sampled_from(["; none", "; spf=pass smtp.mailfrom=x", ";dkim=pass", " ;\r\n\tarc=pass (x;y)", ""])


@given(cfws, spelled(), cfws, version, cfws, results)
@example("", OURS, "", "", "", "")
@example("(mx1.relay.example;)", f'"{OURS}"', "", "", "", "; none")
def test_whatever_the_grammar_allows_is_found(before, name, between, number, behind, rest):
    assert claims(f" {before}{name}{between}{number}{behind}{rest}".encode(), OURS)


@given(
    cfws, st.sampled_from(["mx2.relay.example", "relay.example", "mx1.relay.example.org", "xmx1.relay.example"]), cfws
)
@example("(mx1.relay.example) ", "other.example", " (mx1.relay.example)")
def test_those_of_others_stay(before, name, behind):
    assert not claims(f" {before}{name}{behind}; spf=pass smtp.mailfrom=mx1.relay.example".encode(), OURS)


@pytest.mark.parametrize(
    "value",
    [
        b" spf=pass (sender IP is 192.0.2.1) smtp.mailfrom=mx1.relay.example; dkim=pass",  # Exchange names nobody
        b" other.example; auth=pass smtp.auth=mx1.relay.example",
        b" other.example;\r\n mx1.relay.example; spf=pass",
        b"",
        b" ;",
    ],
)
def test_our_name_among_the_results_is_no_claim(value):
    assert not claims(value, OURS)


@pytest.mark.parametrize(
    "value",
    [
        b" mx1.relay.example",
        b" mx1.relay.example.; none",
        b" mx1.relay.example spf=pass",
        b" mx1.relay.example/1; none",
        b" mx1.relay.example 1 2; none",
        b" mx1.(c)relay.example; none",
        b" mx1(c).relay.example 1; none",
        b" mx1.\r\n relay.example; none",
        b" x mx1.relay.example; none",
        b" <mx1.relay.example>; none",
        b" user@mx1.relay.example; none",
        b' "x;y" mx1.relay.example; none',
        b' "mx1".relay.example; none',
        b" (a (b) mx1.relay.example; spf=pass)",  # a comment that is over for who knows no nesting
        b" (a \\) mx1.relay.example; spf=pass x=y)",  # one that is over for who knows no escapes
        b' (")") mx1.relay.example; x="',
        b" (never closed mx1.relay.example; none",
        b" ) mx1.relay.example; none",
        b' "mx1.relay.example; none',
        b" mx1.relay.example\\; none",
        b" \xef\xbd\x8d\xef\xbd\x9801.relay.example; none",
        b" mx1\xe3\x80\x82relay.example; none",
        b" mx1.relay.example\x00; none",
        b" mx1.relay\xc2\xad.example; none",
    ],
)
def test_whatever_a_lenient_reader_could_take_for_ours_is_found(value):
    assert claims(value, OURS)


@given(
    st.lists(st.sampled_from([b"(", b")", b'"', b"\\", b";", b"=", b" ", b"\r\n ", b"x", OURS.encode()]), max_size=12)
)
def test_garbage_hides_nothing_from_a_naive_reader(tokens):
    """One that takes the first word for the identifier, however it treats comments."""
    value = b"".join(tokens)
    readings = [value, re.sub(rb"\([^)]*\)", b" ", value), re.sub(rb"\([^)]*\)", b"", value)]
    firsts = [re.match(rb'[\s"]*([^\s;="()\\]+)', reading) for reading in readings]
    if any(first and first[1] == OURS.encode() for first in firsts):
        assert claims(value, OURS)


def test_where_they_lie():
    ours = b"authentication-results\t: MX1.relay.example;\r\n\tspf=pass\r\n"
    other = b"Authentication-Results: other.example; spf=pass\r\n"
    message = other + ours + b"From: x\r\n" + ours + b"\r\n" + ours
    spans = claiming(Fields.parse(message), OURS)
    assert [message[start:end] for start, end in spans] == [ours, ours]
    many = b"From: x\r\n" + other * 31 + b"\r\n"
    assert b"".join(many[start:end] for start, end in claiming(Fields.parse(many), OURS)) == other * 31
    assert claiming(Fields.parse(b"From: x\r\n" + other * 30 + b"\r\n"), OURS) == []


@pytest.mark.parametrize("value", [b"x" * 501, b"()" * 500_000, b'""' * 500_000, b"(" + b"x" * 1_000_000 + b") x;"])
def test_what_is_too_long_to_be_honest_goes(value):
    assert claims(value, OURS)


def found(spf=("none", "", "mfrom"), dkim=(), dmarc=("none", ""), arc="none"):
    return SimpleNamespace(
        spf=SimpleNamespace(result=spf[0], domain=spf[1], scope=spf[2]),
        dkim=tuple(SimpleNamespace(result=result, domain=domain, selector=key) for result, domain, key in dkim),
        dmarc=SimpleNamespace(result=dmarc[0], domain=dmarc[1]),
        arc=SimpleNamespace(result=arc),
    )


def test_what_was_found_is_told():
    signatures = [("pass", "sender.example", "s1"), ("fail", "list.example", "s2")]
    all_of_it = found(("pass", "sender.example", "mfrom"), signatures, ("pass", "sender.example"), "pass")
    assert field(payload(OURS, all_of_it)) == (
        b"Authentication-Results: mx1.relay.example;\r\n"
        b"\tspf=pass smtp.mailfrom=sender.example;\r\n"
        b"\tdkim=pass header.d=sender.example header.s=s1;\r\n"
        b"\tdkim=fail header.d=list.example header.s=s2;\r\n"
        b"\tdmarc=pass header.from=sender.example;\r\n"
        b"\tarc=pass\r\n"
    )
    assert payload(OURS, found()) == "mx1.relay.example;\r\n\tspf=none;\r\n\tdkim=none;\r\n\tdmarc=none;\r\n\tarc=none"
    assert "\tspf=softfail smtp.helo=mail.sender.example;" in payload(
        OURS, found(("softfail", "mail.sender.example", "helo"))
    )


@given(st.text(max_size=300), st.text(max_size=300))
@example("a.example; dkim=pass header.d=bank.example", "x\r\nSubject: y")
@example("a.example", "s")
def test_no_outsider_says_anything_there(domain, selector):
    told = field(payload(OURS, found(("fail", domain, "mfrom"), [("fail", domain, selector)] * 20, ("fail", domain))))
    assert len(re.findall(rb"[\t ](spf|dkim|dmarc|arc)=", told)) == told.count(b";") == 8
    assert len(re.findall(rb"=fail(?=[; ])", told)) >= 7
    assert max(map(len, told.split(b"\r\n"))) < 998
    (only,) = Fields.parse(told + b"\r\n")
    assert only.name == b"Authentication-Results"

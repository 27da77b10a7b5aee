"""Arguments of commands: tables, and a property that nothing else than Refused comes of garbage."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.errors import Refused
from relay.intake.addresses import MAX_ADDRESS, read_address
from relay.intake.commands import read_bdat, read_greeting, read_mail, read_rcpt


@pytest.mark.parametrize(
    ("argument", "sender"),
    [
        ("FROM:<>", ""),
        ("from:<a@b>", "a@b"),
        ("FROM: <a@b.example>", "a@b.example"),
        ("FROM:  <a@b.example>  ", "a@b.example"),
        ("FROM:<a.b+c=d@b.example>", "a.b+c=d@b.example"),
        ('FROM:<"a b>"@b.example>', '"a b>"@b.example'),
        (r'FROM:<"a\"\\ b"@b.example>', r'"a\"\\ b"@b.example'),
        ("FROM:<@x.example,@y.example:a@b.example>", "a@b.example"),
        ("FROM:<a@[192.0.2.1]>", "a@[192.0.2.1]"),
        ("FROM:<a@[IPv6:2001:db8::1]>", "a@[IPv6:2001:db8::1]"),
        ("FROM:<a..b.@docomo.example>", "a..b.@docomo.example"),
        ("FROM:<" + "a" * 200 + "@b.example>", "a" * 200 + "@b.example"),
        ("FROM:<\u00e4@b\u00fc.example> SMTPUTF8", "\u00e4@b\u00fc.example"),
        ("FROM:<a_b@under_score.example>", "a_b@under_score.example"),
    ],
)
def test_senders(argument, sender):
    assert read_mail(argument).sender == sender


@pytest.mark.parametrize(
    ("argument", "code"),
    [
        ("", 501),
        ("TO:<a@b>", 501),
        ("FROM", 501),
        ("FROM:", 501),
        ("FROM:<a@b", 501),
        ("FROM:a@b>", 501),
        ("FROM:<a@b>x", 501),
        ("FROM:<a@b>SIZE=1", 501),
        ('FROM:<"a@b>', 501),
        ("FROM:<a>", 553),
        ("FROM:<postmaster>", 553),
        ("FROM:<@b>", 553),
        ("FROM:<a@>", 553),
        ("FROM:<a b@c>", 553),
        ("FROM:<a@b c>", 553),
        ("FROM:<a@-b>", 553),
        ("FROM:<a@b..c>", 553),
        ("FROM:<a\x01@b>", 553),
        ("FROM:<a\t@b>", 553),
        ("FROM:<a\x7f@b>", 553),
        ('FROM:<"a\x01"@b>', 553),
        ("FROM:<<a@b>>", 501),
        ("FROM:<a<b@c>", 553),
        ("FROM:<" + "a" * MAX_ADDRESS + "@b>", 553),
        ("FROM:<a@" + ("b" * 60 + ".") * 5 + "b>", 553),
        ("FROM:<\u00e4@b>", 553),
        ("FROM:<a@b> SIZE", 501),
        ("FROM:<a@b> SIZE=", 501),
        ("FROM:<a@b> SIZE=-1", 501),
        ("FROM:<a@b> SIZE=1 SIZE=2", 501),
        ("FROM:<a@b> SIZE=" + "9" * 21, 501),
        ("FROM:<a@b> SIZE=\u0661", 501),
        ("FROM:<a@b> BODY=9BIT", 501),
        ("FROM:<a@b> BODY=BINARYMIME", 555),
        ("FROM:<a@b> SMTPUTF8=1", 501),
        ("FROM:<a@b> RET=SOME", 501),
        ("FROM:<a@b> ENVID=" + "x" * 101, 501),
        ("FROM:<a@b> ENVID=a+b", 501),
        ("FROM:<a@b> ENVID=", 501),
        ("FROM:<a@b> AUTH", 501),
        ("FROM:<a@b> NOTIFY=NEVER", 555),
        ("FROM:<a@b> XOORG=x", 555),
        ("FROM:<a@b> =1", 501),
    ],
)
def test_bad_mail(argument, code):
    with pytest.raises(Refused) as caught:
        read_mail(argument)
    assert caught.value.reply.code == code
    assert caught.value.reason == "syntax"


def test_parameters_of_mail():
    envelope = read_mail("FROM:<a@b.example> size=12 body=8bitmime SMTPUTF8 ret=full ENVID=QQ+3D314 AUTH=<>")
    assert (envelope.size, envelope.body, envelope.smtputf8, envelope.ret, envelope.envid) == (
        12, "8BITMIME", True, "FULL", "QQ+3D314",
    )  # fmt: skip


@pytest.mark.parametrize("notify", ["NEVER", "never", "SUCCESS", "SUCCESS,FAILURE,DELAY", "delay,Success"])
def test_notify(notify):
    assert read_rcpt(f"TO:<a@b> NOTIFY={notify}", smtputf8=False).notify == notify


@pytest.mark.parametrize(
    ("argument", "code"),
    [
        ("TO:<>", 553),
        ("TO:<a>", 553),
        ("FROM:<a@b>", 501),
        ("TO:<a@b> NOTIFY=", 501),
        ("TO:<a@b> NOTIFY=NEVER,SUCCESS", 501),
        ("TO:<a@b> NOTIFY=SUCCESS,SUCCESS", 501),
        ("TO:<a@b> NOTIFY=OFTEN", 501),
        ("TO:<a@b> ORCPT=a@b", 501),
        ("TO:<a@b> ORCPT=rfc822;" + "x" * 500, 501),
        ("TO:<a@b> SIZE=1", 555),
        ("TO:<\u00e4@b>", 553),
    ],
)
def test_bad_rcpt(argument, code):
    with pytest.raises(Refused) as caught:
        read_rcpt(argument, smtputf8=False)
    assert caught.value.reply.code == code


def test_rcpt():
    recipient = read_rcpt("TO:<a@b> ORCPT=rfc822;a+2Bb@c NOTIFY=DELAY", smtputf8=False)
    assert (recipient.address, recipient.orcpt, recipient.notify) == ("a@b", "rfc822;a+2Bb@c", "DELAY")
    assert read_rcpt("TO:<PostMaster>", smtputf8=False).address == "PostMaster"
    assert read_rcpt("TO:<\u00e4@b> ORCPT=utf-8;\u00e4@b", smtputf8=True).address == "\u00e4@b"


@pytest.mark.parametrize(
    ("argument", "result"), [("0", (0, False)), ("12 LAST", (12, True)), ("12  last ", (12, True))]
)
def test_bdat(argument, result):
    assert read_bdat(argument) == result


@pytest.mark.parametrize("argument", ["", "x", "-1", "1 FIRST", "LAST", "1LAST", "9" * 21, "0x10"])
def test_bad_bdat(argument):
    with pytest.raises(Refused):
        read_bdat(argument)


@pytest.mark.parametrize("name", ["", "a b", "a\x01", "\u00e4", "x" * 256])
def test_bad_greetings(name):
    with pytest.raises(Refused):
        read_greeting(name)
    assert read_greeting("[IPv6:::1]") == "[IPv6:::1]"


@given(st.text(max_size=200), st.booleans())
def test_garbage_is_refused_and_nothing_worse(text, smtputf8):
    for read in (read_mail, lambda t: read_rcpt(t, smtputf8=smtputf8), read_bdat, read_greeting):
        for prefix in ("", "FROM:<", "TO:<", "FROM:<a@b> "):
            with contextlib.suppress(Refused):
                read(prefix + text)


@given(st.text(alphabet='ab@.,:"\\<> \t\r\n\x00\u00e4[]-', max_size=30))
def test_no_address_carries_controls_or_brackets_outside_quotes(text):
    address = read_address(text)
    if address is not None:
        assert not set(address) & set("\r\n\0\t")
        assert '"' in address or not set(address) & set("<> ")


def test_hostile_paths_are_read_in_linear_time():
    for text in ('"' * 8000, '<"' + "\\" * 8000, "<" + "@a," * 2600, "<" + "a." * 4000, "<a@" + "a-" * 4000):
        with pytest.raises(Refused):
            read_mail("FROM:" + text)
        with pytest.raises(Refused):
            read_mail("FROM:" + text + ">")

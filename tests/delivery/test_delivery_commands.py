import pytest

from relay.delivery.commands import check_needs, mail_command, rcpt_command
from relay.errors import Refused
from verdicts.mail import Envelope, Recipient

ALL = {"size": "1000", "8bitmime": "", "smtputf8": "", "dsn": "", "pipelining": ""}


@pytest.mark.parametrize(
    ("envelope", "features", "line"),
    [
        (Envelope(), {}, b"MAIL FROM:<>"),
        (Envelope("a@b.example"), ALL, b"MAIL FROM:<a@b.example>"),
        (Envelope("a@b.example", size=10), ALL | {"size": ""}, b"MAIL FROM:<a@b.example> SIZE=8202"),
        (Envelope("a@b.example", size=995_000), {"size": "1000000"}, b"MAIL FROM:<a@b.example> SIZE=1000000"),
        (Envelope("a@b.example", size=1_000_001), {"size": "1000000"}, b"MAIL FROM:<a@b.example> SIZE=1008193"),
        (Envelope("a@b.example", size=10), {"size": "9" * 5_000}, b"MAIL FROM:<a@b.example> SIZE=8202"),
        (Envelope("a@b.example", size=10), {"size": "0"}, b"MAIL FROM:<a@b.example> SIZE=8202"),
        (Envelope("a@b.example", size=10), {}, b"MAIL FROM:<a@b.example>"),
        (Envelope("a@b.example", body="8BITMIME"), ALL, b"MAIL FROM:<a@b.example> BODY=8BITMIME"),
        (Envelope("a@b.example", body="7BIT"), {}, b"MAIL FROM:<a@b.example>"),
        (Envelope("ä@b.example", smtputf8=True), ALL, "MAIL FROM:<ä@b.example> SMTPUTF8".encode()),
        (Envelope("a@b.example", ret="HDRS", envid="x+2Dy"), ALL, b"MAIL FROM:<a@b.example> RET=HDRS ENVID=x+2Dy"),
        (Envelope("a@b.example", ret="HDRS", envid="x"), {}, b"MAIL FROM:<a@b.example>"),
        (Envelope('"a b>"@c.example'), {}, b'MAIL FROM:<"a b>"@c.example>'),
    ],
)
def test_mail(envelope, features, line):
    assert mail_command(envelope, features) == line + b"\r\n"


@pytest.mark.parametrize(
    ("recipient", "features", "line"),
    [
        (Recipient("a@b.example"), ALL, b"RCPT TO:<a@b.example>"),
        (
            Recipient("a@b.example", "SUCCESS,DELAY", "rfc822;x@y"),
            ALL,
            b"RCPT TO:<a@b.example> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;x@y",
        ),
        (Recipient("a@b.example", "NEVER", "rfc822;x@y"), {}, b"RCPT TO:<a@b.example>"),
    ],
)
def test_rcpt(recipient, features, line):
    assert rcpt_command(recipient, Envelope(), features) == line + b"\r\n"


@pytest.mark.parametrize("bad", ["\r", "\n", "\r\nDATA\r\n", "\0", "\x1b", "\x7f", "\t", "ä\n"])
def test_control_characters_never_become_commands(bad):
    with pytest.raises(ValueError, match="control"):
        mail_command(Envelope(f"a{bad}@b"), ALL)
    with pytest.raises(ValueError, match="control"):
        mail_command(Envelope("a@b", envid=bad), ALL)
    with pytest.raises(ValueError, match="control"):
        rcpt_command(Recipient("a@b", notify=f"x{bad}"), Envelope(), ALL)


def test_an_address_that_is_not_ascii_needs_smtputf8():
    with pytest.raises(Refused) as refused:
        rcpt_command(Recipient("ä@b.example"), Envelope(), ALL)
    assert (refused.value.reason, refused.value.reply.enhanced) == ("smtputf8", "5.6.7")


@pytest.mark.parametrize(
    ("envelope", "reason", "code", "enhanced"),
    [(Envelope(smtputf8=True), "smtputf8", 550, "5.6.7"), (Envelope(body="8BITMIME"), "eightbit", 554, "5.6.3")],
)
def test_what_the_next_hop_lacks_is_refused(envelope, reason, code, enhanced):
    check_needs(envelope, ALL)
    with pytest.raises(Refused) as refused:
        check_needs(envelope, {})
    assert (refused.value.reason, refused.value.reply.code, refused.value.reply.enhanced) == (reason, code, enhanced)

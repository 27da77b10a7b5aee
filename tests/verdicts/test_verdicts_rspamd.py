import json

import pytest
from doubles.processes import frozen

from relay.tools import Toolbox
from verdicts.contract import Finding, HttpReply, Outcome, Severity, Unscanned
from verdicts.engines.rspamd import Rspamd
from verdicts.engines.testpatterns import GTUBE
from verdicts.kit import PretendDns, PretendHttp, assert_contract, letter, mail_of, pretend_tools
from verdicts.panel import Panel, Seat

REPORT = ("X-Forefront-Antispam-Report", "CIP:192.0.2.7;H:mail.s.example;PTR:ptr.s.example;SCL:1;")


def engine(http, **options):
    return Rspamd(Rspamd.Options(**options), pretend_tools(http))


def reply(status=200, **answer):
    return HttpReply(status, json.dumps({"is_skipped": False, "score": 1.5, "symbols": {}} | answer).encode())


async def judge(answer, **options):
    return list(await engine(PretendHttp(answer), **options).judge(mail_of(letter())))


@pytest.mark.parametrize(
    ("action", "options", "expected"),
    [
        ("no action", {}, []),
        ("greylist", {}, [("RSPAMD_GREYLIST", Severity.NOTE)]),
        ("soft reject", {}, [("RSPAMD_SOFT_REJECT", Severity.NOTE)]),
        ("add header", {}, [("RSPAMD_ADD_HEADER", Severity.SPAM)]),
        ("rewrite subject", {}, [("RSPAMD_REWRITE_SUBJECT", Severity.SPAM)]),
        ("reject", {}, [("RSPAMD_REJECT", Severity.SPAM)]),
        ("reject", {"reject": "malicious"}, [("RSPAMD_REJECT", Severity.MALICIOUS)]),
        ("quarantine", {"reject": "malicious"}, [("RSPAMD_QUARANTINE", Severity.MALICIOUS)]),
        ("discard", {}, [("RSPAMD_DISCARD", Severity.SPAM)]),
    ],
)
async def test_actions(action, options, expected):
    found = await judge(reply(action=action), **options)
    assert [(finding.name, finding.severity) for finding in found] == expected
    assert all(finding.weight == 0 and "1.5" in finding.detail for finding in found)


async def test_symbols_are_notes_with_their_score_as_weight():
    symbols = {"A": {"name": "A", "score": -1.5, "options": ["x", 3]}, "B": {"score": 2}}
    assert await judge(reply(action="no action", symbols=symbols)) == [
        Finding("A", weight=-1.5, detail="x, 3"), Finding("B", weight=2.0),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (OSError("refused"), "refused"),
        (HttpReply(503, b"busy"), "HTTP status 503"),
        (HttpReply(200, b"<html>"), "not JSON"),
        (HttpReply(200, b"\xff\xfe\xff"), "not JSON"),
        (HttpReply(200, b"[" * 100_000), "not JSON"),
        (HttpReply(200, b"[]"), "not a JSON object"),
        (HttpReply(200, b"{}"), "unknown action None"),
        (reply(action="dance"), "unknown action 'dance'"),
        (reply(action=["reject"]), "unhashable"),
        (reply(action="reject", score="high"), "score is not a number"),
        (reply(action="no action", symbols=[]), "symbols are not"),
        (reply(action="no action", symbols={"A": 1}), "symbol A is not"),
        (reply(action="no action", symbols={"A": {}}), "score is not a number"),
    ],
)
async def test_nonsense_is_a_failure_with_a_clear_reason(answer, error):
    with pytest.raises((OSError, ValueError, TypeError), match=error):
        await judge(answer)


@pytest.mark.parametrize("answer", [HttpReply(413, b""), reply(action="no action", is_skipped=True)])
async def test_what_rspamd_did_not_look_at_is_unscanned(answer):
    with pytest.raises(Unscanned):
        await judge(answer)


async def test_what_is_asked():
    http = PretendHttp(reply(action="no action"))
    message = letter(headers=[REPORT])
    await engine(http, url="http://h:1/", password="s3cret").judge(
        mail_of(message, sender="", recipients=["a@x.example", "b\r\n@x.example"])
    )
    (request,) = http.requests
    assert (request.url, request.body) == ("http://h:1/checkv2", message)
    assert list(request.headers) == [
        ("Content-Length", str(len(message))), ("Queue-Id", "1"), ("From", "<>"),
        ("Rcpt", "a@x.example"), ("Rcpt", "b@x.example"),
        ("IP", "192.0.2.7"), ("Helo", "mail.s.example"), ("Hostname", "ptr.s.example"), ("Password", "s3cret"),
    ]  # fmt: skip


async def test_microsofts_address_is_never_told():
    http = PretendHttp(reply(action="no action"))
    await engine(http).judge(mail_of(letter()))
    assert {name for name, _ in http.requests[0].headers} == {"Content-Length", "Queue-Id", "From", "Rcpt"}


async def test_the_secret_is_not_shown():
    assert "s3cret" not in repr(Rspamd.Options(password="s3cret"))


async def test_it_keeps_the_contract():
    await assert_contract(lambda: engine(PretendHttp(reply(action="no action"))))


@pytest.fixture
async def real(rspamd):
    toolbox = Toolbox(PretendDns())
    yield Rspamd(Rspamd.Options(url=rspamd.url), toolbox.tools)
    await toolbox.close()


@pytest.mark.parametrize(
    ("subject", "text", "expected"),
    [
        ("hello", "x", []),
        ("cheap pills", "x", ["RSPAMD_ADD_HEADER", "PILLS"]),
        ("cheap pills maybe", "x", ["RSPAMD_REWRITE_SUBJECT", "MAYBE", "PILLS"]),
        ("maybe", "x", ["RSPAMD_GREYLIST", "MAYBE"]),
        ("later", "x", ["RSPAMD_SOFT_REJECT"]),
        ("hello", GTUBE.decode(), ["RSPAMD_REJECT", "GTUBE"]),
    ],
)
async def test_a_real_rspamd(real, subject, text, expected):
    found = await real.judge(mail_of(letter(text + "\r\n", subject=subject)))
    assert sorted({finding.name for finding in found} - {"SLUICE_FACTS"}) == sorted(expected)


async def test_a_real_rspamd_hears_of_the_original_sender(real):
    found = await real.judge(mail_of(letter(headers=[REPORT]), recipients=["a@x.example", "b@x.example"]))
    (facts,) = [finding for finding in found if finding.name == "SLUICE_FACTS"]
    assert facts == Finding(
        "SLUICE_FACTS", weight=0.5,
        detail="ip=192.0.2.7, helo=mail.s.example, from=ann@sender.example, rcpts=2, host=ptr.s.example",
    )  # fmt: skip


async def test_a_real_rspamd_takes_a_message_in_many_pieces(real):
    found = await real.judge(mail_of(letter(attachments=[("a", bytes(1_000_000))])))
    assert [finding.name for finding in found] == ["SLUICE_FACTS"]


async def test_a_real_rspamd_and_what_is_larger_than_it_takes(real):
    with pytest.raises((OSError, Unscanned)):
        await real.judge(mail_of(letter(attachments=[("a", bytes(3_000_000))])))


async def test_a_real_rspamd_that_hangs_is_late(rspamd, real):
    panel = Panel([Seat("rspamd", real, 0.2)], 5, real.tools.clock)
    with frozen(rspamd.process):
        (verdict,) = (await panel.judge(mail_of(letter()))).verdicts
    assert verdict.outcome is Outcome.LATE
    assert (await panel.judge(mail_of(letter()))).verdicts[0].outcome is Outcome.ANSWERED

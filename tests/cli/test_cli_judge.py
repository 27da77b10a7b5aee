"""sluice judge: a file before the engines, without SMTP; and the table that tells why."""

import asyncio
import io
import json
import sys
from types import SimpleNamespace

import pytest

from relay.records.model import Record, to_values
from relay.records.schema import scans
from relay.records.store import Store
from verdicts.contract import Outcome, Severity
from verdicts.engines.command import Command
from verdicts.kit import PretendClock, letter, mail_of, pretend_tools
from verdicts.panel import Panel, Seat

GTUBE = "XJS*C4JDBQADN1.NSBN3*2IDNEN*" + "GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X\r\n"
EICAR = "X5O!P%@AP[4\\PZX54(P^)7CC)7}$" + "EICAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*\r\n"
TWO_TYPES = b"Content-Type: text/html\r\n" + letter()
TENANTS = """
[[tenant]]
name = "acme"
loop_values = ["k7Jq2mV9xT4bR8nL5wZ3cY6h"]
[tenant.policy]
spam = "quarantine"
observe = true
[[tenant.domain]]
name = "acme.example"
next_hop = "127.0.0.1:25"
verified = true
"""


@pytest.fixture
def judged(sluice, tmp_path):
    """Judge these bytes: the status, and what was told as JSON."""

    def judged(content, *words):
        file = tmp_path / "letter.eml"
        file.write_bytes(content)
        ran = sluice("judge", file, "--json", *words)
        assert ran.err == ""
        return ran.status, json.loads(ran.out)

    return judged


@pytest.mark.parametrize(
    ("content", "category", "status"),
    [
        (letter(), "clean", 0),
        (letter(GTUBE), "spam", 12),
        (letter(EICAR), "malicious", 13),
        (letter(attachments=[("a.com", EICAR.encode())]), "malicious", 13),
        (TWO_TYPES, "unscanned", 20),
        (b"", "clean", 0),
    ],
)
def test_the_status_is_the_category(judged, content, category, status):
    left, told = judged(content)
    assert (left, told["category"]) == (status, category)


async def test_the_command_engine_understands_the_status():
    """So that another Sluice can be asked, which has its own engines and policy."""
    options = Command.Options(command=[sys.executable, "-m", "relay.cli", "judge", "-"], answer="exit")
    panel = Panel([Seat("other", Command(options, pretend_tools()), 60)], 60, PretendClock())
    mails = [letter(), letter(GTUBE), letter(EICAR), TWO_TYPES]
    clean, spam, malicious, unscanned = await asyncio.gather(*(panel.judge(mail_of(mail)) for mail in mails))
    assert clean.verdicts[0][:3] == ("other", Outcome.ANSWERED, ())
    ((name, severity, _, detail, _),) = spam.verdicts[0].findings
    assert (name, severity) == ("COMMAND_SPAM", Severity.SPAM)
    assert " ".join(detail.split()) == "rule spam: severity of testpatterns/GTUBE"
    assert [finding.severity for finding in malicious.verdicts[0].findings] == [Severity.MALICIOUS]
    assert (unscanned.verdicts[0].outcome, unscanned.verdicts[0].findings) == (Outcome.UNSCANNED, ())


def test_without_anything_else_the_default_engines_and_policy_judge(judged):
    _, told = judged(letter(GTUBE))
    assert told.items() >= {
        "tenant": "", "action": "mark", "would": None, "rule": "spam: severity of testpatterns/GTUBE",
        "sender": "ann@sender.example", "recipients": ["bob@acme.example"],
    }.items()  # fmt: skip
    assert told["explanation"]["settings"] == ["policy.spam"]
    assert told["explanation"]["because"][0]["finding"] == "GTUBE"


def test_the_configurations_engines_and_rules_judge(judged, config):
    config.write_text(config.read_text() + '[judging]\nambiguous = "suspicious"\n')
    assert judged(TWO_TYPES, "--config", config)[0] == 11
    config.write_text(config.read_text() + '[engines.clamav]\naddress = "127.0.0.1:9"\n')
    status, told = judged(letter(EICAR), "--config", config)
    assert (status, told["rule"]) == (20, "unscanned: clamav failed")
    config.write_text(config.read_text() + 'on_failure = "ignore"\n')
    assert judged(letter(EICAR), "--config", config)[0] == 0


def test_the_tenants_policy_decides(judged, sluice, config, tmp_path):
    (tmp_path / "tenants.toml").write_text(TENANTS)
    sluice("tenant", "apply", tmp_path / "tenants.toml", "--config", config)
    status, told = judged(letter(GTUBE), "--config", config, "--tenant", "acme")
    assert (status, told["tenant"], told["action"], told["would"]) == (12, "acme", "deliver", "quarantine")
    assert told["explanation"]["settings"] == ["policy.spam", "policy.observe"]
    assert judged(letter(GTUBE), "--config", config)[1]["action"] == "mark"
    ran = sluice("judge", tmp_path / "letter.eml", "--config", config, "--tenant", "nobody")
    assert (ran.status, ran.out, ran.err) == (1, "", "sluice: no such tenant: 'nobody'\n")


def test_earlier_mail_is_known_from_the_records(judged, sluice, config, tmp_path):
    config.write_text(config.read_text() + '[dns]\nservers = ["127.0.0.1:9"]\n[engines.impersonation]\n')
    (tmp_path / "tenants.toml").write_text(TENANTS)
    sluice("tenant", "apply", tmp_path / "tenants.toml", "--config", config)
    asked = (letter(), "--config", config, "--tenant", "acme")
    assert "FIRST_CONTACT" in str(judged(*asked)[1]["verdicts"])
    store = Store(f"sqlite:///{tmp_path / 'state/sluice.db'}")
    known = Record(id="1", at=1.0, node="n", outcome="delivered", tenant="acme", sender="ann@sender.example")
    with store.writing() as connection:
        store.insert_once(connection, scans, [to_values(known)])
    store.close()
    assert "FIRST_CONTACT" not in str(judged(*asked)[1]["verdicts"])


def test_nothing_is_made(judged, config, tmp_path):
    before = sorted(tmp_path.rglob("*"))
    _, told = judged(letter(), "--config", config, "--tenant", "acme")
    assert told["notes"][-1] == "no tenants are stored: the default policy decided"
    assert sorted(tmp_path.rglob("*")) == sorted([*before, tmp_path / "letter.eml"])


def test_the_envelope_that_is_given(judged):
    words = ("--sender", "", "--recipient", "x@a.example", "--recipient", "y@a.example", "--peer", "192.0.2.7")
    _, told = judged(letter(), *words)
    assert (told["sender"], told["recipients"], told["peer"]) == ("", ["x@a.example", "y@a.example"], "192.0.2.7")
    assert told["notes"] == []


@pytest.mark.parametrize(
    ("fields", "sender", "recipients"),
    [
        (b"Return-Path: <r@b.example>\r\nDelivered-To: d@acme.example\r\n", "r@b.example", ["d@acme.example"]),
        (b"Return-Path: <>\r\n", "", ["bob@acme.example"]),
        (b"Cc: <c@acme.example>, nobody, D <d@acme.example>\r\n", "ann@sender.example",
         ["bob@acme.example", "c@acme.example", "d@acme.example"]),
    ],
)  # fmt: skip
def test_the_envelope_that_is_guessed(judged, fields, sender, recipients):
    _, told = judged(fields + letter())
    assert (told["sender"], told["recipients"]) == (sender, recipients)
    assert len([note for note in told["notes"] if "envelope" in note]) == 2


def test_a_file_with_lf_is_judged_as_smtp_would_bring_it(judged):
    content = letter(GTUBE)
    status, told = judged(content.replace(b"\r\n", b"\n"))
    assert (status, told["size"]) == (12, len(content))
    assert "CRLF" in told["notes"][0]


def test_a_file_with_some_lf_is_judged_as_it_is(judged):
    content = letter() + b"one\nmore\r\n"
    _, told = judged(content)
    assert told["size"] == len(content)
    assert "BDAT" in told["notes"][0]


def test_standard_input(sluice, monkeypatch):
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(letter(EICAR))))
    assert sluice("judge", "-").status == 13


@pytest.mark.parametrize(
    ("limit", "content", "reason"),
    [
        ("max_header_bytes = 4096", b"A: " + b"x" * 5_000 + b"\r\n\r\n", "header_too_big"),
        ("max_header_bytes = 1_000_000", b"a:\r\n" * 25_000 + b"\r\n", "header_too_big"),
        ("max_message_bytes = 65_536", letter("x" * 70_000), "too_big"),
        ("max_errors = 10", b"Subject: a\rb\r\n\r\nx", "malformed"),
    ],
)
def test_what_the_relay_would_refuse_is_no_verdict(sluice, config, tmp_path, limit, content, reason):
    config.write_text(f"{config.read_text()}{limit}\n")
    (tmp_path / "letter.eml").write_bytes(content)
    ran = sluice("judge", tmp_path / "letter.eml", "--config", config)
    assert (ran.status, ran.out) == (1, "")
    assert ran.err.startswith(f"sluice: {reason}: the relay refuses")


@pytest.mark.parametrize("words", [["--peer", "x", "f"], [], ["--tenant", "f"]])
def test_called_wrongly(sluice, words):
    assert sluice("judge", *words).status == 2


def test_a_file_that_is_not_there(sluice, tmp_path):
    ran = sluice("judge", tmp_path / "none.eml")
    assert (ran.status, ran.out, len(ran.err.splitlines())) == (1, "", 1)


def test_a_mistake_in_the_configuration(sluice, config, tmp_path):
    config.write_text(config.read_text() + "[engines.nobody]\n")
    (tmp_path / "letter.eml").write_bytes(letter())
    ran = sluice("judge", tmp_path / "letter.eml", "--config", config)
    assert (ran.status, ran.out) == (1, "")
    assert "engines.nobody: unknown engine" in ran.err


def test_the_table_tells_what_led_to_it(sluice, tmp_path):
    subject = "\x1b]0;owned\x07[red]x"
    (tmp_path / "letter.eml").write_bytes(letter(GTUBE).replace(b"A letter", subject.encode()))
    ran = sluice("judge", tmp_path / "letter.eml")
    lines = ran.out.splitlines()
    assert all(line.isprintable() for line in lines)
    assert "decision: mark, because spam: severity of testpatterns/GTUBE" in lines
    assert "settings: policy.spam of the default policy" in lines
    (row,) = (line.split() for line in lines if line.startswith("testpatterns "))
    assert row[:2] + row[3:8] == ["testpatterns", "answered", "GTUBE", "spam", "0", "led", "to"]
    assert any(line.startswith("judge ") for line in lines)


def test_each_finding_has_a_row_and_silence_its_reason(sluice, tmp_path, config):
    config.write_text(config.read_text() + '[engines.testpatterns]\n[engines.clamav]\naddress = "127.0.0.1:9"\n')
    (tmp_path / "letter.eml").write_bytes(letter(GTUBE + EICAR))
    lines = sluice("judge", tmp_path / "letter.eml", "--config", config).out.splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith("engine "))
    first, second, third = (line.split() for line in lines[start + 1 : start + 4])
    assert (first[0], first[3:5], first[6:9]) == ("testpatterns", ["EICAR", "malicious"], ["led", "to", "it"])
    assert (second[:2], second[3]) == (["GTUBE", "spam"], "yes")
    assert (third[:2], third[3]) == (["clamav", "failed"], "yes")
    assert "ConnectionRefusedError:" in third

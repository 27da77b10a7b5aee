import pytest

from verdicts.contract import EngineOptions, Outcome
from verdicts.kit import letter, mail_of
from verdicts.mail import Profile
from verdicts.scope import Scope, direction, is_limited

ACME = Profile(domains=("acme.example", "xn--acm-dma.example"))


def mail(sender="ann@acme.example", said="Ann <ann@acme.example>", to=("bob@acme.example",), more=(), profile=ACME):
    content = letter().replace(b"From: Ann <ann@sender.example>", f"From: {said}".encode())
    fields = "".join(f"{name}: {value}\r\n" for name, value in more).encode()
    return mail_of(fields + content, sender=sender, recipients=to, profile=profile)


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({}, "internal"),
        ({"sender": "Ann@ACME.example"}, "internal"),
        ({"to": ["x@other.example"]}, "outgoing"),
        ({"to": ["bob@acme.example", "x@other.example"]}, "outgoing"),
        ({"sender": "eve@evil.example"}, "incoming"),
        ({"sender": ""}, "incoming"),
        ({"said": "Ann <ann@evil.example>"}, "incoming"),
        ({"said": "ann@acme.example, eve@evil.example"}, "incoming"),
        ({"said": '"eve@evil.example" <ann@acme.example>'}, "incoming"),
        ({"said": "nobody"}, "incoming"),
        ({"said": "x" * 2_000 + "@acme.example"}, "incoming"),
        ({"more": [("From", "ann@acme.example")]}, "incoming"),
        ({"sender": "ann@sub.acme.example"}, "incoming"),
        ({"more": [("X-Forefront-Antispam-Report", "CIP:192.0.2.7;DIR:INB;")]}, "incoming"),
        ({"more": [("X-Forefront-Antispam-Report", "CIP:255.255.255.255;DIR:INT;")]}, "internal"),
        ({"more": [("X-Forefront-Antispam-Report", "CIP:192.0.2.7;H:x;DIR:INT;PTR:;DIR:INB;")]}, "incoming"),
        ({"profile": Profile()}, "incoming"),
    ],
)
def test_what_is_not_surely_the_tenants_own_is_incoming(facts, expected):
    assert direction(mail(**facts)) == expected


def test_what_did_not_come_through_the_tenants_rule_is_incoming():
    own = mail(more=[("X-Forefront-Antispam-Report", "CIP:255.255.255.255;DIR:INT;")])
    own.proven = False
    assert direction(own) == "incoming"


@pytest.mark.parametrize(
    ("options", "outcome", "reason"),
    [
        ({}, None, None),
        ({"tenants": ["acme"]}, None, None),
        ({"tenants": ["globex"]}, "skipped", "not for this tenant"),
        ({"min_bytes": 1_000_000}, "skipped", "the message is smaller than 1000000 bytes"),
        ({"min_bytes": 10, "max_bytes": 1_000_000}, None, None),
        ({"max_bytes": 10}, "unscanned", "the message is larger than 10 bytes"),
        ({"max_bytes": 10, "beyond": "skip"}, "skipped", "the message is larger than 10 bytes"),
        ({"directions": ["internal"]}, None, None),
        ({"directions": ["incoming", "outgoing"]}, "skipped", "not for internal mail"),
        ({"tenants": ["globex"], "max_bytes": 10}, "skipped", "not for this tenant"),
    ],
)
def test_what_an_engine_is_asked_about(options, outcome, reason):
    verdict = Scope(EngineOptions(**options)).verdict("x", mail())
    assert (verdict and verdict.outcome, verdict and verdict.reason) == (outcome and Outcome(outcome), reason)
    assert is_limited(EngineOptions(**options)) == bool(options)


def test_a_message_at_the_limit_is_not_beyond_it():
    size = mail().content.size
    assert Scope(EngineOptions(max_bytes=size, min_bytes=size)).verdict("x", mail()) is None

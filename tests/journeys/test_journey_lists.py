"""The relay with what a tenant tells of itself: whom it blocks and allows, and its people; names from a real bind9."""

import base64
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import dkim
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from doubles.background import Background, running
from doubles.client import deliver
from doubles.real_named import real_named, txt
from doubles.relay import TENANTS, Relay, letter, wait_until

from verdicts.engines.testpatterns import GTUBE

SPAM = b"Good morning, here is our newsletter.\r\n" + GTUBE + b"\r\n"
MARK = b"X-PERCEPTION-POINT-SPAM: FAIL"
ENGINES = """
    [engines.testpatterns]
    [engines.lists]
    [engines.impersonation]
"""
TOLD = (
    TENANTS
    + """
[[tenant.person]]
name = "Bob Baker"
[[tenant.list]]
kind = "block"
sender = ".pills.example"
reason = "ticket 1"
[[tenant.list]]
kind = "allow"
sender = "partner.example"
reason = "their newsletter"
[[tenant.list]]
kind = "block"
sender = "old.example"
expires = 2020-01-01
reason = "ticket 2"
"""
)


@dataclass
class House:
    relay: Relay
    hop: Background
    key: rsa.RSAPrivateKey

    def signed(self, message: bytes) -> bytes:
        """As the mail server of partner.example sends it."""
        pem = self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
        )
        return dkim.sign(message, b"s1", b"partner.example", pem, include_headers=[b"from", b"subject"]) + message

    def record(self, message: bytes, subject: str, sender: str) -> dict[str, Any]:
        """What became of a message."""
        self.hop.hop.messages.clear()
        assert deliver(self.relay.smtp_port, message, ["bob@acme.example"], sender=sender).code == 250
        return wait_until(lambda: next((one for one in self.relay.scans(20) if one["subject"] == subject), None))


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    key = rsa.generate_private_key(65_537, 2_048)
    public = key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    zone = txt("s1._domainkey", f"v=DKIM1; k=rsa; p={base64.b64encode(public).decode()}")
    zones = {"partner.example": zone, "sender.example": "", "pills.example": "", "old.example": ""}
    with real_named(tmp_path_factory.mktemp("named"), zones) as server, running() as hop:
        config = f'{ENGINES}\n[dns]\nservers = ["{server}"]\n'
        with Relay(tmp_path_factory.mktemp("relay"), hop=hop.address, config=config, tenants=TOLD) as relay:
            yield House(relay, hop, key)


def of(sender: str, subject: str, body: bytes = SPAM) -> bytes:
    return letter(subject, body).replace(b"From: <ann@sender.example>", f"From: <{sender}>".encode())


def findings(record: dict[str, Any]) -> dict[str, str]:
    return {one["name"]: one["detail"] for verdict in record["verdicts"] for one in verdict["findings"]}


def test_a_blocked_sender_is_quarantined(house: House) -> None:
    record = house.record(of("x@mail.pills.example", "blocked", b"Hello.\r\n"), "blocked", "bounce@sender.example")
    assert (record["outcome"], record["rule"]) == ("quarantined", "malicious: severity of lists/LIST_BLOCK_SENDER")
    assert house.hop.bodies == []


def test_an_entry_that_has_expired_blocks_nobody(house: House) -> None:
    record = house.record(of("x@old.example", "expired", b"Hello.\r\n"), "expired", "x@old.example")
    assert record["outcome"] == "delivered"


def test_an_allowed_and_authentic_sender_passes_although_it_is_spam(house: House) -> None:
    record = house.record(house.signed(of("news@partner.example", "news")), "news", "news@partner.example")
    assert (record["outcome"], record["category"]) == ("delivered", "clean")
    assert record["rule"] == "clean: lists/LIST_ALLOW allows spam, severity of testpatterns/GTUBE"
    [body] = house.hop.bodies
    assert MARK not in body


def test_a_spoofed_allowed_sender_does_not(house: House) -> None:
    record = house.record(of("news@partner.example", "spoofed"), "spoofed", "news@partner.example")
    assert (record["outcome"], record["category"]) == ("marked", "spam")
    assert "not authentic" in findings(record)["LIST_ALLOW_UNUSED"]
    [body] = house.hop.bodies
    assert MARK in body


def test_a_stranger_is_none_any_more_once_mail_was_delivered(house: House) -> None:
    hello, sender = b"Hello.\r\n", "zoe@sender.example"
    assert "FIRST_CONTACT" in findings(house.record(of(sender, "first", hello), "first", sender))
    house.relay.stop()  # what was answered is answered again for a minute, by the same process
    house.relay.start()
    assert "FIRST_CONTACT" not in findings(house.record(of(sender, "second", hello), "second", sender))


def test_who_takes_the_name_of_one_of_the_people_is_found(house: House) -> None:
    message = letter("boss").replace(b"From: <ann@", b'From: "Baker, Bob" <ann@')
    record = house.record(message, "boss", "ann@sender.example")
    assert record["category"] == "suspicious"
    assert "Bob Baker does not write from" in findings(record)["PERSON_IMPERSONATED"]

"""The doctor beside a real relay, with real name servers, next hops and certificates: well, and unwell in each way."""

import contextlib
import datetime as dt
import json
import re
import socket
import ssl
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from doubles.arc_verifiers import key, pem, record
from doubles.background import Background, running
from doubles.certificates import Authority
from doubles.client import deliver
from doubles.nexthop import HANG_UP, NextHop, Stall
from doubles.processes import free_port
from doubles.real_named import real_named, txt
from doubles.relay import LOOP, NODE, Relay, letter, wait_until

HOST = "acme-example.mail.hop.example"
EGRESS = "99.81.216.78"
TENANTS = f"""
[[tenant]]
name = "acme"
environment = "eu"
loop_values = ["{LOOP}", "an-older-loop-value"]
[[tenant.domain]]
name = "acme.example"
next_hop = "{{hop}}"
verified = true
"""
ZONES = {
    "relay.example": f"mx1 IN A {EGRESS}\n" + txt("2026._domainkey", record(key("ours"))),
    "hop.example": "acme-example.mail IN A 127.0.0.1\n",
    "acme.example": f"@ IN MX 10 {HOST}.\n",
    "216.81.99.in-addr.arpa": f"78 IN PTR {NODE}.\n",
}


@dataclass
class Town:
    """Everything that a node needs to be well; a test changes a part before `opened`."""

    folder: Path
    zones: dict[str, str] = field(default_factory=lambda: dict(ZONES))
    hop: NextHop = field(default_factory=NextHop)
    certificate: dict[str, Any] = field(default_factory=dict)
    """What the next hop's certificate is issued with."""
    config: str = ""
    tenants: str = TENANTS
    roots: Path | None = None
    relay: Relay = field(init=False)
    background: Background = field(init=False)

    @contextlib.contextmanager
    def opened(self) -> Iterator["Town"]:
        """All of it, running."""
        (self.folder / "hop").mkdir()
        authority = Authority(self.folder / "hop")
        self.hop.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.hop.tls.load_cert_chain(*authority.issue(**{"name": HOST, "stem": "hop"} | self.certificate))
        self.hop.replies.setdefault("GREETING", lambda _: f"220 {HOST} Microsoft ESMTP MAIL Service ready at {now()}")
        (self.folder / "arc.key").write_bytes(pem(key("ours")))
        (self.folder / "named").mkdir()
        with (
            running(self.hop) as self.background,
            real_named(self.folder / "named", self.zones) as names,
            Relay(
                self.folder / "relay",
                hop=f"{HOST}:{self.hop.port}",
                config=self.settings(names, authority.roots) + self.config,
                tenants=self.tenants.replace("{port}", str(self.hop.port)),
            ) as self.relay,
        ):
            yield self

    def settings(self, names: str, roots: Path) -> str:
        return f"""
            smtp.listen = ["127.0.0.1:{free_port()}"]
            http.listen = "127.0.0.1:{free_port()}"
            dns.servers = ["{names}"]
            delivery.tls = "verify"
            onboarding.private_addresses = true
            delivery.roots = "{roots}"
            [arc]
            domain = "relay.example"
            selector = "2026"
            private_key = "{self.folder / "arc.key"}"
            [environments.eu]
            egress = ["{EGRESS}"]
            smart_host = "{NODE}"
            ptr_domain = "relay.example"
            validation_address = "check@relay.example"
            [engines.testpatterns]
            """

    def examined(self, *words: str) -> dict[str, Any]:
        """What `sluice doctor` finds, as a process of its own; its exit status is looked at."""
        roots = str(self.roots or self.relay.authority.roots)
        ran = self.relay.command("doctor", "--json", "--roots", roots, *words)
        assert ran.stderr == ""
        document: dict[str, Any] = json.loads(ran.stdout)
        assert ran.returncode == (1 if document["state"] == "failed" else 0)
        assert LOOP not in ran.stdout
        return document

    def send(self, **more: Any) -> int:
        """Hand a letter over; the code of the final reply."""
        return deliver(self.relay.smtp_port, letter(**more), ["bob@acme.example"]).code


def now() -> str:
    return dt.datetime.now(dt.UTC).strftime("%a, %d %b %Y %H:%M:%S +0000")


def states(document: dict[str, Any]) -> dict[str, str]:
    return {result["id"]: result["state"] for result in document["results"]}


def unwell(document: dict[str, Any]) -> dict[str, str]:
    """What is not ok, by id; the machine's own room for files is nobody's fault."""
    return {name: state for name, state in states(document).items() if state != "ok" and name != "disk.free"}


@pytest.fixture
def town(tmp_path: Path) -> Town:
    return Town(tmp_path)


def test_a_node_that_is_well(town: Town) -> None:
    with town.opened():
        assert town.send() == 250
        wait_until(town.relay.scans)
        document = town.examined()
        assert unwell(document) == {}, document
        assert set(states(document)) == {
            "configuration", "certificate.pair", "certificate.chain", "certificate.name", "certificate.expiry",
            "certificate.key", "smarthost.addresses", "egress.ptr", "node.address", "environment.validation",
            "arc.record", "relay.ready", "relay.certificate", "relay.listens", "store.reachable", "store.schema",
            "store.writable", "folder.writable", "folder.owner", "disk.free", "engine.answers", "tenant.environment",
            "tenant.protection", "domain.verified", "domain.mx", "mail.seen", "mail.proof", "mail.loops", "mail.hop",
            "hop.addresses", "hop.opens", "hop.tls", "hop.size", "hop.features", "clock.offset",
        }  # fmt: skip
        assert town.examined("--tenant", "acme")["state"] in ("ok", "warning")
        assert len(town.background.bodies) == 1
        assert len(town.relay.scans()) == 1


def test_a_relay_that_is_stopped(town: Town) -> None:
    """The doctor needs none; what only a running one can tell is a warning."""
    with town.opened():
        town.send()
        town.relay.signal(15)
        assert town.relay.wait() == 0
        assert unwell(town.examined()) == {"relay.ready": "warning", "relay.listens": "warning"}


def test_a_certificate_that_was_renewed_but_not_read(town: Town) -> None:
    with town.opened():
        town.send()
        town.relay.authority.issue(NODE, "tls", days=80)
        assert unwell(town.examined()) == {"relay.certificate": "warning"}
        town.relay.signal(1)
        wait_until(lambda: town.relay.metric("sluice_reloads_total", result="ok"))
        assert unwell(town.examined()) == {}


def test_a_certificate_that_is_wrong_in_every_way(town: Town) -> None:
    with town.opened():
        town.send()
        town.relay.authority.issue("mx.other.example", "tls", days=10)
        town.roots = town.folder / "hop" / "roots.crt"
        assert unwell(town.examined()) == {
            "certificate.chain": "failed", "certificate.name": "failed", "certificate.expiry": "warning",
            "relay.certificate": "warning", "configuration": "warning",
        }  # fmt: skip


def test_names_that_lead_nowhere(town: Town) -> None:
    town.zones |= {
        "relay.example": txt("2026._domainkey", record(key("another"))),
        "acme.example": f"@ IN MX 10 {NODE}.\n",
        "216.81.99.in-addr.arpa": "",
    }
    with town.opened():
        town.send()
        assert unwell(town.examined()) == {
            "smarthost.addresses": "failed", "egress.ptr": "failed", "node.address": "failed", "arc.record": "failed",
            "domain.mx": "failed",
        }  # fmt: skip


@pytest.mark.parametrize(
    ("certificate", "replies"),
    [
        ({"name": "mx.evil.example"}, {}),
        ({"days": -0.5}, {}),
        ({}, {"GREETING": "554 5.7.1 go away"}),
        ({}, {"EHLO": HANG_UP}),
    ],
)
def test_a_next_hop_that_delivery_does_not_take(town: Town, certificate, replies) -> None:
    town.certificate, town.hop.replies = certificate, replies
    with town.opened():
        assert town.send() == 451
        document = town.examined()
        found = unwell(document)
        assert found["hop.opens"] == "failed"
        assert states(document)["hop.addresses"] == "ok"
        assert town.background.bodies == []


def test_a_next_hop_that_offers_little(town: Town) -> None:
    town.hop.features = ["SIZE 1000"]
    with town.opened():
        assert town.send(body=b"x\r\n") == 250
        wait_until(town.relay.scans)
        assert unwell(town.examined()) == {"hop.size": "warning", "hop.features": "warning"}


def test_a_clock_that_is_wrong(town: Town) -> None:
    town.hop.replies["GREETING"] = f"220 {HOST} ESMTP ready at Fri, 27 Nov 2020 16:02:03 +0000"
    with town.opened():
        town.send()
        assert unwell(town.examined()) == {"clock.offset": "warning"}


def test_a_day_of_troubles(town: Town) -> None:
    """Mail without proof, by the old value, in a loop, and not taken by the next hop."""
    town.hop.replies["BODY"] = lambda content: "550 5.7.64 Attributed to nobody" if b"Subject: bad" in content else None
    with town.opened():
        assert town.send(loop="an-older-loop-value") == 250
        assert unwell(wait_for_scans(town, 1)) == {"mail.proof": "warning"}
        assert town.send(loop="wrong-loop-value") == 550
        assert town.send(subject="bad") == 550
        returned = town.background.bodies[0]
        assert deliver(town.relay.smtp_port, returned, ["bob@acme.example"]).code == 554
        document = wait_for_scans(town, 4)
        assert unwell(document) == {"mail.proof": "warning", "mail.loops": "failed", "mail.hop": "failed"}
        found = {result["id"]: result for result in document["results"]}
        assert "inbound connector" in found["mail.hop"]["remedy"]
        assert "1 ok, old value" in found["mail.proof"]["found"]
        assert "1 wrong loop value" in found["mail.proof"]["found"]


def wait_for_scans(town: Town, count: int) -> dict[str, Any]:
    wait_until(lambda: len(town.relay.scans()) == count)
    return town.examined()


def test_engines_and_environments_that_are_not_there(town: Town) -> None:
    town.config = (
        '[engines.clamav]\naddress = "127.0.0.1:1"\n[engines.rspamd]\nshadow = true\nurl = "http://127.0.0.1:1"\n'
    )
    with town.opened():
        document = town.examined("--tenant", "acme")
        engines = {one["subject"]: one["state"] for one in document["results"] if one["id"] == "engine.answers"}
        assert engines == {"testpatterns": "ok", "clamav": "failed", "rspamd": "warning"}


def test_domains_that_nothing_proves(town: Town) -> None:
    town.tenants = TENANTS.replace("verified = true", "")
    with town.opened():
        assert town.send() == 451
        assert unwell(town.examined()) == {"domain.verified": "failed", "mail.seen": "warning"}


def test_everything_absent_or_hanging_is_over_in_time(town: Town) -> None:
    """Name servers and next hops that never say a word; the relay is gone, and then the database."""
    town.hop.replies["GREETING"] = Stall()
    town.tenants = TENANTS.replace("{hop}", "127.0.0.1:{port}")
    with town.opened(), silent() as names:
        town.relay.kill9()
        text = town.relay.config_file.read_text()
        text = re.sub(r'servers = \["[^"]*"\]', f'servers = ["{names}"]\ntimeout = 60.0', text)
        town.relay.config_file.write_text(text)
        begun = time.monotonic()
        found = states(town.examined("--timeout", "3"))
        assert time.monotonic() - begun < 20
        assert {name for name, state in found.items() if state == "cannot tell"} == {
            "smarthost.addresses", "egress.ptr", "node.address", "arc.record", "domain.mx", "hop.opens", "clock.offset",
        }  # fmt: skip
        assert (found["store.writable"], found["engine.answers"]) == ("ok", "ok")
        (town.relay.state / "sluice.db").unlink()
        assert states(town.examined("--timeout", "3"))["store.reachable"] == "warning"


@contextlib.contextmanager
def silent() -> Iterator[str]:
    """A name server that takes questions and says nothing."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as bound:
        bound.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{bound.getsockname()[1]}"

"""A relay that seals: what the next hop gets is verified by others, with the name server that the relay asks too."""

import re
import signal
from collections.abc import Iterator
from pathlib import Path

import dkim
import pytest
from doubles.arc_verifiers import dkimpy_says, key, pem, perl_says, record, sealed_by_perl
from doubles.background import Background, running
from doubles.client import Client, deliver
from doubles.nexthop import NextHop
from doubles.pretend_names import pretend_names
from doubles.real_clamd import EICAR
from doubles.relay import LOOP, NODE, TENANTS, Relay, letter, wait_until

TEXTS = {
    "2026._domainkey.sealer.example": record(key("sealer")),
    "next._domainkey.sealer.example": record(key("next")),
    "s1._domainkey.sender.example": record(key("sender")),
    "k1._domainkey.list.example": record(key("list")),
    "sender.example": "v=spf1 ip4:192.0.2.7 -all",
    "_dmarc.sender.example": "v=DMARC1; p=reject",
}
REPORT = "X-Forefront-Antispam-Report: CIP:192.0.2.7;H:mail.sender.example;SCL:1;\r\n"
FORGED = f'Authentication-Results: "{NODE}" (x)\r\n 1; dmarc=pass header.from=bank.example\r\n'
OTHERS = f"""
[[tenant]]
name = "shy"
loop_values = ["{LOOP}"]
policy = {{observe = true}}
domain = [{{name = "shy.example", next_hop = "{{hop}}", verified = true}}]
[[tenant]]
name = "new"
proof = "log"
loop_values = ["{LOOP}"]
domain = [{{name = "new.example", next_hop = "{{hop}}", verified = true}}]
"""


def signed(message: bytes) -> bytes:
    """`message` with the sender's DKIM signature."""
    names = [b"from", b"to", b"subject"]
    return dkim.sign(message, b"s1", b"sender.example", pem(key("sender")), include_headers=names) + message


def config(folder: Path, names: int, selector: str = "2026", name: str = "sealer") -> str:
    """Settings that seal with the key of this name."""
    folder.mkdir(exist_ok=True)
    file = folder / f"{name}.key"
    file.write_bytes(pem(key(name)))
    servers = f'dns.servers = ["127.0.0.1:{names}"]'
    return f'{servers}\n[arc]\ndomain = "sealer.example"\nselector = "{selector}"\nprivate_key = "{file}"\n'


@pytest.fixture(scope="module")
def names() -> Iterator[int]:
    with pretend_names(TEXTS) as port:
        yield port


@pytest.fixture
def hop(request: pytest.FixtureRequest) -> Iterator[Background]:
    with running(NextHop(features=getattr(request, "param", ["CHUNKING"]))) as background:
        yield background


@pytest.fixture
def relay(hop: Background, names: int, tmp_path: Path) -> Iterator[Relay]:
    with Relay(tmp_path, hop=hop.address, tenants=TENANTS + OTHERS, config=config(tmp_path, names)) as relay:
        yield relay


def results(message: bytes) -> list[str]:
    """The results of the topmost Authentication-Results field."""
    found = re.search(rb"^Authentication-Results: ([^\r]*(?:\r\n[ \t][^\r]*)*)", message, re.MULTILINE)
    assert found
    return found[1].decode().split(";\r\n\t")


def good(message: bytes, names: int) -> bool:
    return (dkimpy_says(message, TEXTS), perl_says(message, names)) == ("pass", "pass")


@pytest.mark.parametrize("hop", [["CHUNKING"], ["PIPELINING"]], ids=["BDAT", "DATA"], indirect=True)
def test_what_leaves_is_sealed(relay: Relay, hop: Background, names: int) -> None:
    bodies = [b"Hello.  \r\n\r\n .\r\n..\r\n\r\n\r\n", b"", b"no end", b"a line of seventy characters\t \r\n" * 100_000]
    for number, body in enumerate(bodies):
        message = signed(letter(f"m{number}", body, extra=REPORT + FORGED))
        assert deliver(relay.smtp_port, message, ["bob@acme.example"]).code == 250
        arrived = hop.bodies[-1]
        assert good(arrived, names)
        assert [line.partition(" ")[0] for line in results(arrived)] == [
            NODE, "spf=pass", "dkim=pass", "dmarc=pass", "arc=none",
        ]  # fmt: skip
        assert b"bank.example" not in arrived
        assert arrived.rstrip().endswith(message.replace(FORGED.encode(), b"").rstrip())
    assert relay.metric("sluice_seals_total", result="sealed") == len(bodies)
    scans = wait_until(lambda: len(found := relay.scans()) == len(bodies) and found)
    assert all(scan["seconds"]["seal"] > 0 for scan in scans)


def test_a_chain_grows_and_a_broken_one_does_not(relay: Relay, hop: Background, names: int, tmp_path: Path) -> None:
    file = tmp_path / "list.key"
    file.write_bytes(pem(key("list")))
    first = sealed_by_perl(signed(letter("one", extra=REPORT)), "list.example", "k1", file, "none")
    assert deliver(relay.smtp_port, first, ["bob@acme.example"]).code == 250
    second = hop.bodies[-1]
    assert good(second, names)
    assert b"ARC-Seal: i=2;" in second
    assert "arc=pass" in results(second)
    assert deliver(relay.smtp_port, first.replace(b"Hello.", b"Hallo."), ["bob@acme.example"]).code == 250
    broken = hop.bodies[-1]
    assert b"ARC-Seal: i=2;" not in broken
    assert "arc=fail" in results(broken)
    assert relay.metric("sluice_seals_total", result="broken_chain") == 1


def test_observing_changes_nothing(relay: Relay, hop: Background) -> None:
    message = letter("quiet", extra=REPORT + FORGED)
    assert deliver(relay.smtp_port, message, ["bob@shy.example"]).code == 250
    assert hop.bodies[-1].endswith(message)
    assert b"ARC-" not in hop.bodies[-1]
    assert "seal" not in wait_until(relay.scans)[0]["seconds"]


def test_what_has_no_proof_is_not_vouched_for(relay: Relay, hop: Background, names: int) -> None:
    message = signed(letter(extra=REPORT + FORGED, loop="not-the-right-one"))
    assert deliver(relay.smtp_port, message, ["bob@new.example"]).code == 250
    assert b"ARC-" not in hop.bodies[-1]
    assert b"Authentication-Results" not in hop.bodies[-1]
    assert deliver(relay.smtp_port, letter("bad", EICAR, loop="not-the-right-one"), ["bob@new.example"]).code == 250
    relay.cli("quarantine", "release", relay.quarantine()[0]["id"])
    assert b"ARC-" not in hop.bodies[-1]
    assert deliver(relay.smtp_port, signed(letter(extra=REPORT)), ["bob@new.example"]).code == 250
    assert good(hop.bodies[-1], names)


def test_what_is_withheld_is_sealed_when_it_is_released(relay: Relay, hop: Background, names: int) -> None:
    message = signed(letter("bad", EICAR + b"\r\n", extra=REPORT))
    assert deliver(relay.smtp_port, message, ["bob@acme.example"]).code == 250
    [entry] = relay.quarantine()
    assert relay.metric("sluice_seals_total", result="sealed") == 0
    assert "ARC-" not in relay.command("quarantine", "show", entry["id"], "--raw").stdout
    relay.cli("quarantine", "release", entry["id"])
    assert good(hop.bodies[-1], names)
    assert "dkim=pass header.d=sender.example header.s=s1" in results(hop.bodies[-1])


def test_a_new_key_comes_with_a_reload_and_a_broken_one_does_not(
    relay: Relay, hop: Background, names: int, tmp_path: Path
) -> None:
    relay.configure(config(tmp_path, names, "next", "next"))
    relay.signal(signal.SIGHUP)
    wait_until(lambda: relay.metric("sluice_reloads_total", result="ok") == 1)
    (tmp_path / "next.key").write_text("no key")
    relay.signal(signal.SIGHUP)
    wait_until(lambda: relay.metric("sluice_reloads_total", result="failed") == 1)
    wait_until(lambda: any("arc.private_key" in line and "no private key" in line for line in relay.log))
    assert deliver(relay.smtp_port, letter(), ["bob@acme.example"]).code == 250
    assert b"s=next;" in hop.bodies[-1]
    assert good(hop.bodies[-1], names)


def test_bare_line_ends_are_sealed_too(names: int, tmp_path: Path) -> None:
    with running() as hop, Relay(tmp_path, hop=hop.address, config=config(tmp_path, names)) as relay:
        with Client(relay.smtp_port) as client:
            client.hello()
            client.envelope("ann@sender.example", ["bob@acme.example"])
            assert client.bdat([letter(body=b"one \ntwo\r\n\n\nthree \r four\n\r\n \n")]).code == 250
        assert dkimpy_says(hop.bodies[-1], TEXTS) == "pass"


def test_without_the_table_nothing_is_sealed(tmp_path: Path) -> None:
    with running() as hop, Relay(tmp_path, hop=hop.address) as relay:
        message = letter(extra=FORGED)
        assert deliver(relay.smtp_port, message, ["bob@acme.example"]).code == 250
        assert hop.bodies[-1].endswith(message)
        assert b"ARC-" not in hop.bodies[-1]
        assert "seal" not in wait_until(relay.scans)[0]["seconds"]

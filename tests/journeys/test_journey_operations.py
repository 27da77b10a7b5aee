"""What an operator does to a running relay: drain, reload, tenants, certificates, quarantine; and what it tells."""

import json
import signal
import ssl
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
from doubles.background import Background, running
from doubles.client import Client, deliver
from doubles.nexthop import NextHop, Stall
from doubles.real_clamd import EICAR
from doubles.relay import LOOP, NODE, TENANTS, Relay, letter, wait_until


@pytest.fixture
def hop() -> Iterator[Background]:
    with running() as background:
        yield background


def begun(client: Client) -> None:
    """EHLO, MAIL and RCPT."""
    client.hello()
    assert [answer.code for answer in client.envelope("ann@sender.example", ["bob@acme.example"])] == [250, 250]


def test_sigterm_finishes_what_is_on_its_way(tmp_path: Path) -> None:
    stall = Stall(then="250 2.6.0 At last")
    with running(NextHop(replies={"BODY": stall})) as hop, Relay(tmp_path, hop=hop.address) as relay:
        with Client(relay.smtp_port) as client, Client(relay.smtp_port) as idle:
            begun(client)
            idle.hello()
            assert client.ask("DATA").code == 354
            client.send(letter() + b".\r\n")
            wait_until(stall.reached.is_set)
            relay.signal(signal.SIGTERM)
            assert idle.reply().code == 421
            assert idle.closed()
            with pytest.raises(ConnectionRefusedError):
                wait_until(lambda: Client(relay.smtp_port).close())
            hop.go(stall)
            assert client.reply() == (250, ("2.6.0 At last",))
            assert client.reply().code == 421
        assert relay.wait() == 0
        assert [record["outcome"] for record in relay.scans()] == ["delivered"]


@pytest.mark.slow
def test_sigterm_does_not_wait_for_ever(tmp_path: Path) -> None:
    """When the grace time is over, what has not begun is cut with a 4xx."""
    with (
        running(NextHop(replies={"RCPT": Stall()})) as hop,
        Relay(tmp_path, hop=hop.address, config="node.drain = 1.0") as relay,
        Client(relay.smtp_port) as client,
    ):
        client.hello()
        client.ask("MAIL FROM:<ann@sender.example>")
        client.send(b"RCPT TO:<bob@acme.example>\r\n")
        wait_until(lambda: "RCPT" in hop.hop.verbs())
        relay.signal(signal.SIGTERM)
        assert client.reply().code in {421, 451}
        assert relay.wait(6) == 0


def test_sighup_with_a_broken_file_keeps_the_old_one_and_says_so(hop: Background, tmp_path: Path) -> None:
    with Relay(tmp_path, hop=hop.address, config="smtp.max_recipients = 1") as relay:
        for broken in ("[smtp\nlisten =", "smtp.max_recipients = 0", "smtp.no_such_key = 1"):
            before = relay.metric("sluice_reloads_total", result="failed")
            relay.config_file.write_text(broken)
            relay.signal(signal.SIGHUP)
            wait_until(lambda: relay.metric("sluice_reloads_total", result="failed") > before)  # noqa: B023
        assert deliver(relay.smtp_port, letter(), ["bob@acme.example"]).code == 250
        assert deliver(relay.smtp_port, letter(), ["bob@acme.example", "eve@acme.example"]).code == 452
        relay.configure("smtp.max_recipients = 2")
        relay.signal(signal.SIGHUP)
        wait_until(lambda: relay.metric("sluice_reloads_total", result="ok") == 1)
        assert deliver(relay.smtp_port, letter(), ["bob@acme.example", "eve@acme.example"]).code == 250
        assert relay.ready()


def test_tenants_are_taken_over_while_it_runs(hop: Background, tmp_path: Path) -> None:
    with Relay(tmp_path, hop=hop.address) as relay:
        assert deliver(relay.smtp_port, letter(), ["bob@new.example"]).code == 550
        relay.apply(TENANTS + TENANTS.replace("acme", "new"))
        wait_until(lambda: deliver(relay.smtp_port, letter(), ["bob@new.example"]).code == 250)
        listed = relay.cli("tenant", "list")
        assert "new.example" in listed
        assert LOOP not in listed
        relay.apply(TENANTS)
        wait_until(lambda: deliver(relay.smtp_port, letter(), ["bob@new.example"]).code == 550)


def test_a_wrong_tenant_file_changes_nothing(hop: Background, tmp_path: Path) -> None:
    with Relay(tmp_path, hop=hop.address) as relay:
        wrong = tmp_path / "wrong.toml"
        wrong.write_text('[[tenant]]\nname = "acme"\nloop_values = []\n')
        relay.cli("tenant", "apply", str(wrong), ok=False)
        assert deliver(relay.smtp_port, letter(), ["bob@acme.example"]).code == 250


def test_tenants_are_taken_over_although_the_reload_fails(hop: Background, tmp_path: Path) -> None:
    with Relay(tmp_path, hop=hop.address) as relay:
        relay.apply(TENANTS + TENANTS.replace("acme", "new"))
        relay.configure("engines.unheard_of = {}")
        relay.signal(signal.SIGHUP)
        wait_until(lambda: relay.metric("sluice_reloads_total", result="failed") == 1)
        wait_until(lambda: deliver(relay.smtp_port, letter(), ["bob@new.example"]).code == 250, 8)


def test_what_only_a_restart_changes(hop: Background, tmp_path: Path) -> None:
    """The reload says so, does the rest, and serves on where it listens."""
    with Relay(tmp_path, hop=hop.address) as relay:
        relay.configure('smtp.listen = ["127.0.0.1:0", "127.0.0.2:0"]\nsmtp.max_recipients = 1')
        relay.signal(signal.SIGHUP)
        wait_until(lambda: relay.metric("sluice_reloads_total", result="ok") == 1)
        [told] = wait_until(lambda: relay.events("takes effect after a restart"))
        assert told["settings"] == ["smtp.listen"]
        assert deliver(relay.smtp_port, letter(), ["bob@acme.example"]).code == 250
        assert deliver(relay.smtp_port, letter(), ["bob@acme.example", "eve@acme.example"]).code == 452


def shown(relay: Relay) -> bytes:
    """The certificate that the relay shows."""
    context = ssl.create_default_context(cafile=relay.authority.roots)
    with Client(relay.smtp_port) as client:
        client.hello()
        client.starttls(context, NODE)
        assert client.certificate
        return client.certificate


def test_certificate_reload(hop: Background, tmp_path: Path) -> None:
    with Relay(tmp_path, hop=hop.address) as relay, Client(relay.smtp_port) as open_session:
        open_session.hello()
        open_session.starttls(relay.authority.client_context(), NODE)
        first = shown(relay)
        relay.authority.issue(NODE, "tls")
        relay.signal(signal.SIGHUP)
        wait_until(lambda: shown(relay) != first)
        second = shown(relay)
        (tmp_path / "tls.crt").write_text("no certificate")
        relay.signal(signal.SIGHUP)
        wait_until(lambda: relay.metric("sluice_reloads_total", result="failed") == 1)
        assert shown(relay) == second
        assert open_session.ask("EHLO out.example").code == 250


def test_session_tickets_are_not_given(hop: Background, tmp_path: Path) -> None:
    """Microsoft's client breaks off when it gets one."""
    with Relay(tmp_path, hop=hop.address) as relay:
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            context = relay.authority.client_context()
            context.maximum_version = context.minimum_version = version
            with Client(relay.smtp_port) as client:
                client.hello()
                client.starttls(context, NODE)
                assert client.ask("EHLO out.example").code == 250
                assert not client.has_ticket


def test_old_tls_is_refused(hop: Background, tmp_path: Path) -> None:
    with Relay(tmp_path, hop=hop.address) as relay, Client(relay.smtp_port) as client:
        context = relay.authority.client_context()
        context.set_ciphers("ALL:@SECLEVEL=0")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that Python advises against it is what the test is about
            context.minimum_version = ssl.TLSVersion.TLSv1
            context.maximum_version = ssl.TLSVersion.TLSv1_1
        client.hello()
        with pytest.raises((ssl.SSLError, ConnectionError)):
            client.starttls(context, NODE)


def test_quarantine_by_hand(hop: Background, tmp_path: Path) -> None:
    message = letter("invoice", EICAR + b"\r\n", extra="Received: from a by b; Mon, 2 Mar 2026 10:00:00 +0000\r\n")
    with Relay(tmp_path, hop=hop.address) as relay:
        with Client(relay.smtp_port) as client:
            client.hello()
            client.ask("MAIL FROM:<ann@sender.example> RET=HDRS ENVID=abc")
            client.ask("RCPT TO:<bob@acme.example> NOTIFY=FAILURE")
            assert client.data(message).code == 250
        [entry] = relay.quarantine()
        assert entry["sender"] == "ann@sender.example"
        assert "EICAR" in relay.cli("quarantine", "show", entry["id"])
        assert hop.bodies == []
        assert "2.6.0 Queued" in relay.cli("quarantine", "release", entry["id"])
        [released] = hop.hop.messages
        assert released.content.endswith(message[message.index(b"X-PERCEPTION-POINT-CUSTOM") :])
        assert "RET=HDRS" in released.mail
        assert released.rcpts == ["<bob@acme.example> NOTIFY=FAILURE"]
        relay.cli("quarantine", "delete", entry["id"])
        assert relay.quarantine() == []
        relay.cli("quarantine", "show", entry["id"], ok=False)


def test_release_tells_what_the_next_hop_says(tmp_path: Path) -> None:
    with (
        running(NextHop(replies={"RCPT": [None, "550 5.1.1 gone away"]})) as hop,
        Relay(tmp_path, hop=hop.address) as relay,
    ):
        assert deliver(relay.smtp_port, letter("x", EICAR), ["bob@acme.example"]).code == 250
        [entry] = relay.quarantine()
        assert "550 5.1.1 gone away" in relay.cli("quarantine", "release", entry["id"], ok=False)
        assert len(relay.quarantine()) == 1


def test_release_adds_the_loop_value_that_was_missing(hop: Background, tmp_path: Path) -> None:
    """A tenant that is being set up: what came without the value leaves with it, so that the tenant's rule sees it.

    While it is rotated, that is the old one: the rule may not know the new one yet.
    """
    field = b"X-PERCEPTION-POINT-CUSTOM: " + LOOP.encode() + b"\r\n"
    message = letter("invoice", EICAR + b"\r\n").removeprefix(field)
    tenants = TENANTS.replace("loop_values = [", 'proof = "log"\nloop_values = ["a-newer-loop-value", ')
    with Relay(tmp_path, hop=hop.address, tenants=tenants) as relay:
        assert deliver(relay.smtp_port, letter("clean").removeprefix(field), ["bob@acme.example"]).code == 250
        for sent in (message, field + message):
            assert deliver(relay.smtp_port, sent, ["bob@acme.example"]).code == 250
        for entry in relay.quarantine():
            relay.cli("quarantine", "release", entry["id"])
        assert [body.count(field) for body in hop.bodies] == [1, 1, 1]
        assert all(body.endswith(message) for body in hop.bodies[1:])


def test_the_commands_as_processes(hop: Background, tmp_path: Path) -> None:
    """What others call: names, options, JSON on standard output and the exit status."""
    with Relay(tmp_path, hop=hop.address) as relay:
        deliver(relay.smtp_port, letter("bad", EICAR), ["bob@acme.example"])
        assert relay.command("tenant", "apply", str(relay.tenant_file)).returncode == 0
        [entry] = json.loads(relay.command("quarantine", "list", "--json", "--limit", "5").stdout)
        [scan] = json.loads(relay.command("scans", "list", "--json").stdout)
        assert scan["quarantine_id"] == entry["id"]
        assert relay.command("quarantine", "delete", entry["id"]).returncode == 0
        assert relay.command("quarantine", "release", entry["id"]).returncode == 1
        assert relay.command("check").returncode == 0
        relay.config_file.write_text("[smtp]\nlisten = 5\nunheard_of = 1\n")
        checked = relay.command("check")
        assert checked.returncode == 1
        assert all(key in checked.stdout + checked.stderr for key in ("smtp.listen", "smtp.unheard_of", "node"))


def test_what_it_tells(hop: Background, tmp_path: Path) -> None:
    with Relay(tmp_path, hop=hop.address) as relay:
        metrics = relay.metrics()
        for name in (
            'sluice_messages_total{outcome="quarantined"}',
            'sluice_refusals_total{reason="loop"}',
            'sluice_verdicts_total{engine="testpatterns",kind="late"}',
            'sluice_next_hop_failures_total{kind="tls"}',
        ):
            assert metrics[name] == 0
        assert metrics["sluice_certificate_expiry_timestamp_seconds"] > 1_700_000_000
        assert relay.http("/healthz")[0] == 200
        assert relay.http("/nothing")[0] == 404
        deliver(relay.smtp_port, letter("told"), ["bob@acme.example"])
        wait_until(lambda: relay.events("delivered"))  # the log is written behind the reply
        assert len(relay.events("delivered")) == 1
        assert not any(LOOP in line for line in relay.log)

"""Who may bring mail, through the whole relay: behind a balancer, and by the name in a client certificate."""

import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
from doubles.background import Background, running
from doubles.certificates import Authority
from doubles.client import Client, Reply
from doubles.relay import NODE, Relay, letter

NAME = "mail.protection.outlook.com"


@pytest.fixture(scope="module")
def hop() -> Iterator[Background]:
    with running() as background:
        yield background


@pytest.fixture(scope="module")
def balanced(hop: Background, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Relay]:
    config = """
        smtp.proxy_networks = ["127.0.0.2/32"]
        admission.networks = ["192.0.2.0/24", "127.0.0.3/32"]
    """
    with Relay(tmp_path_factory.mktemp("balanced"), hop=hop.address, config=config) as relay:
        yield relay


def header(source: str) -> bytes:
    return f"PROXY TCP4 {source} 203.0.113.1 40000 25\r\n".encode()


def test_the_told_address_is_judged(balanced: Relay, hop: Background) -> None:
    hop.hop.messages.clear()
    with Client(balanced.smtp_port, source="127.0.0.2") as client:
        client.send(header("192.0.2.7"))
        client.hello()
        client.envelope("ann@sender.example", ["bob@acme.example"])
        assert client.data(letter("balanced")).code == 250
    [body] = hop.bodies
    assert body.startswith(b"Received: from out.example ([192.0.2.7])\r\n")


def test_a_told_stranger_is_refused(balanced: Relay) -> None:
    with Client(balanced.smtp_port, source="127.0.0.2") as client:
        client.send(header("198.51.100.9"))
        answer = client.reply()
        assert (answer.code, answer.text[:5]) == (554, "5.7.1")
        assert client.closed()


def test_a_balancer_without_a_header_is_hung_up_on(balanced: Relay) -> None:
    with Client(balanced.smtp_port, source="127.0.0.2") as client:
        client.send(b"EHLO out.example\r\n")
        assert client.closed()


def test_nobody_else_is_believed(balanced: Relay) -> None:
    with Client(balanced.smtp_port, source="127.0.0.3") as client:
        client.send(header("192.0.2.7"))
        assert client.reply().code == 220
        assert client.reply().code == 500
    with Client(balanced.smtp_port, source="127.0.0.1") as stranger:
        stranger.send(header("192.0.2.7"))
        assert stranger.reply().code == 554


@pytest.fixture(scope="module")
def by_name(hop: Background, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Relay]:
    config = f"""
        smtp.client_certificate_names = ["{NAME}"]
        smtp.client_certificate_roots = "roots.crt"
    """
    with Relay(tmp_path_factory.mktemp("by_name"), hop=hop.address, config=config) as relay:
        yield relay


def mail(client: Client, relay: Relay, context: ssl.SSLContext) -> Reply:
    """STARTTLS and MAIL."""
    client.hello()
    client.starttls(context, NODE)
    client.ask("EHLO out.example")
    return client.ask("MAIL FROM:<ann@sender.example>")


def with_certificate(relay: Relay, authority: Authority, name: str) -> ssl.SSLContext:
    context = relay.authority.client_context()
    context.load_cert_chain(*authority.issue(name, "client"))
    return context


def test_the_right_name(by_name: Relay, hop: Background) -> None:
    hop.hop.messages.clear()
    with Client(by_name.smtp_port) as client:
        assert mail(client, by_name, with_certificate(by_name, by_name.authority, NAME)).code == 250
        assert client.ask("RCPT TO:<bob@acme.example>").code == 250
        assert client.data(letter("named")).code == 250
    assert len(hop.bodies) == 1


@pytest.mark.parametrize("name", [f"mx.{NAME}", f"{NAME}.evil.example", "192.0.2.7"])
def test_another_name(name: str, by_name: Relay) -> None:
    with Client(by_name.smtp_port) as client:
        answer = mail(client, by_name, with_certificate(by_name, by_name.authority, name))
        assert (answer.code, answer.text[:5]) == (554, "5.7.1")


def test_no_certificate_and_no_tls(by_name: Relay) -> None:
    with Client(by_name.smtp_port) as client:
        assert mail(client, by_name, by_name.authority.client_context()).code == 554
    with Client(by_name.smtp_port) as client:
        client.hello()
        assert client.ask("MAIL FROM:<ann@sender.example>").code == 554


def test_the_right_name_by_another_authority(by_name: Relay, tmp_path: Path) -> None:
    with Client(by_name.smtp_port) as client, pytest.raises((ssl.SSLError, EOFError, ConnectionError)):
        mail(client, by_name, with_certificate(by_name, Authority(tmp_path), NAME))

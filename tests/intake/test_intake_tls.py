"""STARTTLS, client certificates and relay/tls.py, with certificates that are made here."""

import asyncio
import contextlib
import ssl
import warnings

import pytest
from doubles.certificates import Authority
from structlog.testing import capture_logs

from relay.errors import ConfigurationError
from relay.intake import link
from relay.tls import Certificates, client_context, server_context

NAME = "mx.relay.example"


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    authority = Authority(tmp_path_factory.mktemp("authority"))
    authority.issue(NAME, "server")
    return authority


@pytest.fixture
def server(authority):
    return server_context(authority.folder / "server.crt", authority.folder / "server.key", None, ask_client=False)


@pytest.fixture
def asking(authority):
    folder = authority.folder
    return server_context(folder / "server.crt", folder / "server.key", authority.roots, ask_client=True)


def client_side(authority, name=None):
    pair = authority.issue(name, "client") if name else (None, None)
    return client_context("verify", authority.roots, *pair)


async def start_tls(client, context, name=NAME):
    assert (await client.ask(b"STARTTLS\r\n")).startswith("220 2.0.0")
    await client.writer.start_tls(context, server_hostname=name)


async def test_a_message_over_tls(serve, authority, server):
    house = await serve(tls=server, require_tls=True)
    client = await house.connect()
    await client.reply()
    assert "STARTTLS" in await client.ask(b"EHLO x\r\n")
    await client.talk("C: MAIL FROM:<a@b>\nS: 530 5.7.0")
    await start_tls(client, client_side(authority))
    await client.talk("C: MAIL FROM:<a@b>\nS: 503 5.5.1")
    assert "STARTTLS" not in await client.ask(b"EHLO y\r\n")
    body = b"0123456789\r\n" * 50_000
    await client.talk("C: STARTTLS\nS: 503\nC: MAIL FROM:<a@b>\nS: 250\nC: RCPT TO:<a@b>\nS: 250\nC: DATA\nS: 354")
    client.send(body + b".\r\nQUIT\r\n")
    await client.talk("S: 250 2.6.0\nS: 221\nS: EOF")
    assert house.said.messages == [body]
    tls = house.said.calls[0][1].tls
    assert tls.version.startswith("TLSv1.")
    assert tls.cipher
    assert tls.names == ()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_no_session_tickets(serve, authority, server, version):
    house = await serve(tls=server)
    client = await house.connect()
    await client.hello()
    context = client_side(authority)
    context.minimum_version = context.maximum_version = version
    await start_tls(client, context)
    await client.talk("C: NOOP\nS: 250")
    tls = client.writer.get_extra_info("ssl_object")
    assert tls.version() == {ssl.TLSVersion.TLSv1_2: "TLSv1.2", ssl.TLSVersion.TLSv1_3: "TLSv1.3"}[version]
    assert tls.session is None or not tls.session.has_ticket


async def test_no_old_tls(serve, authority, server):
    house = await serve(tls=server)
    client = await house.connect()
    await client.hello()
    context = client_side(authority)
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    with warnings.catch_warnings(action="ignore"):
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises(OSError):
        await start_tls(client, context)
    await house.empty()


async def test_nothing_of_the_plaintext_survives(serve, authority, server):
    house = await serve(tls=server)
    client = await house.connect()
    await client.begin()
    await client.ask(b"STARTTLS\r\nEHLO evil\r\nMAIL FROM:<evil@x>\r\nMAIL FROM:<ev")
    await client.writer.start_tls(client_side(authority), server_hostname=NAME)
    await client.talk(
        "C: RCPT TO:<a@b>\nS: 503\nC: MAIL FROM:<a@b>\nS: 503\nC: EHLO x\nS: 250-\nC: MAIL FROM:<a@b>\nS: 250"
    )
    assert house.calls == ["mail", "rcpt", "reset", "mail"]
    assert house.said.calls[-1][2].sender == "a@b"


@pytest.mark.parametrize("data", [b"", b"NOOP\r\n", b"\x16\x03\x01garbage" * 10])
async def test_a_handshake_that_fails_is_one_quiet_line(serve, server, data, monkeypatch):
    monkeypatch.setattr(link, "HANDSHAKE_TIMEOUT", 5.0)
    house = await serve(tls=server)
    client = await house.connect()
    await client.hello()
    with capture_logs() as logs:
        await client.ask(b"STARTTLS\r\n")
        client.send(data)
        await client.close()
        await house.empty()
    assert [entry["event"] for entry in logs] == ["TLS handshake failed"]
    assert house.listener._service.failed_handshakes == 1


async def test_a_handshake_that_stalls_is_cut(serve, server, monkeypatch):
    monkeypatch.setattr(link, "HANDSHAKE_TIMEOUT", 0.05)
    house = await serve(tls=server)
    client = await house.connect()
    await client.hello()
    await client.ask(b"STARTTLS\r\n")
    assert await client.ended() == b""
    await house.empty()


@pytest.mark.parametrize(
    ("name", "reply"),
    [
        ("mail.protection.outlook.com", "250"),
        ("mail.protection.outlook.com.evil.example", "554 5.7.1"),
        (None, "554 5.7.1"),
    ],
)
async def test_client_certificates_by_name(serve, authority, asking, name, reply):
    house = await serve(tls=asking, client_certificate_names=("mail.protection.outlook.com",))
    client = await house.connect()
    await client.hello()
    await client.talk("C: MAIL FROM:<a@b>\nS: 554 5.7.1")
    await start_tls(client, client_side(authority, name))
    await client.talk(f"C: EHLO x\nS: 250-\nC: MAIL FROM:<a@b>\nS: {reply}")
    if reply == "250":
        assert house.said.calls[0][1].tls.names == (name,)


async def test_a_client_certificate_of_another_authority_fails_the_handshake(serve, authority, asking, tmp_path):
    other = Authority(tmp_path)
    pair = other.issue("mail.protection.outlook.com", "client")
    house = await serve(tls=asking, client_certificate_names=("mail.protection.outlook.com",))
    client = await house.connect()
    await client.hello()
    with contextlib.suppress(OSError, AssertionError):  # with TLS 1.3 the client believes at first that all is well
        await start_tls(client, client_context("verify", authority.roots, *pair))
        client.send(b"EHLO x\r\n")
        assert await client.ended() == b""
    await house.empty()
    assert house.listener._service.failed_handshakes == 1


async def handshake(server, client, name=NAME):
    """Both ends of a handshake in memory."""
    ends = [(ssl.MemoryBIO(), ssl.MemoryBIO())]
    to_server, to_client = ends[0]
    one = server.wrap_bio(to_server, to_client, server_side=True)
    two = client.wrap_bio(to_client, to_server, server_hostname=name)
    done = set()
    for _ in range(10):
        for side in (two, one):
            try:
                side.do_handshake()
                done.add(side)
            except ssl.SSLWantReadError:
                continue
        await asyncio.sleep(0)
    return len(done) == 2


async def test_client_contexts(authority, server, tmp_path):
    roots, other = authority.roots, Authority(tmp_path).roots
    assert client_context("off", roots, None, None) is None
    assert await handshake(server, client_context("verify", roots, None, None))
    assert await handshake(server, client_context("opportunistic", None, None, None), "other.example")
    for context, name in ((client_context("verify", roots, None, None), "other.example"),
                          (client_context("verify", other, None, None), NAME)):  # fmt: skip
        with pytest.raises(ssl.SSLCertVerificationError):
            await handshake(server, context, name)


async def test_reload_takes_new_files_and_keeps_the_old_when_they_are_broken(tmp_path):
    authority = Authority(tmp_path)
    certificate, key = authority.issue(NAME, "live")
    certificates = Certificates(certificate, key, None, ask_client=False)
    first = certificates.context()
    expiry = certificates.expiry()
    assert expiry > 0
    assert await handshake(first, client_context("verify", authority.roots, None, None))
    certificate.write_text("nonsense")
    with pytest.raises(ConfigurationError, match=r"live\.crt"):
        certificates.reload()
    assert certificates.context() is first
    authority.issue("second.example", "live")
    certificates.reload()
    assert certificates.context() is not first
    assert await handshake(
        certificates.context(), client_context("verify", authority.roots, None, None), "second.example"
    )


def test_files_that_cannot_be_used_are_configuration_errors(authority, tmp_path):
    folder = authority.folder
    for certificate, key in (("none", "server.key"), ("server.crt", "none"), ("server.crt", "server.crt")):
        with pytest.raises(ConfigurationError):
            server_context(folder / certificate, folder / key, None, ask_client=False)
    with pytest.raises(ConfigurationError):
        client_context("verify", tmp_path / "none", None, None)

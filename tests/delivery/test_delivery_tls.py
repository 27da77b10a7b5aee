import ssl

import pytest
from doubles.certificates import Authority
from doubles.nexthop import HANG_UP, NextHop

from relay.errors import NextHopFailed
from verdicts.mail import Envelope, Recipient

ANN = Recipient("ann@acme.example")
NAME = "mx.acme.example"


class Local:
    async def addresses(self, _name, ipv6=True):
        return ("127.0.0.1",)


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"))


def server_context(authority, name=NAME):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.issue(name, "server"))
    return context


def careless():
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


async def send(delivery, hop, host=NAME):
    passage = delivery.passage(host, hop.port, Envelope("a@b.example"))
    reply = await passage.ask(ANN)
    assert reply.code == 250
    return await passage.hand_over(lambda: iter([b"hi\r\n"]), 4, False)


async def test_verified_tls_and_a_second_ehlo(deliver, authority):
    async with NextHop(tls=server_context(authority)) as hop:
        await send(deliver(tls="verify", context=authority.client_context(), resolver=Local()), hop)
        assert hop.verbs()[:4] == ["EHLO", "STARTTLS", "EHLO", "MAIL"]
        assert hop.messages[0].tls


async def test_an_address_is_checked_as_an_address(deliver, authority):
    context = authority.client_context()
    async with NextHop(tls=server_context(authority, "127.0.0.1")) as hop:
        await send(deliver(tls="verify", context=context), hop, "127.0.0.1")
    async with NextHop(tls=server_context(authority, NAME)) as hop:
        with pytest.raises(NextHopFailed):
            await send(deliver(tls="verify", context=context), hop, "127.0.0.1")


async def test_a_wrong_name_is_not_trusted(deliver, authority):
    async with NextHop(tls=server_context(authority, "mx.evil.example")) as hop:
        with pytest.raises(NextHopFailed) as failed:
            await send(deliver(tls="verify", context=authority.client_context(), resolver=Local()), hop)
        assert (failed.value.reason, str(failed.value.reply)[:9]) == ("tls", "451 4.7.5")
        assert "MAIL" not in hop.verbs()


async def test_an_unknown_issuer_is_not_trusted(deliver, authority):
    async with NextHop(tls=server_context(authority)) as hop:
        with pytest.raises(NextHopFailed) as failed:
            await send(deliver(tls="verify", context=ssl.create_default_context(), resolver=Local()), hop)
        assert failed.value.reason == "tls"
        assert hop.messages == []


@pytest.mark.parametrize("context", [True, False])
async def test_verify_never_goes_on_in_plaintext(deliver, authority, context):
    async with NextHop() as hop:
        delivery = deliver(tls="verify", context=authority.client_context() if context else None, resolver=Local())
        with pytest.raises(NextHopFailed) as failed:
            await send(delivery, hop)
        assert failed.value.reason == "tls"
        assert "MAIL" not in hop.verbs()


@pytest.mark.parametrize(
    "answer", ["454 4.7.0 not now", HANG_UP, "220 go on\n", b"220 ok\r\n250 injected\r\n", b"220 ok\r\n2"]
)
async def test_starttls_that_fails_under_verify(deliver, authority, answer):
    async with NextHop(tls=server_context(authority), replies={"STARTTLS": answer}) as hop:
        if answer == "220 go on\n":
            hop.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)  # has no certificate: the handshake fails
        delivery = deliver(tls="verify", context=authority.client_context(), resolver=Local(), connect_timeout=1.0)
        with pytest.raises(NextHopFailed) as failed:
            await send(delivery, hop)
        wanted = "protocol" if isinstance(answer, bytes) else "connect" if answer is HANG_UP else "tls"
        assert failed.value.reason == wanted
        assert "MAIL" not in hop.verbs()


async def test_features_are_those_told_inside_tls(deliver, authority):
    async with NextHop(["CHUNKING"], tls=server_context(authority)) as hop:
        features = "250 hop.example\nPIPELINING\nSTARTTLS\nCHUNKING"
        hop.replies["EHLO"] = [features, "250 hop.example"]
        await send(deliver(tls="verify", context=authority.client_context(), resolver=Local()), hop)
        assert (hop.messages[0].by, hop.pipelined) == ("DATA", 0)


async def test_opportunistic_takes_any_certificate(deliver, authority):
    async with NextHop(tls=server_context(authority, "mx.evil.example")) as hop:
        await send(deliver(tls="opportunistic", context=careless(), resolver=Local()), hop)
        assert hop.messages[0].tls


async def test_opportunistic_goes_without_where_tls_is_not_offered(deliver):
    async with NextHop() as hop:
        await send(deliver(tls="opportunistic", context=careless(), resolver=Local()), hop)
        assert (hop.messages[0].tls, hop.connections) == (False, 1)


@pytest.mark.parametrize("answer", ["454 4.7.0 not now", "220 go on"])
async def test_opportunistic_goes_without_where_tls_fails(deliver, authority, answer):
    async with NextHop(tls=ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), replies={"STARTTLS": answer}) as hop:
        await send(deliver(tls="opportunistic", context=careless(), resolver=Local()), hop)
        assert (hop.messages[0].tls, hop.connections) == (False, 2)


async def test_off_never_asks_for_tls(deliver, authority):
    async with NextHop(tls=server_context(authority)) as hop:
        await send(deliver(tls="off"), hop, "127.0.0.1")
        assert "STARTTLS" not in hop.verbs()

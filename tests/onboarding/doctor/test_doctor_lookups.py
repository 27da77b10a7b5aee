"""What the DNS says, by a real name server with zones of its own, and by one that is silent."""

import asyncio
import socket

import pytest
from doubles.real_named import real_named

from relay.dns import Resolver
from relay.onboarding.doctor import lookups as subject

FORWARD = """
eu      IN A 99.81.216.78
eu      IN A 34.249.190.60
inside  IN A 10.0.0.1
inside  IN A 99.81.216.78
six     IN AAAA 2606:4700::1
behind  IN AAAA 64:ff9b::10.0.0.1
all     IN A 239.1.1.1
mx1     IN A 99.81.216.78
out78   IN A 99.81.216.78
wrong   IN A 99.81.216.1
many    IN A 99.81.216.99
empty   IN TXT "nothing"
"""
REVERSE = """
78 IN PTR out78.relay.example.
79 IN PTR wrong.relay.example.
80 IN PTR host.elsewhere.example.
81 IN PTR notrelay.example.
99 IN PTR many.relay.example.
""" + "".join(f"99 IN PTR n{number}.relay.example.\n" for number in range(50))


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    zones = {"relay.example": FORWARD, "216.81.99.in-addr.arpa": REVERSE}
    with real_named(tmp_path_factory.mktemp("named"), zones) as server:
        yield server


@pytest.fixture
def resolver(server):
    return Resolver([server], 2.0)


@pytest.fixture
def silent():
    """Takes questions and never answers."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as bound:
        bound.bind(("127.0.0.1", 0))
        yield Resolver([f"127.0.0.1:{bound.getsockname()[1]}"], 0.1)


@pytest.fixture
def one(gathered):
    async def one(results):
        (result,) = await gathered(results)
        return str(result.state), result.found

    return one


@pytest.mark.parametrize(
    ("host", "state", "told"),
    [
        ("eu.relay.example", "ok", "99.81.216.78"),
        ("six.relay.example", "ok", "2606:4700::1"),
        ("inside.relay.example", "failed", "10.0.0.1"),
        ("behind.relay.example", "failed", "64:ff9b::a00:1"),
        ("all.relay.example", "failed", "239.1.1.1"),
        ("empty.relay.example", "failed", "no address"),
        ("nobody.relay.example", "failed", "no address"),
        ("localhost", "failed", "127.0.0.1"),
        ("eu.refused.example", "cannot tell", "eu.refused.example"),
    ],
)
async def test_smart_hosts(resolver, one, host, state, told):
    found, text = await one(subject.smart_host(resolver, host))
    assert (found, told in text) == (state, True)


@pytest.mark.parametrize(
    ("address", "domain", "state", "told"),
    [
        ("99.81.216.78", "relay.example", "ok", "out78.relay.example"),
        ("99.81.216.78", "Relay.Example", "ok", "out78.relay.example"),
        ("99.81.216.78", "out78.relay.example", "ok", "out78.relay.example"),
        ("99.81.216.78", "", "ok", "out78.relay.example"),
        ("99.81.216.78", "scanner.example", "failed", "not inside scanner.example"),
        ("99.81.216.79", "relay.example", "warning", "does not have this address"),
        ("99.81.216.80", "relay.example", "failed", "host.elsewhere.example"),
        ("99.81.216.81", "relay.example", "failed", "notrelay.example"),
        ("99.81.216.1", "relay.example", "failed", "no name"),
        ("99.81.216.1", "", "warning", "no name"),
        ("192.0.2.1", "", "cannot tell", "192.in-addr.arpa"),
    ],
)
async def test_egress_addresses(server, one, address, domain, state, told):
    # "elsewhere.example" is refused by this server: the name is looked at only where that can help.
    found, text = await one(subject.egress(Resolver([server], 2.0), address, domain))
    assert (found, told in text) == (state, True)


async def test_of_many_names_only_some_are_looked_up(server, one):
    asked = []

    class Counting(Resolver):
        async def addresses(self, name, ipv6=True):
            asked.append(name)
            return await super().addresses(name, ipv6)

    state, text = await one(subject.egress(Counting([server], 2.0), "99.81.216.99", "relay.example"))
    assert len(asked) <= subject.MOST
    assert state in ("ok", "warning")
    assert len(text) < 600


@pytest.mark.parametrize(
    ("name", "known", "states_"),
    [
        ("mx1.relay.example", ["99.81.216.78"], {"node.address": "ok"}),
        ("mx1.relay.example", ["34.249.190.60"], {"node.address": "warning"}),
        ("nobody.relay.example", ["99.81.216.78"], {"node.address": "failed"}),
        ("mx1.relay.example", [], {"node.address": "ok", "egress.ptr": "ok"}),
        ("wrong.relay.example", [], {"node.address": "ok", "egress.ptr": "warning"}),
        ("mx.refused.example", [], {"node.address": "cannot tell"}),
    ],
)
async def test_the_node(resolver, gathered, states, name, known, states_):
    assert states(await gathered(subject.node(resolver, name, known))) == states_


async def test_silence_is_neither_yes_nor_no(silent, one):
    async with asyncio.timeout(5):
        for check in (
            subject.smart_host(silent, "eu.relay.example"),
            subject.egress(silent, "99.81.216.78", "relay.example"),
            subject.node(silent, "mx1.relay.example", []),
        ):
            assert (await one(check))[0] == "cannot tell"

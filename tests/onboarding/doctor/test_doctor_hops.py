"""A next hop is looked at as delivery opens it, right or wrong, and left politely."""

import asyncio
import datetime as dt
import ssl
import time

import pytest
from doubles.certificates import Authority
from doubles.nexthop import FEATURES, HANG_UP, NextHop, Stall
from doubles.scripted import scripted
from hypothesis import given
from hypothesis import strategies as st

from relay.delivery.delivery import Delivery
from relay.delivery.options import Options
from relay.dns import DnsError
from relay.onboarding.doctor import hops as subject
from relay.onboarding.doctor.clock import Clocks
from relay.onboarding.doctor.hops import Seen
from relay.onboarding.doctor.result import Topic
from relay.onboarding.domains.mailhosts import NOBODY, Ours
from relay.tenants.hops import NextHop as Where

HOST = "acme-example.mail.example"
SIZE = 48_000_000
FINE = {"hop.addresses": "ok", "hop.opens": "ok", "hop.tls": "ok", "hop.size": "ok", "hop.features": "ok"}


class Names:
    """A resolver that says what the test says."""

    def __init__(self, *addresses):
        self.told = addresses or ("127.0.0.1",)

    async def addresses(self, name, ipv6=True):
        if isinstance(self.told[0], Exception):
            raise self.told[0]
        return tuple(self.told) if self.told[0] else ()


@pytest.fixture
def authority(tmp_path):
    return Authority(tmp_path)


@pytest.fixture
def server(authority):
    """The TLS of a next hop."""

    def server(name=HOST, **more):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*authority.issue(name, "hop", **more))
        return context

    return server


@pytest.fixture
def looked(gathered, authority):
    """All that is said of a next hop at a port."""

    async def looked(port, names=None, mode="verify", tenants=("acme",), ours=NOBODY, clocks=None, timeout=2.0):
        options = Options(
            name="mx1.relay.example", tls=mode, ipv6=False, connections=1, max_age=9, max_messages=9, max_idle=9,
            hold=9, connect_timeout=timeout, command_timeout=timeout, final_timeout=9, wait_timeout=9,
        )  # fmt: skip
        context = authority.client_context()
        if mode != "verify":
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        delivery = Delivery(options, names or Names(), lambda: None if mode == "off" else context)
        return await gathered(subject.hop(delivery, Where(HOST, port), tenants, ours, SIZE, clocks or Clocks()))

    return looked


async def test_a_right_one_is_left_politely(looked, states, server):
    async with NextHop(tls=server()) as hop:
        results = await looked(hop.port)
        assert states(results) == FINE
        assert hop.verbs() == ["EHLO", "STARTTLS", "EHLO", "QUIT"]
        await hop.until(lambda: not hop.open)
        assert hop.messages == []
    assert all(result.subject == f"{HOST}:{hop.port}" for result in results)
    assert "TLSv1.3, certificate until" in results[2].found


async def test_each_tenant_is_told_and_the_hop_asked_once(looked, server):
    async with NextHop(tls=server()) as hop:
        results = await looked(hop.port, tenants=["acme", "initech"])
        assert [result.tenant for result in results] == ["acme"] * 5 + ["initech"] * 5
        assert hop.connections == 1


@pytest.mark.parametrize(("name", "more"), [("mx.evil.example", {}), (HOST, {"days": -0.5}), (HOST, {"since": -2})])
async def test_a_certificate_that_delivery_does_not_take(looked, states, server, name, more):
    async with NextHop(tls=server(name, **more)) as hop:
        results = await looked(hop.port)
        assert states(results) == {"hop.addresses": "ok", "hop.opens": "failed"}
        assert results[1].found.startswith("tls: 127.0.0.1: ")
        assert "MAIL" not in hop.verbs()


async def test_a_certificate_of_a_stranger(looked, states, tmp_path):
    (tmp_path / "else").mkdir()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*Authority(tmp_path / "else").issue(HOST, "hop"))
    async with NextHop(tls=context) as hop:
        assert states(await looked(hop.port))["hop.opens"] == "failed"


async def test_no_starttls(looked, states):
    async with NextHop() as hop:
        results = await looked(hop.port)
        assert states(results)["hop.opens"] == "failed"
        assert "STARTTLS" in results[1].found
        assert states(await looked(hop.port, mode="off")) == FINE | {"hop.tls": "warning"}
        assert states(await looked(hop.port, mode="opportunistic")) == FINE | {"hop.tls": "warning"}


async def test_a_certificate_that_was_not_looked_at(looked, states, server):
    async with NextHop(tls=server("mx.evil.example")) as hop:
        assert states(await looked(hop.port, mode="opportunistic")) == FINE | {"hop.tls": "warning"}


@pytest.mark.parametrize(
    "replies",
    [
        {"GREETING": "554 5.7.1 go away"},
        {"GREETING": "421 4.3.2 busy"},
        {"GREETING": HANG_UP},
        {"GREETING": b"HTTP/1.1 400 Bad Request\r\n\r\n"},
        {"GREETING": b"220-" + b"x" * 100_000},
        {"GREETING": b"220-x\r\n" * 10_000},
        {"GREETING": Stall()},
        {"EHLO": "451 4.7.0 later"},
        {"EHLO": Stall()},
        {"STARTTLS": "454 4.7.0 not now"},
        {"STARTTLS": b"220 ok\r\n250 injected\r\n"},
    ],
)
async def test_broken_ones(looked, states, server, replies):
    async with NextHop(tls=server(), replies=replies) as hop:
        results = await looked(hop.port, timeout=0.5)
        assert states(results) == {"hop.addresses": "ok", "hop.opens": "failed"}
        assert results[1].remedy
        assert len(results[1].found) <= 600


async def test_one_that_floods_for_ever(looked, states):
    async def flood(_reader, writer):
        while True:
            writer.write(b"220-" + b"x" * 1000 + b"\r\n")
            await writer.drain()

    async with scripted(flood) as address, asyncio.timeout(5):
        assert states(await looked(int(address.rpartition(":")[2])))["hop.opens"] == "failed"


async def test_one_that_drips_for_ever(looked, states):
    async def drip(_reader, writer):
        while True:
            writer.write(b"2")
            await writer.drain()
            await asyncio.sleep(0.01)

    async with scripted(drip) as address, asyncio.timeout(5):
        assert states(await looked(int(address.rpartition(":")[2]), timeout=0.5))["hop.opens"] == "failed"


async def test_nobody_listens(looked, states):
    async with NextHop() as hop:
        port = hop.port
    assert states(await looked(port)) == {"hop.addresses": "ok", "hop.opens": "failed"}


async def test_one_address_of_two_is_a_warning(looked, states, server):
    async with NextHop(tls=server()) as hop:
        results = await looked(hop.port, Names("127.0.0.1", "127.0.0.2"))
        assert states(results) == FINE | {"hop.opens": "warning"}
        assert "127.0.0.1 takes mail, but not connect: 127.0.0.2" in results[1].found


async def test_a_name_server_that_lies_makes_us_try_a_few(looked, server):
    async with NextHop(tls=server()) as hop:
        await looked(hop.port, Names(*["127.0.0.1"] * 1000))
        assert hop.connections == subject.MOST


@pytest.mark.parametrize(
    ("names", "state"),
    [(Names(DnsError("no answer")), "cannot tell"), (Names(""), "failed")],
)
async def test_names_that_lead_nowhere(looked, states, names, state):
    results = await looked(1, names, ours=NOBODY)
    assert states(results)["hop.addresses"] == state


async def test_a_next_hop_that_is_this_relay(looked, states, server):
    async with NextHop(tls=server()) as hop:
        results = await looked(hop.port, ours=Ours(names=frozenset({HOST})))
        assert states(results)["hop.addresses"] == "failed"
        assert "circles" in results[0].found


@pytest.mark.parametrize(
    ("address", "state"), [("99.81.216.78", "failed"), ("127.0.0.1", "ok"), ("99.81.216.79", "ok")]
)
def test_an_address_that_is_this_relays(address, state):
    ours = Ours(addresses=frozenset({"99.81.216.78", "127.0.0.1"}))
    assert str(subject.reached(Topic("a", "b"), HOST, ["99.81.216.1", address], ours).state) == state


@pytest.mark.parametrize(
    ("features", "size", "offer"),
    [
        (FEATURES, "ok", "ok"),
        (["SIZE 1000", *FEATURES[:4]], "warning", "ok"),
        (["SIZE 0", *FEATURES[:4]], "ok", "ok"),
        (["SIZE", *FEATURES[:4]], "ok", "ok"),
        (["SIZE many", *FEATURES[:4]], "ok", "ok"),
        (["SIZE " + "9" * 400, *FEATURES[:4]], "ok", "ok"),
        (["SIZE 157286400", "PIPELINING", "8BITMIME", "SMTPUTF8"], "ok", "warning"),
        ([], "ok", "warning"),
    ],
)
async def test_what_it_offers(looked, states, server, features, size, offer):
    async with NextHop(features, tls=server()) as hop:
        assert states(await looked(hop.port)) == FINE | {"hop.size": size, "hop.features": offer}


async def test_what_it_lacks_is_told(looked, server):
    async with NextHop(["PIPELINING", "SMTPUTF8"], tls=server()) as hop:
        lacking = (await looked(hop.port))[-1].found
        assert "CHUNKING: messages with a bare CR or LF" in lacking
        assert "8BITMIME" in lacking
        assert "PIPELINING" not in lacking


def test_of_several_addresses_the_smallest_limit_counts():
    tried = [Seen("1", None, {"size": "0"}), Seen("2", None, {"size": "100"}), Seen("3", None, {"size": "900"})]
    results = subject.judged(Where(HOST), "acme", tried, 500, "verify")
    assert [result.found for result in results if result.id == "hop.size"] == [
        "it takes 100 bytes, and we take 500: messages between are refused by it"
    ]


async def test_its_greeting_tells_the_time(looked, server):
    now = dt.datetime.now(dt.UTC) - dt.timedelta(seconds=100)
    text = now.strftime("%a, %d %b %Y %H:%M:%S +0000")
    clocks = Clocks()
    async with NextHop(
        tls=server(), replies={"GREETING": f"220 AM.mail.example Microsoft ESMTP MAIL Service ready at {text}"}
    ) as hop:
        await looked(hop.port, clocks=clocks)
    (result,) = clocks.results(time.time())
    assert str(result.state) == "warning"
    assert "ahead" in result.found


@pytest.mark.parametrize(
    ("greeting", "at"),
    [
        ("220 X.example Microsoft ESMTP MAIL Service ready at Fri, 27 Nov 2026 16:02:03 +0000", 1795795323),
        ("220 x ESMTP Sendmail 8.15; Fri, 27 Nov 2026 17:02:03 +0100", 1795795323),
        ("220 x 27 Nov 2026 16:02:03 GMT", 1795795323),
        ("220 x ESMTP", None),
        ("220 x Fri, 99 Nov 2026 99:02:03 +0000", None),
        ("220 x Fri, 27 Xyz 2026 16:02:03 +0000", None),
    ],
)  # fmt: skip
def test_dates_in_greetings(greeting, at):
    assert subject.date_in(greeting) == at


@given(st.text() | st.from_regex(subject._DATE))
def test_any_greeting_has_a_date_or_none(greeting):
    found = subject.date_in(greeting)
    assert found is None or isinstance(found, float)


def test_no_address_that_was_tried_says_nothing():
    assert subject.judged(Where(HOST), "acme", [], 1, "verify") == []
    assert str(subject.reached(Topic("a", "b"), HOST, [], NOBODY).state) == "failed"

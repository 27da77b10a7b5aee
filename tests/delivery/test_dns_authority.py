"""Asking the servers that have a zone: real ones, with delegations, and slow, lying and broken ones among them."""

import time
from contextlib import AsyncExitStack

import dns.name
import dns.rcode
import dns.rrset
import pytest
from doubles.bad_names import PORT, answer, bad_names, says, somewhere
from doubles.real_internet import real_internet, zone
from doubles.real_named import real_named, txt

from relay.dns import Resolver, Said
from relay.dns.addresses import is_public
from relay.dns.authority import Authority, Hearing, Told

ONE, TWO, BAD, WORSE = "127.0.0.3", "127.0.0.4", "127.0.0.5", "127.0.0.6"
LONG = "x" * 700

ACME = zone(ONE, TWO) + "".join(
    [
        txt("_sluice", "one"),
        txt("_sluice", LONG),
        txt("*.wild", "any"),
        "_sluice.alias IN CNAME _sluice.proofs.example.\n",
        '_sluice.empty IN HINFO "a" "b"\n',
        "_sluice.ring IN CNAME _sluice.ring.proofs.example.\n",
        "_sluice.lost IN CNAME nobody.proofs.example.\n",
        "sub IN NS ns4.servers.example.\n",
    ]
)
PROOFS = (
    zone(TWO)
    + txt("_sluice", "elsewhere")
    + txt("@", "at the apex")
    + "_sluice.ring IN CNAME _sluice.ring.acme.example.\n"
)
SUB = zone(TWO) + txt("_sluice", "below")
LAGGING = zone(ONE, TWO)
DELEGATIONS = {
    "acme.example": (ONE, TWO),
    "proofs.example": (TWO,),
    "lagging.example": (ONE, TWO),
    "half.example": (ONE, BAD),
    "bad.example": (BAD,),
    "worse.example": (BAD, WORSE),
    "nowhere.example": ("127.0.0.250",),
    "lame.example": (ONE,),
}
ZONES = {
    ONE: {
        "acme.example": ACME,
        "lagging.example": LAGGING + txt("_sluice", "new") + txt("_sluice", "old"),
        "half.example": zone(ONE, BAD) + "_sluice.apex IN CNAME proofs.example.\n",
    },
    TWO: {
        "acme.example": ACME,
        "proofs.example": PROOFS,
        "sub.acme.example": SUB,
        "lagging.example": LAGGING + txt("_sluice", "old"),
    },
}


@pytest.fixture(scope="module")
def net(tmp_path_factory):
    with real_internet(tmp_path_factory.mktemp("names"), DELEGATIONS, ZONES) as net:
        yield net


def authority(net, wait=2.0, **options):
    return Authority(Resolver([net.resolver], wait), port=net.port, **{"private": True, "attempt": 0.3} | options)


@pytest.mark.parametrize(
    ("name", "said", "records"),
    [
        ("_sluice.acme.example", Said.FOUND, {"one", LONG}),
        ("_SLUICE.Acme.Example.", Said.FOUND, {"one", LONG}),
        ("_sluice.alias.acme.example", Said.FOUND, {"elsewhere"}),
        ("_sluice.sub.acme.example", Said.FOUND, {"below"}),
        ("_sluice.apex.half.example", Said.FOUND, {"at the apex"}),
        ("_sluice.wild.acme.example", Said.FOUND, {"any"}),
        ("_sluice.empty.acme.example", Said.NO_RECORD, set()),
        ("_sluice.nobody.acme.example", Said.NO_NAME, set()),
        ("_sluice.lost.acme.example", Said.NO_NAME, set()),
        ("_sluice.unregistered.example", Said.NO_NAME, set()),
        ("_sluice.acme.nowhere", Said.NO_NAME, set()),
    ],
)
async def test_what_the_zones_say(net, name, said, records):
    hearing = await authority(net).txt(name)
    assert (hearing.said, set(hearing.records), hearing.agreed) == (said, records, True)
    assert {told.said for told in hearing.told if told.said.certain} == {said}


async def test_each_server_is_asked(net):
    told = (await authority(net).txt("_sluice.acme.example")).told
    assert {each.server for each in told} == {f"ns{n}.servers.example (127.0.0.{n})" for n in (3, 4)}


async def test_servers_that_differ(net):
    """Found at one of them is found; the answer tells that they differ."""
    hearing = await authority(net).txt("_sluice.lagging.example")
    assert (set(hearing.records), hearing.agreed) == ({"new", "old"}, False)


@pytest.mark.parametrize(("udp", "tcp"), [(None, None), (says(), None), (says('"new"'), None), (None, says('"new"'))])
async def test_one_of_two_is_enough(net, udp, tcp):
    """It has the record, has none, or says nothing; the other one has none."""
    async with bad_names(BAD, net.port, udp, tcp):
        hearing = await authority(net).txt("_sluice.half.example")
    assert hearing.said in {Said.FOUND, Said.NO_NAME, Said.NO_RECORD}
    assert hearing.records == (("new",) if hearing.said is Said.FOUND else ())
    assert len(hearing.told) == 2


async def test_nobody_answers(net):
    async with bad_names(BAD, net.port), bad_names(WORSE, net.port, says_code(dns.rcode.REFUSED)):
        hearing = await authority(net, 0.8).txt("_sluice.worse.example")
    assert hearing.said is Said.NO_ANSWER
    assert "REFUSED" in hearing.detail
    assert "ns5.servers.example (127.0.0.5): no connection by TCP" in hearing.detail


def says_code(code):
    def refuse(question, send):
        made = answer(question)
        made.set_rcode(code)
        send(made.to_wire())

    return refuse


@pytest.mark.parametrize("name", ["_sluice.nowhere.example", "_sluice.lame.example"])
async def test_a_zone_whose_servers_are_not_there_or_know_nothing_of_it(net, name):
    hearing = await authority(net).txt(name)
    assert (hearing.said, hearing.records) == (Said.NO_ANSWER, ())
    assert hearing.detail


async def test_a_broken_server_is_told_as_one(net):
    def garbage(_question, send):
        send(b"\0garbage")

    async with bad_names(BAD, net.port, garbage, garbage):
        hearing = await authority(net, 0.8).txt("_sluice.bad.example")
    assert hearing.said is Said.BROKEN
    assert "cannot be read" in hearing.detail


async def test_aliases_in_a_ring_end(net):
    hearing = await authority(net).txt("_sluice.ring.acme.example")
    assert (hearing.said, hearing.told) == (Said.NO_ANSWER, ())
    assert "circles" in hearing.detail


def leads(kind, data, section, owner=None):
    """A server that always sends us on: `data` may use the label of the question."""

    def send_on(question, send):
        made = answer(question, authoritative=section == "answer")
        name = question.question[0].name
        target = data.replace("LABEL", name.labels[0].decode())
        getattr(made, section).append(dns.rrset.from_text(owner or name, 300, "IN", kind, target))
        send(made.to_wire())

    return send_on


async def test_aliases_without_end_end(net):
    async with bad_names(BAD, net.port, leads("CNAME", "xLABEL.bad.example.", "answer")):
        hearing = await authority(net, 0.8).txt("_sluice.bad.example")
    assert (hearing.said, hearing.told) == (Said.NO_ANSWER, ())
    assert "circles" in hearing.detail


@pytest.mark.parametrize("owner", ["bad.example.", "example.", ".", "other.example.", "x._sluice.bad.example."])
async def test_a_delegation_that_leads_nowhere_below_is_not_followed(net, owner):
    async with bad_names(BAD, net.port, leads("NS", "ns3.servers.example.", "authority", owner)):
        hearing = await authority(net, 0.8).txt("_sluice.bad.example")
    assert [told.said for told in hearing.told] == [Said.NO_ANSWER]


async def test_an_answer_for_another_zone_has_no_say(net):
    """The liar is asked about its own alias's name too, but has no word in the zone of others."""

    def lies(question, send):
        made = answer(question)
        made.answer.append(
            dns.rrset.from_text(question.question[0].name, 300, "IN", "CNAME", "_sluice.empty.acme.example.")
        )
        made.answer.append(dns.rrset.from_text("_sluice.empty.acme.example.", 300, "IN", "TXT", '"lie"'))
        send(made.to_wire())

    async with bad_names(BAD, net.port, lies):
        hearing = await authority(net, 0.8).txt("_sluice.bad.example")
    assert (hearing.said, hearing.records) == (Said.NO_RECORD, ())


async def test_servers_on_our_own_network_are_not_asked(net):
    questions = []
    async with bad_names(BAD, net.port, lambda question, _send: questions.append(question)):
        hearing = await authority(net, private=False).txt("_sluice.acme.example")
        assert (await authority(net, 0.8, private=False).txt("_sluice.bad.example")).said is Said.NO_ANSWER
    assert (hearing.said, questions) == (Said.NO_ANSWER, [])
    assert "not asked at 127.0.0.3, which is not on the Internet" in hearing.detail


async def test_the_whole_look_up_has_an_end(net):
    begun = time.monotonic()
    async with AsyncExitStack() as stack:
        for address in (BAD, WORSE):
            await stack.enter_async_context(bad_names(address, net.port))
        hearing = await authority(net, seconds=0.5, attempt=10.0).txt("_sluice.worse.example")
    assert time.monotonic() - begun < 2
    assert (hearing.said, hearing.problem) == (Said.NO_ANSWER, "not all could be asked in time")


async def test_what_was_said_before_the_end_counts(net):
    async with bad_names(BAD, net.port):
        hearing = await authority(net, seconds=1.5, attempt=10.0).txt("_sluice.half.example")
    assert hearing.problem
    assert hearing.said is Said.NO_NAME


@pytest.mark.parametrize("name", ["a..example", "x" * 64 + ".example", ".".join(["abcdefg"] * 40)])
async def test_a_name_that_cannot_be(net, name):
    hearing = await authority(net).txt(name)
    assert hearing.said is Said.NO_ANSWER
    assert hearing.detail


async def test_without_a_resolver_nobody_can_tell():
    async with bad_names(address := somewhere(), PORT, says_code(dns.rcode.SERVFAIL)):
        hearing = await Authority(Resolver([f"{address}:{PORT}"], 0.5)).txt("_sluice.acme.example")
    assert (hearing.said, hearing.told) == (Said.NO_ANSWER, ())
    assert "SERVFAIL" in hearing.detail


async def test_the_operators_servers_are_asked_instead(net, tmp_path):
    """As resolvers, wherever they are: one that recurses, one that has the zone, one that is not there."""
    with real_named(tmp_path, {"acme.example": txt("_sluice", "inside")}, "127.0.0.8") as own:
        servers = (net.resolver, own, "127.0.0.9:9")
        asker = Authority(Resolver([net.resolver], 1.0), servers=servers, seconds=1.0)
        hearing = await asker.txt("_sluice.acme.example")
    assert [told.said for told in hearing.told] == [Said.FOUND, Said.FOUND, Said.NO_ANSWER]
    assert (set(hearing.records), hearing.agreed) == ({"one", LONG, "inside"}, False)


@pytest.mark.parametrize(
    ("ends", "said"),
    [
        ([], Said.NO_ANSWER),
        ([Said.NO_ANSWER], Said.NO_ANSWER),
        ([Said.BROKEN, Said.NO_ANSWER], Said.BROKEN),
        ([Said.NO_ANSWER, Said.NO_NAME], Said.NO_NAME),
        ([Said.BROKEN, Said.NO_RECORD], Said.NO_RECORD),
        ([Said.NO_NAME, Said.NO_RECORD], Said.NO_RECORD),
        ([Said.NO_NAME, Said.BROKEN, Said.FOUND], Said.FOUND),
    ],
)
def test_what_several_say_together(ends, said):
    assert Hearing(tuple(Told("ns", end) for end in ends)).said is said


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("8.8.8.8", True),
        ("2001:4860:4860::8888", True),
        ("127.0.0.53", False),
        ("10.0.0.1", False),
        ("172.16.0.1", False),
        ("192.168.1.1", False),
        ("169.254.169.254", False),
        ("100.64.0.1", False),
        ("0.0.0.0", False),
        ("224.0.0.1", False),
        ("255.255.255.255", False),
        ("192.0.2.1", False),
        ("::1", False),
        ("::", False),
        ("fe80::1", False),
        ("fe80::1%eth0", False),
        ("fd00::1", False),
        ("ff02::1", False),
        ("::ffff:127.0.0.1", False),
        ("::ffff:8.8.8.8", True),
        ("64:ff9b::7f00:1", False),
        ("64:ff9b::808:808", True),
        ("2002:7f00:1::", False),
        ("2002:808:808::1", True),
        ("2001:0:808:808:0:0:80ff:fffe", False),
    ],
)
def test_public_addresses(address, public):
    assert is_public(address) is public

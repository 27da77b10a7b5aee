"""One question to one server that is slow, lying or broken: what it counts for, and that TCP is asked in doubt."""

import asyncio
import time
from functools import partial

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rrset
import pytest
from doubles.bad_names import PORT, answer, bad_names, says, somewhere
from hypothesis import given
from hypothesis import strategies as st

from relay.dns import Said
from relay.dns.asking import Question, Reply, ask, read

NAME = "_sluice.acme.example"
QUESTION = Question(dns.name.from_text(NAME), dns.name.from_text("acme.example"))
SECONDS = 0.3


def changed(question, send, change):
    made = answer(question, '"lie"')
    change(made)
    send(made.to_wire())


def does(change):
    return partial(changed, change=change)


def rcode(code):
    return does(lambda made: (made.answer.clear(), made.set_rcode(code)))


def other_question(made):
    made.question[0].name = dns.name.from_text("_sluice.other.example")


def lower_case(made):
    made.question[0].name = dns.name.from_text(NAME)


def record(name, kind, data, section="answer", *, authoritative=True):
    def change(made):
        made.answer.clear()
        getattr(made, section).append(dns.rrset.from_text(name, 300, "IN", kind, data))
        if not authoritative:
            made.flags &= ~dns.flags.AA

    return does(change)


def garbage(_question, send):
    send(b"\0garbage")


def cut(question, send):
    made = answer(question, '"cut"')
    made.flags |= dns.flags.TC
    send(made.to_wire()[:-3])


def all_but_cut(question, send):
    made = answer(question, '"lie"')
    made.flags |= dns.flags.TC
    send(made.to_wire())


def half(question, send):
    send(answer(question, '"half"').to_wire()[:-3])


def nothing(_question, _send):
    pass


def late(question, send):
    asyncio.get_running_loop().call_later(SECONDS * 1.5, send, answer(question, '"late"').to_wire())


@pytest.fixture
def server():
    """An address of the host that nobody else uses, and a port."""
    return somewhere(), PORT


async def asked(server, udp=None, tcp=None):
    async with bad_names(*server, udp, tcp):
        return await ask(QUESTION, *server, SECONDS)


@pytest.mark.parametrize(
    ("udp", "said", "records", "detail"),
    [
        (says('"one"', '"two" "2"'), Said.FOUND, ("one", "two2"), ""),
        (says('"' + "x" * 255 + '" "' + "y" * 45 + '"'), Said.FOUND, ("x" * 255 + "y" * 45,), ""),
        (says(), Said.NO_RECORD, (), ""),
        (rcode(dns.rcode.NXDOMAIN), Said.NO_NAME, (), ""),
        (rcode(dns.rcode.SERVFAIL), Said.NO_ANSWER, (), "SERVFAIL"),
        (rcode(dns.rcode.REFUSED), Said.NO_ANSWER, (), "REFUSED"),
        (does(lambda made: made.flags.__class__), Said.FOUND, ("lie",), ""),
        (lambda q, send: send(answer(q, '"lie"', authoritative=False).to_wire()), Said.NO_ANSWER, (), "no say"),
        (record("other.example.", "TXT", '"lie"'), Said.BROKEN, (), "something else"),
        (record(NAME + ".", "A", "192.0.2.1"), Said.BROKEN, (), "something else"),
        (record("example.", "NS", "ns.liar.example.", "authority", authoritative=False), Said.NO_ANSWER, (), "no say"),
        (
            record("acme.example.", "NS", "ns.liar.example.", "authority", authoritative=False),
            Said.NO_ANSWER,
            (),
            "no say",
        ),
        (record(".", "NS", "ns.liar.example.", "authority", authoritative=False), Said.NO_ANSWER, (), "no say"),
        (record("liar.example.", "NS", "ns.liar.example.", "authority", authoritative=False), Said.NO_ANSWER, (), "no"),
    ],
)
async def test_what_a_server_says_by_udp(server, udp, said, records, detail):
    """TCP is refused there, and not needed."""
    reply = await asked(server, udp)
    assert (reply.said, set(reply.records)) == (said, set(records))
    assert detail in reply.detail
    assert not reply.leads_on


async def test_a_cname_and_a_delegation_lead_on(server):
    reply = await asked(server, record(NAME + ".", "CNAME", "Proof.Elsewhere.example."))
    assert (reply.said, reply.alias) == (Said.NO_ANSWER, dns.name.from_text("proof.elsewhere.example"))
    reply = await asked(server, record(NAME + ".", "NS", "ns.sub.example.", "authority", authoritative=False))
    assert (reply.zone, reply.servers) == (QUESTION.name, ("ns.sub.example",))
    assert reply.leads_on


@pytest.mark.parametrize(
    "udp",
    [
        None,
        late,
        garbage,
        cut,
        all_but_cut,
        half,
        does(lambda made: setattr(made, "id", made.id ^ 1)),
        does(other_question),
        does(lower_case),
        does(lambda made: setattr(made, "flags", made.flags & ~dns.flags.QR)),
        does(lambda made: made.question.clear()),
        rcode(dns.rcode.FORMERR),
        rcode(dns.rcode.NOTIMP),
    ],
    ids=lambda behaviour: getattr(behaviour, "__name__", None),
)
async def test_in_doubt_tcp_is_asked(server, udp):
    reply = await asked(server, udp, says('"true"'))
    assert reply == Reply(Said.FOUND, ("true",))


async def test_an_answer_from_another_port_is_passed_over(server):
    transports = []

    def spoofed(question, send):
        loop, wire = asyncio.get_running_loop(), answer(question, '"true"').to_wire()
        loop.call_later(0.05, send, wire)

    class Spoofer(asyncio.DatagramProtocol):
        """Sees the question, and is faster than the server, but does not have its port."""

        def __init__(self, question, peer):
            self.question, self.peer = question, peer

        def connection_made(self, transport):
            transports.append(transport)
            transport.sendto(answer(self.question, '"lie"').to_wire(), self.peer)

    class Server(asyncio.DatagramProtocol):
        def connection_made(self, transport):
            self.transport = transport

        def datagram_received(self, data, addr):
            question = dns.message.from_wire(data)
            loop = asyncio.get_running_loop()
            self.task = loop.create_task(loop.create_datagram_endpoint(lambda: Spoofer(question, addr), (server[0], 0)))
            spoofed(question, lambda wire: self.transport.sendto(wire, addr))

    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(Server, server)
    try:
        assert await ask(QUESTION, *server, 2.0) == Reply(Said.FOUND, ("true",))
        assert transports
    finally:
        for each in (transport, *transports):
            each.close()


@pytest.mark.parametrize(
    ("tcp", "said", "detail"),
    [
        (None, Said.NO_ANSWER, "no connection by TCP"),
        (nothing, Said.NO_ANSWER, "it hung up"),
        (late, Said.NO_ANSWER, "hung up"),
        (garbage, Said.BROKEN, "cannot be read"),
        (half, Said.BROKEN, "cannot be read"),
        (does(lambda made: setattr(made, "id", made.id ^ 1)), Said.BROKEN, "cannot be read"),
        (does(other_question), Said.BROKEN, "cannot be read"),
        (rcode(dns.rcode.FORMERR), Said.NO_ANSWER, "FORMERR"),
        (rcode(dns.rcode.SERVFAIL), Said.NO_ANSWER, "SERVFAIL"),
    ],
)
async def test_after_tcp_there_is_nothing_more(server, tcp, said, detail):
    reply = await asked(server, cut, tcp)
    assert (reply.said, reply.records) == (said, ())
    assert detail in reply.detail


async def test_silence_takes_as_long_as_it_may(server):
    begun = time.monotonic()
    hold = asyncio.Event()

    async def silent(_reader, writer):
        await hold.wait()
        writer.close()

    async with await asyncio.start_server(silent, *server), bad_names(*server):
        reply = await ask(QUESTION, *server, SECONDS)
        assert (reply.said, reply.detail) == (Said.NO_ANSWER, "no answer in time")
        assert 2 * SECONDS <= time.monotonic() - begun < 2 * SECONDS + 1
        hold.set()


async def test_nobody_there_is_told_at_once(server):
    begun = time.monotonic()
    reply = await ask(QUESTION, *server, 5.0)
    assert reply.said is Said.NO_ANSWER
    assert time.monotonic() - begun < 1


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(body):
    """What `ask` catches is all that can happen."""
    try:
        message = dns.message.from_wire(body)
    except (dns.exception.DNSException, ValueError):
        return
    assert isinstance(read(message, QUESTION), Reply)


@given(st.data())
def test_a_damaged_answer_never_breaks_the_asker(data):
    wire = bytearray(answer(dns.message.make_query(NAME, "TXT"), '"true"', '"and" "more"').to_wire())
    for _ in range(data.draw(st.integers(1, 6))):
        wire[data.draw(st.integers(0, len(wire) - 1))] = data.draw(st.integers(0, 255))
    try:
        message = dns.message.from_wire(bytes(wire[: data.draw(st.integers(0, len(wire)))]))
    except (dns.exception.DNSException, ValueError):
        return
    assert isinstance(read(message, QUESTION), Reply)

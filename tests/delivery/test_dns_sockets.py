"""An answer that takes long to read is not read, and the event loop goes on: a stranger's zone may hold anything."""

import asyncio
import struct
import time
from contextlib import suppress

import dns.message
import dns.name
import dns.rdatatype
import dns.rrset
import pytest
from doubles.bad_names import PORT, answer, bad_names, somewhere
from hypothesis import given
from hypothesis import strategies as st

from relay.dns import Resolver, Said
from relay.dns.asking import Question, ask
from relay.dns.sockets import MOST_RECORDS, TooHeavy, weigh

NAME = dns.name.from_text("_sluice.acme.example")
LONG = b"\x01a" * 110
"""Labels that are written once, and pointed at by each record."""
START = 12 + len(NAME.to_wire()) + 4
HERE = struct.pack("!H", 0xC000 | START)


def flood(question, kind, data, size, owner=LONG + b"\xc0\x0c"):
    """An answer of `size` bytes, full of records of one kind, all of the first one's name."""
    records, length = [], START
    while length < size:
        rdata = data(len(records))
        head = struct.pack("!HHIH", dns.rdatatype.from_text(kind), 1, 0, len(rdata))
        records.append((HERE if records else owner) + head + rdata)
        length += len(records[-1])
    asked = question.question[0]
    counts = struct.pack("!HHHHHH", question.id, 0x8480, 1, len(records), 0, 0)
    return counts + asked.name.to_wire() + struct.pack("!HH", asked.rdtype, 1) + b"".join(records)


FLOODS = {
    "names of servers": ("NS", lambda _: HERE),
    "names of mail hosts": ("MX", lambda n: struct.pack("!H", n) + HERE),
    "names of services": ("SRV", lambda n: struct.pack("!HHH", n, 1, 1) + HERE),
    "a start of authority": ("SOA", lambda n: HERE + HERE + struct.pack("!5I", n, 1, 1, 1, 1)),
    "strings": ("TXT", lambda _: bytes(1_500)),
    "address lists": ("APL", lambda _: b"\0\1\0\0" * 3_000),
}


@pytest.mark.parametrize("kind", FLOODS)
@pytest.mark.parametrize("size", [1_232, 16_000, 65_000])
def test_a_flood_is_too_heavy(kind, size):
    wire = flood(dns.message.make_query(NAME, "TXT"), *FLOODS[kind], size)
    begun = time.thread_time()
    with pytest.raises(TooHeavy):
        weigh(wire)
    assert time.thread_time() - begun < 0.02


def test_records_of_short_names_are_counted():
    wire = flood(dns.message.make_query(NAME, "TXT"), "TXT", lambda n: b"\x04%04d" % n, 4_000, b"\xc0\x0c")
    with pytest.raises(TooHeavy, match=f"more than {MOST_RECORDS}"):
        weigh(wire)


def test_a_name_that_points_at_itself_ends():
    head = struct.pack("!HHHHHH", 1, 0x8400, 1, 0, 0, 0)
    with pytest.raises(TooHeavy, match="does not end"):
        weigh(head + b"\xc0\x0c\0\x10\0\1")


@given(st.binary(max_size=600))
def test_what_cannot_be_read_is_left_to_the_reader(wire):
    with suppress(TooHeavy):
        weigh(wire)


def test_what_is_usual_passes():
    made = answer(dns.message.make_query(NAME, "TXT"), *(f'"{"x" * 250}{n}"' for n in range(40)))
    made.authority.append(dns.rrset.from_text("acme.example.", 300, "IN", "NS", *(f"n{n}.example." for n in range(13))))
    mail = (f"{n} mx{n}.acme.example." for n in range(20))
    made.additional.append(dns.rrset.from_text("acme.example.", 300, "IN", "MX", *mail))
    made.additional.append(
        dns.rrset.from_text("acme.example.", 300, "IN", "SOA", "n1.example. root.example. 1 2 3 4 5")
    )
    weigh(made.to_wire())


async def longest_turn(work):
    """What `work` came to, and the longest time, in seconds of this thread, between two turns of the event loop."""
    longest, done = 0.0, asyncio.ensure_future(work)
    while not done.done():
        begun = time.thread_time()
        await asyncio.sleep(0)
        longest = max(longest, time.thread_time() - begun)
    return await done, longest


@pytest.mark.parametrize("kind", ["names of servers", "strings"])
async def test_a_server_that_floods_does_not_stop_the_loop(kind):
    def floods(question, send):
        send(flood(question, *FLOODS[kind], 1_400))

    def floods_more(question, send):
        send(flood(question, *FLOODS[kind], 65_000)[:65_535])

    question, address = Question(NAME, dns.name.from_text("acme.example")), somewhere()
    async with bad_names(address, PORT, floods, floods_more):
        reply, longest = await longest_turn(ask(question, address, PORT, 0.3))
    assert (reply.said, reply.records) == (Said.BROKEN, ())
    assert "its answer cannot be read" in reply.detail
    assert longest < 0.05


async def test_many_answers_at_once_are_read_one_in_a_turn():
    """Each takes some milliseconds, and all of them together would be a pause of all mail."""
    address, names, ready = somewhere(), [f"d{n}.example" for n in range(60)], []

    def all_at_once(question, send):
        wire = flood(question, "TXT", lambda n: b"\x04%04d" % n, 1_200, b"\xc0\x0c")
        ready.append(lambda: send(wire))
        if len(ready) == len(names):
            for each in ready:
                each()

    resolver = Resolver([f"{address}:{PORT}"], 10.0)
    async with bad_names(address, PORT, all_at_once):
        answers, longest = await longest_turn(asyncio.gather(*(resolver.ask(name, "TXT") for name in names)))
    assert {answer.said for answer in answers} == {Said.FOUND}
    assert longest < 0.15  # what the server does in one turn is in it


async def test_the_resolver_passes_over_what_is_too_heavy():
    address = somewhere()
    async with bad_names(
        address, PORT, lambda question, send: send(flood(question, *FLOODS["names of servers"], 1_400))
    ):
        resolver = Resolver([f"{address}:{PORT}"], 0.5)
        answer, longest = await longest_turn(resolver.ask("evil.example", "NS"))
    assert answer.said is Said.NO_ANSWER
    assert longest < 0.05


async def test_a_good_answer_counts_though_a_flood_came_first():
    def both(question, send):
        send(flood(question, *FLOODS["strings"], 1_600))
        send(answer(question, '"good"').to_wire())

    address = somewhere()
    async with bad_names(address, PORT, both):
        reply = await ask(Question(NAME, dns.name.from_text("acme.example")), address, PORT, 0.5)
    assert reply.records == ("good",)

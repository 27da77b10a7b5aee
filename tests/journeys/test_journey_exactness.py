"""Any body, in any chunks of DATA or BDAT, small or spilled to a file, arrives as it was sent, behind our fields."""

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from doubles.background import Background, running
from doubles.client import Client, as_data
from doubles.nexthop import NextHop
from doubles.relay import Relay, letter
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

OURS = re.compile(rb"((Received|X-Sluice-Trace):[^\r\n]*\r\n([ \t][^\r\n]*\r\n)*){2}")
CONFIG = "smtp.memory_bytes = 4096"
"""What is larger than this is spilled to a file."""

lines = st.lists(st.binary(max_size=300), max_size=40).map(b"\r\n".join)
pieces = st.sampled_from(
    [b"\r\n", b".", b"\r\n.", b"..", b"a" * 70, b"a" * 2000, b"\r\n\r\n", b"\xff\xfe", b" ", b"\t"]
)
tricky = st.lists(pieces, max_size=60).map(b"".join)
bodies = st.one_of(st.binary(max_size=20000), lines, tricky)
cuts = st.lists(st.integers(0, 20000), max_size=6)


def without_bare(body: bytes) -> bytes:
    """`body` as it may stand in DATA: neither bare CR, bare LF nor NUL."""
    body = body.replace(b"\x00", b"0")
    return re.sub(rb"\r(?!\n)|(?<!\r)\n", b"-", body)


def cut(data: bytes, places: list[int]) -> list[bytes]:
    """`data` in pieces, cut at these places."""
    edges = [0, *sorted(min(place, len(data)) for place in places), len(data)]
    return [data[start:end] for start, end in itertools.pairwise(edges)]


@dataclass
class House:
    client: Client
    plain: Background
    chunking: Background


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    tenants = """
        [[tenant]]
        name = "acme"
        loop_values = ["k7Jq2mV9xT4bR8nL5wZ3cY6h"]
        policy = {spam = "deliver"}
        domain = [
            {name = "plain.example", next_hop = "{hop}", verified = true},
            {name = "chunking.example", next_hop = "CHUNKING", verified = true},
        ]
    """
    folder = tmp_path_factory.mktemp("exactness")
    with running(NextHop(features=["PIPELINING", "8BITMIME"])) as plain, running() as chunking:
        tenants = tenants.replace("CHUNKING", chunking.address)
        with (
            Relay(folder, hop=plain.address, tenants=tenants, config=CONFIG) as relay,
            Client(relay.smtp_port) as client,
        ):
            client.hello()
            yield House(client, plain, chunking)


def some(examples: int) -> settings:
    return settings(
        max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True, database=None
    )


def send_data(house: House, domain: str, body: bytes, places: list[int]) -> None:
    assert [answer.code for answer in house.client.envelope("", [f"bob@{domain}"])] == [250, 250]
    assert house.client.ask("DATA").code == 354
    for piece in cut(as_data(body), places):
        house.client.send(piece)
    assert house.client.reply().code == 250


def send_bdat(house: House, domain: str, chunks: list[bytes]) -> None:
    assert [answer.code for answer in house.client.envelope("", [f"bob@{domain}"])] == [250, 250]
    answer = house.client.bdat(chunks)
    assert answer.code == 250, answer


def arrived(hop: Background) -> bytes:
    """The one message that came, without the two fields that we put before it."""
    [body] = hop.bodies
    hop.hop.messages.clear()
    ours = OURS.match(body)
    assert ours, body[:500]
    return body[ours.end() :]


def ended(body: bytes) -> bytes:
    """`body` as it leaves by DATA: with a CRLF at the end."""
    return body if body.endswith(b"\r\n") else body + b"\r\n"


@given(body=bodies.map(without_bare), places=cuts)
@some(200)
def test_data_to_data(house: House, body: bytes, places: list[int]) -> None:
    message = letter(body=body)
    send_data(house, "plain.example", message, places)
    assert arrived(house.plain) == ended(message)


@given(body=bodies.map(without_bare), places=cuts)
@some(200)
def test_data_to_bdat(house: House, body: bytes, places: list[int]) -> None:
    message = letter(body=body)
    send_data(house, "chunking.example", message, places)
    assert arrived(house.chunking) == ended(message)


@given(body=bodies, places=cuts)
@some(300)
def test_bdat_to_bdat(house: House, body: bytes, places: list[int]) -> None:
    """Everything goes, bare CR, bare LF and NUL as well, to the last byte."""
    message = letter(body=body.replace(b"\x00", b"0"))
    send_bdat(house, "chunking.example", cut(message, places))
    assert arrived(house.chunking) == message


@given(body=bodies.map(without_bare), places=cuts)
@some(200)
def test_bdat_to_data(house: House, body: bytes, places: list[int]) -> None:
    message = letter(body=body)
    send_bdat(house, "plain.example", cut(message, places))
    assert arrived(house.plain) == ended(message)


@pytest.mark.parametrize("size", [0, 1, 4095, 4096, 4097, 65535, 65536, 65537, 1_000_003, 5_000_000])
@pytest.mark.parametrize("domain", ["plain.example", "chunking.example"])
def test_sizes_around_the_limits(size: int, domain: str, house: House) -> None:
    message = letter(body=(b"0123456789abcdef" * 4 + b"\r\n") * (size // 66) + b"x" * (size % 66) + b"\r\n")
    hop = house.plain if domain == "plain.example" else house.chunking
    send_data(house, domain, message, [])
    assert arrived(hop) == message
    send_bdat(house, domain, cut(message, [1, 100, 70_000]))
    assert arrived(hop) == message

"""SMTP smuggling: only CRLF.CRLF ends DATA, and nothing leaves as two messages.

Each sequence stands between a message and what an attacker wants to be read as commands and a second message. The
sequences are those of CVE-2023-51764, -51765, -51766 and CVE-2024-27305, of SEC Consult's publication and its testing
tools, and of the fuzzing that followed; and forms that are legal but easily got wrong.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from doubles.background import Background, running
from doubles.client import END, Client, stuffed
from doubles.nexthop import NextHop
from doubles.relay import Relay, letter

EVIL = b"MAIL FROM:<evil@sender.example>\r\nRCPT TO:<bob@acme.example>\r\nDATA\r\nSubject: smuggled\r\n\r\nsmuggled\r\n"

REFUSED = {
    "LF.LF": b"\n.\n",
    "LF.CRLF": b"\n.\r\n",
    "LF.CR": b"\n.\r",
    "CR.CR": b"\r.\r",
    "CR.LF": b"\r.\n",
    "CR.CRLF": b"\r.\r\n",
    "CRLF.LF": b"\r\n.\n",
    "CRLF.CR": b"\r\n.\r",
    "CRLF.CRCRLF": b"\r\n.\r\r\n",
    "CRCRLF.CRLF": b"\r\r\n.\r\n",
    "CRCRLF.CRCRLF": b"\r\r\n.\r\r\n",
    "CRLF.LFLF": b"\r\n.\n\n",
    "LFLF.LFLF": b"\n\n.\n\n",
    "LFCR.LFCR": b"\n\r.\n\r",
    "LFCR.CRLF": b"\n\r.\r\n",
    "CRCR.CRCR": b"\r\r.\r\r",
    "CRLF NUL .CRLF": b"\r\n\x00.\r\n",
    "CRLF.NUL CRLF": b"\r\n.\x00\r\n",
    "CR NUL LF.CRLF": b"\r\x00\n.\r\n",
    "CRLF.CR NUL LF": b"\r\n.\r\x00\n",
    "NUL CRLF": b"\x00\r\n",
    "LF NUL .CRLF": b"\n\x00.\r\n",
    "CRLF.LF CRLF": b"\r\n.\n\r\n",
    "LF.CRLF CRLF": b"\n.\r\n\r\n",
    "LF..CRLF": b"\n..\r\n",
    "CR..CRLF": b"\r..\r\n",
    "CRLF..LF": b"\r\n..\n",
    "CRLF.CR space LF": b"\r\n.\r \n",
}
"""Sequences with a bare CR or LF, or a NUL: they end nothing, and refuse the message behind its end (554 5.6.0)."""
ENDING_EARLY = {"CRCRLF.CRLF"}

CONTENT = {
    "CRLF..CRLF": b"\r\n..\r\n",
    "CRLF. CRLF": b"\r\n. \r\n",
    "CRLF.TAB CRLF": b"\r\n.\t\r\n",
    "CRLF .CRLF": b"\r\n .\r\n",
    "CRLF...CRLF": b"\r\n...\r\n",
    "CRLF.x CRLF": b"\r\n.x\r\n",
    "CRLF.VT CRLF": b"\r\n.\x0b\r\n",
    "CRLF.FF CRLF": b"\r\n.\x0c\r\n",
    "CRLF NEL . NEL": b"\r\n\xc2\x85.\xc2\x85\r\n",
    "NEL.NEL": b"\xc2\x85.\xc2\x85",
    "LS.LS": b"\xe2\x80\xa8.\xe2\x80\xa8",
    "x.CRLF": b"\r\nx.\r\n",
    "CRLF %0d%0a.": b"\r\n%0d%0a.%0d%0a\r\n",
    "0x8d 0x8a .": b"\x8d\x8a.\x8d\x8a\r\n",
}
"""Sequences without any: they are content, and leave as what they are."""


@dataclass
class House:
    relay: Relay
    by_data: Background
    by_bdat: Background

    def at(self, domain: str) -> Background:
        return self.by_bdat if domain == "chunking.example" else self.by_data


TENANTS = """
[[tenant]]
name = "acme"
loop_values = ["k7Jq2mV9xT4bR8nL5wZ3cY6h"]
[[tenant.domain]]
name = "acme.example"
next_hop = "{hop}"
verified = true
[[tenant.domain]]
name = "chunking.example"
next_hop = "CHUNKING"
verified = true
"""


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("smuggling")
    with running(NextHop(features=["PIPELINING", "8BITMIME"])) as plain, running() as chunking:
        tenants = TENANTS.replace("CHUNKING", chunking.address)
        with Relay(folder, hop=plain.address, tenants=tenants) as relay:
            yield House(relay, plain, chunking)


@pytest.fixture
def client(house: House) -> Iterator[Client]:
    house.by_data.hop.messages.clear()
    house.by_bdat.hop.messages.clear()
    with Client(house.relay.smtp_port) as client:
        client.hello()
        yield client


@pytest.mark.parametrize("name", [name for name in REFUSED if name not in ENDING_EARLY])
@pytest.mark.parametrize("segments", ["at once", "by bytes"])
def test_a_sequence_ends_nothing_and_refuses_the_message(
    name: str, segments: str, client: Client, house: House
) -> None:
    start(client)
    sequence = REFUSED[name]
    client.send(letter("outer", b"outer"))
    for piece in [sequence] if segments == "at once" else [sequence[at : at + 1] for at in range(len(sequence))]:
        client.send(piece)
    client.send(EVIL + b".\r\n")
    answer = client.reply()
    assert (answer.code, answer.text[:5]) == (554, "5.6.0")
    assert_nothing_more(client)
    assert house.by_data.hop.messages == []


@pytest.mark.parametrize("name", sorted(ENDING_EARLY))
def test_behind_a_real_end_come_commands(name: str, client: Client, house: House) -> None:
    """CRLF.CRLF is in these: DATA ends there for everybody; the message is refused for its bare CR all the same."""
    start(client)
    client.send(letter("outer", b"outer") + REFUSED[name])
    answer = client.reply()
    assert (answer.code, answer.text[:5]) == (554, "5.6.0")
    assert_nothing_more(client)
    assert house.by_data.hop.messages == []


@pytest.mark.parametrize("name", CONTENT)
@pytest.mark.parametrize("domain", ["acme.example", "chunking.example"])
def test_content_that_looks_like_an_end_leaves_as_one_message(
    name: str, domain: str, client: Client, house: House
) -> None:
    start(client, domain)
    wire = letter("outer", b"outer") + CONTENT[name] + EVIL
    client.send(wire + b".\r\n")
    assert client.reply().code == 250
    assert_nothing_more(client)
    [body] = house.at(domain).bodies
    assert body.endswith(wire.replace(b"\r\n.", b"\r\n"))


@pytest.mark.parametrize("at", range(len(END)))
def test_the_end_may_come_in_two_segments(at: int, client: Client, house: House) -> None:
    start(client)
    client.send(letter("outer", b"outer") + END[:at])
    assert client.quiet(0.05)
    client.send(END[at:])
    assert client.reply().code == 250
    [body] = house.by_data.bodies
    assert body.endswith(letter("outer", b"outer") + b"\r\n")


@pytest.mark.parametrize("sequence", [END, b"\n.\n", b"\n.\r\n", b"\r.\r", b"\r\n.\n", b"\r\r\n.\r\r\n"])
def test_bdat_with_an_end_inside_leaves_as_one_message_by_bdat(sequence: bytes, client: Client, house: House) -> None:
    body = letter("outer", b"outer" + sequence + EVIL + END)
    envelope(client, "chunking.example")
    assert client.bdat([body[:50], body[50:]]).code == 250
    [arrived] = house.by_bdat.bodies
    assert arrived.endswith(body)
    assert_nothing_more(client)


def test_bdat_with_an_end_inside_leaves_as_one_message_by_data(client: Client, house: House) -> None:
    body = letter("outer", b"outer" + END + EVIL + END)
    envelope(client)
    assert client.bdat([body]).code == 250
    [arrived] = house.by_data.bodies
    assert arrived.endswith(body)


@pytest.mark.parametrize("sequence", [b"\n.\n", b"\n.\r\n", b"\r.\r", b"\r\n.\n", b"\r\r\n.\r\r\n"])
def test_bdat_with_a_bare_end_inside_never_leaves_by_data(sequence: bytes, client: Client, house: House) -> None:
    envelope(client)
    answer = client.bdat([letter("outer", b"outer" + sequence + EVIL)])
    assert (answer.code, answer.text[:5]) == (554, "5.6.0")
    assert house.by_data.hop.messages == []


@pytest.mark.parametrize("first", [b".\r\n", b".x\r\n", b"..\r\n"])
def test_a_message_may_begin_with_a_dot(first: bytes, client: Client, house: House) -> None:
    """The dot of its very first line is doubled as well (RFC 5321 section 4.5.2)."""
    envelope(client)
    body = first + letter("outer")
    answer = client.bdat([body])
    if answer.code == 250:  # what begins with no header field may be refused for its lack of proof
        assert house.by_data.bodies[0].endswith(body)
    else:
        assert answer.code in {550, 554}
    assert len(house.by_data.bodies) <= 1


def test_an_empty_message_ends_at_once(client: Client) -> None:
    start(client)
    client.send(b".\r\n")
    assert client.reply().code in {550, 554}
    assert_nothing_more(client)


def test_what_is_stuffed_twice_is_unstuffed_once(client: Client, house: House) -> None:
    envelope(client)
    body = letter("outer", stuffed(b".\r\n..\r\nx\r\n"))
    assert client.data(body).code == 250
    assert house.by_data.bodies[0].endswith(body)


def envelope(client: Client, domain: str = "acme.example") -> None:
    answers = client.envelope("ann@sender.example", [f"bob@{domain}"])
    assert [answer.code for answer in answers] == [250, 250]


def start(client: Client, domain: str = "acme.example") -> None:
    """The envelope, and DATA."""
    envelope(client, domain)
    assert client.ask("DATA").code == 354


def assert_nothing_more(client: Client) -> None:
    """Nothing of what was sent is left to be read as a command."""
    assert client.ask("NOOP").code == 250
    assert client.ask("QUIT").code == 221
    assert client.closed()

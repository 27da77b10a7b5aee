"""Peers that stall, drip, break off anywhere and talk without end, on both sides. Each comes to its end within its
deadline, is counted, and leaves nothing behind: no session, connection, byte, descriptor or nameless file."""

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from doubles.background import Background, running
from doubles.client import Client, deliver
from doubles.nexthop import HANG_UP, Stall
from doubles.relay import LOOP, Relay, letter, wait_until
from doubles.traces import held

QUICK = """
    [smtp]
    idle_timeout = 0.6
    data_timeout = 0.6
    transfer_timeout = 3.0
    memory_bytes = 1000
    [delivery]
    max_messages = 1
    connect_timeout = 0.6
    command_timeout = 0.6
    final_timeout = 0.6
"""
PATIENT = """
    [smtp]
    idle_timeout = 60.0
    data_timeout = 60.0
    transfer_timeout = 1.0
    memory_bytes = 1000
    [delivery]
    max_messages = 1
"""
"""Nothing but the transfer as a whole can be too slow."""
ENVELOPE = [b"EHLO x\r\n", b"MAIL FROM:<a@b.example>\r\n", b"RCPT TO:<c@acme.example>\r\n"]
ENDS = [Client.reset, Client.close, Client.half_close]
SHORT = f"X-PERCEPTION-POINT-CUSTOM: {LOOP}\r\n\r\nx\r\n".encode()
TO_DATA = b"".join([*ENVELOPE, b"DATA\r\n"])


@pytest.fixture(scope="module")
def hop() -> Iterator[Background]:
    with running() as background:
        yield background


@pytest.fixture(scope="module")
def house(hop: Background, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Relay]:
    with Relay(tmp_path_factory.mktemp("hostile"), hop=hop.address, config=QUICK) as relay:
        yield relay


@contextmanager
def unharmed(house: Relay, hop: Background) -> Iterator[Relay]:
    """The relay; what it holds at the end of the test is what it held before, and the next message passes."""
    assert deliver(house.smtp_port, letter(), ["bob@acme.example"]).code == 250
    wait_until(lambda: held(house)[:4] == (0, 0, 0, 0))
    before = wait_until(lambda: (now := held(house)) == held(house) and now)
    yield house
    hop.hop.replies.clear()
    wait_until(lambda: held(house) == before, what=f"all is as before: {before}")
    assert deliver(house.smtp_port, letter(), ["bob@acme.example"]).code == 250
    assert house.events("session failed") == house.events("journey broke") == []
    assert not any("never retrieved" in line for line in house.log)


@pytest.fixture
def relay(house: Relay, hop: Background) -> Iterator[Relay]:
    with unharmed(house, hop) as relay:
        yield relay


@pytest.fixture
def patient(hop: Background, tmp_path: Path) -> Iterator[Relay]:
    with Relay(tmp_path, hop=hop.address, config=PATIENT) as house, unharmed(house, hop) as relay:
        yield relay


def idlers(relay: Relay) -> float:
    return relay.metric("sluice_refusals_total", reason="idle")


def begin(relay: Relay, wire: bytes) -> Client:
    """A client that has sent `wire`, and has read the reply to each command in it."""
    client = Client(relay.smtp_port)
    client.reply()
    client.send(wire)
    commands, data, body = wire.partition(TO_DATA)
    ended = body.endswith(b"\r\n.\r\n")
    for _ in range(data.count(b"\r\n") + ended if data else commands.count(b"\r\n")):
        client.reply()
    return client


def test_silence_at_each_step(relay: Relay) -> None:
    before = idlers(relay)
    steps = [b"", b"EH", b"EHLO x\r\n", b"".join(ENVELOPE[:2]), b"".join(ENVELOPE), TO_DATA, TO_DATA + SHORT]
    clients = [begin(relay, step) for step in steps]
    chunk = begin(relay, b"".join(ENVELOPE))
    chunk.send(b"BDAT 2000 LAST\r\n" + bytes(1500))
    for client in [*clients, chunk]:
        assert client.reply().code == 421
        assert client.closed()
        client.close()
    assert idlers(relay) == before + len(steps) + 1


def test_a_body_that_comes_drop_by_drop_ends(patient: Relay) -> None:
    """Each byte comes in time; all of them together do not."""
    before = idlers(patient)
    with begin(patient, TO_DATA) as data, begin(patient, b"".join(ENVELOPE)) as bdat:
        data.send(bytes(1500))  # it lies in a file already
        bdat.send(b"BDAT 1600 LAST\r\n" + bytes(1500))  # 100 drops would make it whole, in ten seconds
        while data.quiet(0.05) and bdat.quiet(0.05):
            data.send(b"x")
            bdat.send(b"x")
        for client in (data, bdat):
            assert client.reply().code == 421
            assert client.closed()
    assert idlers(patient) == before + 2


def test_a_command_that_comes_drop_by_drop_ends(relay: Relay) -> None:
    before = idlers(relay)
    with begin(relay, b"EHLO x\r\n") as client:
        client.send(b"NOOP ")
        while client.quiet(0.1):
            client.send(b"x")
        assert client.reply().code == 421
        assert client.closed()
    assert idlers(relay) == before + 1


@pytest.mark.parametrize("how", ENDS)
def test_breaking_off_at_each_byte(how: Callable[[Client], None], relay: Relay, hop: Background) -> None:
    wire = TO_DATA + SHORT + b".\r\n"
    sessions, messages = relay.metric("sluice_sessions_total"), len(hop.bodies)
    for end in range(len(wire) + 1):
        client = begin(relay, wire[:end])
        how(client)
        if how is Client.half_close:
            assert client.rest() == b""
        client.close()
    wait_until(lambda: relay.metric("sluice_sessions_open") == 0)
    assert relay.metric("sluice_sessions_total") == sessions + len(wire) + 1
    assert len(hop.bodies) == messages + 1  # the one that was answered before its client broke off


def test_who_breaks_off_while_the_message_is_handed_over_is_counted(relay: Relay, hop: Background) -> None:
    """It has begun, so it is finished; nobody hears of it, and the record says so."""
    stall = Stall(then="250 2.6.0 At last")
    hop.hop.replies["BODY"] = stall
    delivered = relay.metric("sluice_messages_total", outcome="delivered")
    client = begin(relay, TO_DATA)
    client.send(SHORT + b".\r\n")
    wait_until(stall.reached.is_set)
    client.reset()
    hop.go(stall)
    wait_until(lambda: relay.metric("sluice_messages_total", outcome="delivered") == delivered + 1)


@pytest.mark.parametrize("hello", [b"", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"EHLO x\r\n" * 50])
@pytest.mark.parametrize("how", ENDS)
def test_a_handshake_that_breaks_off(hello: bytes, how: Callable[[Client], None], relay: Relay) -> None:
    failed = len(relay.events("TLS handshake failed"))
    client = begin(relay, b"EHLO x\r\nSTARTTLS\r\n")
    client.send(hello)
    how(client)
    if how is Client.half_close:
        client.rest()
    client.close()
    wait_until(lambda: len(relay.events("TLS handshake failed")) == failed + 1)


def test_a_client_that_reads_no_replies(relay: Relay) -> None:
    """What it asks for piles up in the sockets, and not in the relay; then it is gone."""
    client = Client(relay.smtp_port)
    client._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client._socket.settimeout(0.5)
    with pytest.raises((TimeoutError, ConnectionError)):
        client.send(b"NOOP\r\n" * 5_000_000)
    client.reset()


LARGE = letter("x", b"Hello there.\r\n" * 1_200_000) + b".\r\n"
"""More than the sockets between here and the next hop can hold."""
ENDLESS = b"250-and more\r\n" * 100_000
TROUBLES: dict[str, tuple[dict[str, Any], str]] = {
    "accepts and says nothing": ({"GREETING": Stall()}, "connect"),
    "silent at EHLO": ({"EHLO": Stall()}, "connect"),
    "silent at MAIL": ({"MAIL": Stall()}, "timeout"),
    "silent at RCPT": ({"RCPT": Stall()}, "timeout"),
    "silent in the body": ({"BODY": Stall()}, "timeout"),
    "hangs up at the greeting": ({"GREETING": HANG_UP}, "connect"),
    "hangs up behind the body": ({"BODY": HANG_UP}, "hung_up"),
    "endless greeting": ({"GREETING": ENDLESS}, "protocol"),
    "endless EHLO": ({"EHLO": ENDLESS}, "protocol"),
    "endless RCPT": ({"RCPT": ENDLESS}, "protocol"),
    "endless line": ({"RCPT": b"250 " + b"x" * 1_000_000}, "protocol"),
    "endless at the end": ({"BODY": ENDLESS}, "protocol"),
}


@pytest.mark.parametrize("trouble", TROUBLES)
def test_a_next_hop_that_is_broken(trouble: str, relay: Relay, hop: Background) -> None:
    hop.hop.replies, kind = dict(TROUBLES[trouble][0]), TROUBLES[trouble][1]
    failures = relay.metric("sluice_next_hop_failures_total", kind=kind)
    answer = deliver(relay.smtp_port, letter("x", b"Hello.\r\n" * 1_000), ["bob@acme.example"])
    assert answer.code == 451
    assert relay.metric("sluice_next_hop_failures_total", kind=kind) == failures + 1


@pytest.mark.parametrize(
    ("early", "code", "metric"),
    [
        ("250 2.6.0 taken", 451, ("sluice_next_hop_failures_total", {"kind": "protocol"})),
        ("552 5.3.4 too much", 552, ("sluice_messages_total", {"outcome": "rejected_by_next_hop"})),
    ],
)
def test_a_final_reply_before_the_end(
    early: str, code: int, metric: tuple[str, dict[str, str]], relay: Relay, hop: Background
) -> None:
    """A refusal is passed on and ends the body; a yes to what has not been read is not believed."""
    hop.hop.replies["MIDBODY"] = (early, Stall())
    before = relay.metric(metric[0], **metric[1])
    with begin(relay, TO_DATA) as client:
        client.send(LARGE)
        assert client.reply().code == code
    assert relay.metric(metric[0], **metric[1]) == before + 1

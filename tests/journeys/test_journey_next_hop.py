"""Next hops that stall, hang up, allow few connections or speak TLS badly; and senders that leave."""

import ssl
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest
from doubles.answering_rspamd import AnsweringRspamd
from doubles.background import Background, running
from doubles.certificates import Authority
from doubles.client import Client, Reply, deliver
from doubles.nexthop import HANG_UP, NextHop, Stall
from doubles.relay import TENANTS, Relay, letter, wait_until

QUICK = """
    [delivery]
    connect_timeout = 1.0
    command_timeout = 1.0
    final_timeout = 1.0
    wait_timeout = 20.0
"""


@dataclass
class House:
    relay: Relay
    hop: Background


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with running() as hop, Relay(tmp_path_factory.mktemp("next_hop"), hop=hop.address, config=QUICK) as relay:
        yield House(relay, hop)


@pytest.fixture(autouse=True)
def well_behaved(request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    if "house" in request.fixturenames:
        hop = request.getfixturevalue("house").hop
        hop.hop.replies.clear()
        hop.hop.messages.clear()
        hop.hang_up()


def sent(relay: Relay, subject: str = "hello", **answer: str) -> Reply:
    extra = "".join(f"X-Answer: {value}\r\n" for value in answer.values())
    return deliver(relay.smtp_port, letter(subject, extra=extra), ["bob@acme.example"])


@pytest.mark.parametrize("step", ["GREETING", "EHLO", "MAIL", "RCPT", "BDAT", "MIDBODY", "BODY"])
def test_it_stalls(step: str, house: House) -> None:
    """A 4xx in time, which tells nothing of the inside; and the next message goes."""
    house.hop.hang_up()
    wait_until(lambda: house.hop.hop.open == 0)
    stall = house.hop.hop.replies[step] = Stall(then=HANG_UP)
    before = time.monotonic()
    answer = sent(house.relay)
    assert answer.code // 100 == 4
    assert "127.0.0.1" not in str(answer)
    assert time.monotonic() - before < 10
    house.hop.hop.replies.clear()
    house.hop.go(stall)
    assert sent(house.relay).code == 250


def test_it_stalls_at_data(tmp_path: Path) -> None:
    with (
        running(NextHop(features=["8BITMIME"], replies={"DATA": Stall()})) as hop,
        Relay(tmp_path, hop=hop.address, config=QUICK) as relay,
    ):
        assert sent(relay).code // 100 == 4
        assert relay.metric("sluice_next_hop_failures_total", kind="timeout") >= 1


def test_a_pooled_connection_that_died_costs_nothing(house: House) -> None:
    assert sent(house.relay).code == 250
    house.hop.hang_up()
    assert sent(house.relay).code == 250
    assert len(house.hop.bodies) == 2


def test_connections_are_used_again(house: House) -> None:
    before = house.hop.hop.connections
    for _ in range(5):
        assert sent(house.relay).code == 250
    assert house.hop.hop.connections - before <= 1


def test_the_sender_leaves_when_the_body_has_begun(house: House) -> None:
    """The hand-over is finished and recorded all the same."""
    stall = house.hop.hop.replies["BODY"] = Stall(then="250 2.6.0 Late but here")
    with Client(house.relay.smtp_port) as client:
        client.hello()
        client.envelope("ann@sender.example", ["bob@acme.example"])
        assert client.ask("DATA").code == 354
        client.send(letter("left") + b".\r\n")
        wait_until(stall.reached.is_set)
    house.hop.go(stall)
    record = wait_until(lambda: next((one for one in house.relay.scans(5) if one["subject"] == "left"), None))
    assert record["outcome"] == "delivered"
    assert record["reply"] == "250 2.6.0 Late but here"
    assert len(house.hop.bodies) == 1


@pytest.fixture
def slow() -> Iterator[AnsweringRspamd]:
    rspamd = AnsweringRspamd()
    yield rspamd
    rspamd.close()


def test_the_sender_leaves_while_the_engines_work(slow: AnsweringRspamd, tmp_path: Path) -> None:
    """The sender has the message still: it is not handed over."""
    with running() as hop, Relay(tmp_path, hop=hop.address, config=f'engines.rspamd.url = "{slow.url}"') as relay:
        with Client(relay.smtp_port) as client:
            client.hello()
            client.envelope("ann@sender.example", ["bob@acme.example"])
            assert client.ask("DATA").code == 354
            client.send(letter("left", extra="X-Answer: sleep 1\r\n") + b".\r\n")
            wait_until(lambda: slow.requests)
        [record] = wait_until(relay.scans)
        assert record["outcome"] == "abandoned"
        assert hop.bodies == []


def test_held_for_long_it_is_given_back_and_asked_again(slow: AnsweringRspamd, tmp_path: Path) -> None:
    config = f'engines.rspamd.url = "{slow.url}"\ndelivery.hold = 0.2'
    with running() as hop, Relay(tmp_path, hop=hop.address, config=config) as relay:
        assert sent(relay, answer="sleep 1").code == 250
        verbs = [verb for verb in hop.hop.verbs() if verb in {"MAIL", "RCPT", "RSET", "BDAT"}]
        assert verbs == ["MAIL", "RCPT", "RSET", "MAIL", "RCPT", "BDAT"]
        assert relay.metric("sluice_pool_given_back_total") == 1
        assert len(hop.bodies) == 1


def test_asked_again_with_another_answer(slow: AnsweringRspamd, tmp_path: Path) -> None:
    config = f'engines.rspamd.url = "{slow.url}"\ndelivery.hold = 0.2'
    replies = {"RCPT": ["250 2.1.5 ok", "550 5.1.1 no more"]}
    with running(NextHop(replies=replies)) as hop, Relay(tmp_path, hop=hop.address, config=config) as relay:
        answer = sent(relay, answer="sleep 1")
        assert answer.code == 451
        assert "no more" not in str(answer)
        assert relay.metric("sluice_next_hop_failures_total", kind="changed") == 1
        assert hop.bodies == []


@pytest.mark.slow
def test_a_slow_engine_does_not_eat_the_connections(slow: AnsweringRspamd, tmp_path: Path) -> None:
    """Of a next hop that grants two: ten slow messages at once, and a quick one that does not wait for them."""
    hop = NextHop()
    hop.replies["GREETING"] = lambda _: "421 4.3.2 too many connections" if hop.open > 2 else None
    config = f'engines.rspamd.url = "{slow.url}"\ndelivery.connections = 2'
    with running(hop) as background, Relay(tmp_path, hop=background.address, config=config) as relay:
        with ThreadPoolExecutor(10) as senders:
            slow_ones = [senders.submit(sent, relay, f"slow{number}", answer="sleep 3") for number in range(10)]
            wait_until(lambda: len(slow.requests) == 10, what="all ten are being judged")
            before = time.monotonic()
            assert sent(relay, "quick").code == 250
            assert time.monotonic() - before < 1.5
            assert [one.result().code for one in slow_ones] == [250] * 10
        assert len(background.bodies) == 11
        assert hop.connections <= 4


def test_others_wait_for_the_only_connection(slow: AnsweringRspamd, tmp_path: Path) -> None:
    config = f'engines.rspamd.url = "{slow.url}"\ndelivery.connections = 1'
    with running() as hop, Relay(tmp_path, hop=hop.address, config=config) as relay:
        results: list[Reply] = []
        first = threading.Thread(target=lambda: results.append(sent(relay, "slow", answer="sleep 1")))
        first.start()
        wait_until(lambda: slow.requests)
        assert sent(relay, "quick").code == 250
        assert results == []
        first.join()
        assert results[0].code == 250
        assert hop.hop.connections == 1


@pytest.mark.parametrize(
    ("name", "offered", "code"),
    [("localhost", True, 250), ("elsewhere.example", True, 451), ("localhost", False, 451)],
)
def test_tls_that_is_verified(name: str, offered: bool, code: int, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.issue(name, "hop"))
    config = f'[delivery]\ntls = "verify"\nroots = "{tmp_path}/roots.crt"\nconnect_timeout = 3.0'
    with (
        running(NextHop(tls=context if offered else None)) as hop,
        Relay(tmp_path / "relay", hop=f"localhost:{hop.hop.port}", config=config, tenants=TENANTS) as relay,
    ):
        assert sent(relay).code == code
        assert [message.tls for message in hop.hop.messages] == [True] * (code == 250)
        if code != 250:
            assert relay.metric("sluice_next_hop_failures_total", kind="tls") >= 1

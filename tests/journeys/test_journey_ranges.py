"""Microsoft's ranges, through the whole relay: it asks by itself, takes a change over within seconds, loses nothing."""

import contextlib
import math
import signal
import ssl
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from doubles.background import Background, running
from doubles.certificates import Authority
from doubles.client import Client
from doubles.pretend_endpoints import WORLDWIDE, PretendEndpoints
from doubles.relay import Relay, letter, wait_until

from relay.onboarding.ranges.notebook import NAME, Notebook

NEW = "20.200.0.0/17"
MORE = (*WORLDWIDE, NEW)
OLD_PEER, NEW_PEER, POOL_PEER, STRANGER = "40.92.0.7", "20.200.0.7", "40.95.0.7", "198.51.100.7"


@pytest.fixture
def hop() -> Iterator[Background]:
    with running() as background:
        yield background


@pytest.fixture
def service() -> Iterator[PretendEndpoints]:
    with PretendEndpoints() as endpoints:
        yield endpoints
    assert endpoints.rude == []


def settings(service: PretendEndpoints, more: str = "") -> str:
    """A relay behind a balancer, which tells Microsoft's addresses, and which asks `service`."""
    return f"""
        smtp.proxy_networks = ["127.0.0.2/32"]
        admission.microsoft = true
        admission.networks = []
        admission.refresh_jitter = 0.0
        admission.endpoints_url = "{service.url}"
        {more}
    """


@contextlib.contextmanager
def peer(relay: Relay, address: str) -> Iterator[Client]:
    """A connection that comes from `address`, as the balancer says."""
    with Client(relay.smtp_port, source="127.0.0.2") as client:
        client.send(f"PROXY TCP4 {address} 203.0.113.1 40000 25\r\n".encode())
        yield client


def greeting(relay: Relay, address: str) -> int:
    """What a peer of this address hears first."""
    with peer(relay, address) as client:
        return client.reply().code


def an_hour_passes(relay: Relay, service: PretendEndpoints) -> None:
    """In what the relay remembers, and for the service."""
    service.pass_time()
    notebook = Notebook(relay.state)
    for name in notebook.read().clouds:
        notebook.change(name, lambda cloud: replace(cloud, asked=cloud.asked - 3601, next=cloud.next - 3601))


def asked(service: PretendEndpoints, count: int) -> None:
    """Wait until the service has been asked so often."""
    wait_until(lambda: len(service.asked) >= count, what=f"{count} questions, and not {service.methods()}")


def test_a_new_network_is_admitted_within_seconds_and_sessions_stay(
    hop: Background, service: PretendEndpoints, tmp_path: Path
) -> None:
    with Relay(tmp_path, hop=hop.address, config=settings(service)) as relay:
        asked(service, 1)
        answered = "sluice_microsoft_ranges_checked_timestamp_seconds"
        wait_until(lambda: relay.metric(answered) > 1_700_000_000)
        peers = [OLD_PEER, POOL_PEER, NEW_PEER, STRANGER]
        assert [greeting(relay, one) for one in peers] == [220, 220, 554, 554]
        with peer(relay, OLD_PEER) as client:
            client.hello()
            assert {one.code for one in client.envelope("ann@sender.example", ["bob@acme.example"])} == {250}
            service.publish("2026101500", (*MORE[1:],))  # 40.92.0.0/15 goes: that is too much
            an_hour_passes(relay, service)
            wait_until(lambda: relay.metric("sluice_microsoft_ranges_held") == 1)
            assert [greeting(relay, one) for one in peers] == [220, 220, 554, 554]
            service.publish("2026101600", MORE)
            an_hour_passes(relay, service)
            wait_until(lambda: greeting(relay, NEW_PEER) == 220)
            assert [greeting(relay, one) for one in peers] == [220, 220, 220, 554]
            assert client.data(letter("stays")).code == 250
        with peer(relay, NEW_PEER) as client:
            client.hello()
            client.envelope("ann@sender.example", ["bob@acme.example"])
            assert client.data(letter("new")).code == 250
        assert len(hop.bodies) == 2
        wait_until(lambda: relay.metric("sluice_microsoft_ranges_held") == 0)
        assert relay.metric("sluice_microsoft_ranges_timestamp_seconds") == 1792108800.0  # 2026-10-16
        assert service.methods() == ["version", *["version", "endpoints"] * 2]
        assert len({one.client for one in service.asked}) == 1
        [changed] = relay.events("Microsoft's ranges changed")
        assert (changed["added"], changed["removed"], changed["level"]) == ([NEW], [], "info")
        [held] = relay.events("Microsoft's ranges changed too much, the old ones stay")
        assert (held["removed"], held["level"]) == (["40.92.0.0/15"], "warning")
        relay.signal(signal.SIGHUP)
        wait_until(lambda: relay.metric("sluice_reloads_total", result="ok") == 1)
        assert greeting(relay, NEW_PEER) == 220


def test_a_restart_asks_nothing_again_and_knows_what_was_fetched(
    hop: Background, service: PretendEndpoints, tmp_path: Path
) -> None:
    service.publish("2026101500", MORE)
    with Relay(tmp_path, hop=hop.address, config=settings(service)) as relay:
        wait_until(lambda: greeting(relay, NEW_PEER) == 220)
        for end in (relay.kill9, relay.stop):
            end()
            relay.start()
            assert greeting(relay, NEW_PEER) == 220
        assert relay.metric("sluice_microsoft_ranges_timestamp_seconds") == 1792022400.0
        assert service.methods() == ["version", "endpoints"]
        assert relay.cli("ranges", "update").startswith("worldwide: asked at ")
        assert service.methods() == ["version", "endpoints"]


def test_an_operators_yes_reaches_all_workers(hop: Background, service: PretendEndpoints, tmp_path: Path) -> None:
    """One of them asks, all follow."""
    service.publish("2026101500", (*WORLDWIDE, "20.200.0.0/13"))
    config = settings(service, "smtp.workers = 2")
    with Relay(tmp_path, hop=hop.address, config=config) as relay:
        wait_until(lambda: relay.metric("sluice_microsoft_ranges_held") == 1)
        assert {greeting(relay, NEW_PEER) for _ in range(9)} == {554}
        assert "+ 20.200.0.0/13" in relay.cli("ranges", "show")
        relay.cli("ranges", "update", "--accept")
        wait_until(lambda: len(relay.events("Microsoft's ranges loaded")) == 2)
        assert {greeting(relay, NEW_PEER) for _ in range(9)} == {220}
        assert service.methods() == ["version", "endpoints"]


def test_what_fails_costs_nobody_anything(hop: Background, service: PretendEndpoints, tmp_path: Path) -> None:
    """A service that does not answer, a list that opens the door to all, a file that is damaged: mail goes on."""
    service.publish("2026101500", MORE)
    failures = "sluice_microsoft_ranges_failures_total"
    with Relay(tmp_path, hop=hop.address, config=settings(service)) as relay:
        wait_until(lambda: greeting(relay, NEW_PEER) == 220)
        service.publish("2026101600", ("0.0.0.0/0",))
        an_hour_passes(relay, service)
        wait_until(lambda: relay.metric(failures, kind="refused") == 1)
        stuck = threading.Event()
        service.misbehave["version"] = lambda exchange: (stuck.set(), service.leave.wait(60), exchange.say_raw(b""))[0]
        an_hour_passes(relay, service)
        assert stuck.wait(15)
        file = relay.state / NAME
        file.write_text(file.read_text()[:50])
        wait_until(lambda: relay.events("Microsoft's ranges that were fetched cannot be read, older ones count"))
        assert [greeting(relay, one) for one in (OLD_PEER, NEW_PEER, STRANGER)] == [220, 220, 554]
        assert relay.ready()
        relay.kill9()
        relay.start()
        assert [greeting(relay, one) for one in (OLD_PEER, NEW_PEER, STRANGER)] == [220, 554, 554]
        assert relay.metric("sluice_microsoft_ranges_timestamp_seconds") == 1786665600.0  # the shipped list


def test_by_tls(hop: Background, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority = Authority(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.issue("127.0.0.1", "endpoints"))
    with PretendEndpoints(context) as service:
        service.publish("2026101500", MORE)
        with Relay(tmp_path / "alone", hop=hop.address, config=settings(service)) as relay:
            wait_until(lambda: relay.metric("sluice_microsoft_ranges_failures_total", kind="tls") == 1)
            assert greeting(relay, NEW_PEER) == 554
        assert service.asked == []
        monkeypatch.setenv("SSL_CERT_FILE", str(authority.roots))
        with Relay(tmp_path / "told", hop=hop.address, config=settings(service)) as relay:
            wait_until(lambda: greeting(relay, NEW_PEER) == 220)


@pytest.mark.parametrize("more", ["admission.refresh = false", "admission.microsoft = false"])
def test_who_does_not_want_it_is_not_asked_for(
    hop: Background, service: PretendEndpoints, tmp_path: Path, more: str
) -> None:
    plain = settings(service).replace("admission.microsoft = true", "")
    also = "" if "microsoft" in more else "admission.microsoft = true"
    with Relay(tmp_path, hop=hop.address, config=f"{plain}\n{more}\n{also}") as relay:
        relay.signal(signal.SIGHUP)
        wait_until(lambda: relay.metric("sluice_reloads_total", result="ok") == 1)
        assert greeting(relay, OLD_PEER) == (220 if "refresh" in more else 554)
        assert service.asked == []
        answered = relay.metric("sluice_microsoft_ranges_checked_timestamp_seconds")
        assert answered == 0 if "refresh" in more else math.isnan(answered)
        relay.configure(settings(service))
        relay.signal(signal.SIGHUP)
        asked(service, 1)

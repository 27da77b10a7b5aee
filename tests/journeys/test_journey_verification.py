"""The running relay looks for domains' records: mail flows when they are there, and for a while when they are gone."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from doubles.background import running
from doubles.client import Client
from doubles.nexthop import NextHop
from doubles.real_named import put_txt, real_named
from doubles.relay import Relay, wait_until

from relay.records import verifications
from relay.records.store import Store

QUICK = "recheck_hours = 0.000001\nlapse_days = 0.000001\n"
"""Every look is due, and what lapses has lapsed at the next one."""


@pytest.fixture(scope="module")
def named(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with real_named(tmp_path_factory.mktemp("named"), {"new.example": ""}) as address:
        yield address


@pytest.fixture
def relay(named: str, tmp_path: Path) -> Iterator[Relay]:
    config = f'dns = {{ servers = ["{named}"], timeout = 1.0 }}\n[onboarding]\nname_servers = ["{named}"]\n{QUICK}'
    with running(NextHop()) as hop, Relay(tmp_path, hop=hop.address, config=config) as made:
        made.cli("domain", "add", "acme", "new.example", "--next-hop", hop.address)
        yield made


def value(relay: Relay) -> str:
    store = Store(f"sqlite:///{relay.state / 'sluice.db'}")
    (row,) = verifications.load(store)
    store.close()
    return row.value


def code(relay: Relay) -> int:
    with Client(relay.smtp_port) as client:
        client.hello()
        return client.envelope("ann@sender.example", ["bob@new.example"])[-1].code


def states(relay: Relay) -> dict[str, float]:
    return {
        state: relay.metric("sluice_domains", state=state) for state in ("pending", "verified", "lapsing", "lapsed")
    }


def look_again(relay: Relay, event: str) -> None:
    """The relay looks at its start, and every 30 seconds."""
    relay.stop()
    relay.log.clear()
    relay.start()
    (line,) = wait_until(lambda: relay.events(event))
    assert (line["domain"], line["tenant"], line["region"]) == ("new.example", "acme", "primary")
    assert line["level"] == ("info" if event == "domain verified" else "warning")
    wait_until(lambda: states(relay)[event.removeprefix("domain ")] == 1)


@pytest.mark.slow
def test_a_proof_comes_and_lapses_and_comes_back(relay: Relay, named: str) -> None:
    wait_until(lambda: code(relay) == 451)
    put_txt(named, "new.example", "_sluice", "v=spf1 -all", value(relay))
    look_again(relay, "domain verified")
    wait_until(lambda: code(relay) == 250)

    put_txt(named, "new.example", "_sluice", "v=spf1 -all")
    look_again(relay, "domain lapsing")
    assert code(relay) == 250  # warned of, and not suspended yet

    look_again(relay, "domain lapsed")
    wait_until(lambda: code(relay) == 451)

    put_txt(named, "new.example", "_sluice", value(relay))
    assert relay.command("domain", "verify", "new.example").returncode == 0
    wait_until(lambda: code(relay) == 250)  # taken over at once, and without a restart
    put_txt(named, "new.example", "_sluice")

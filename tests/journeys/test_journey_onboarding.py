"""Tenants and domains are changed beside a running relay: it takes each change over, and no session notices."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from doubles.background import Background, running
from doubles.client import Client, deliver
from doubles.nexthop import NextHop
from doubles.relay import LOOP, TENANTS, Relay, letter, wait_until

from relay.records import tenants, verifications
from relay.records.store import Store


@pytest.fixture
def hop() -> Iterator[Background]:
    with running(NextHop()) as background:
        yield background


@pytest.fixture
def relay(hop: Background, tmp_path: Path) -> Iterator[Relay]:
    with Relay(tmp_path, hop=hop.address) as made:
        yield made


def loaded(relay: Relay) -> None:
    """Wait until the relay has taken the last change over."""
    store = Store(f"sqlite:///{relay.state / 'sluice.db'}")
    revision = tenants.revision(store)
    store.close()
    wait_until(lambda: [line for line in relay.events("tenants loaded") if line["revision"] == revision])


def rcpt(client: Client, address: str) -> int:
    """What RCPT hears in a new transaction of a session that stays."""
    client.ask("RSET")
    return client.envelope("ann@sender.example", [address])[-1].code


def test_domains_come_and_go_beneath_an_open_session(relay: Relay, hop: Background) -> None:
    with Client(relay.smtp_port) as client:
        client.hello()
        assert rcpt(client, "bob@new.example") == 550
        relay.cli("domain", "add", "acme", "new.example", "--next-hop", hop.address)
        loaded(relay)
        assert rcpt(client, "bob@new.example") == 451  # not proved yet
        relay.cli("domain", "set", "acme", "new.example", "--vouch")
        loaded(relay)
        assert rcpt(client, "bob@new.example") == 250
        relay.cli("domain", "set", "acme", "new.example", "--next-hop", "127.0.0.1:1")
        loaded(relay)
        assert rcpt(client, "bob@new.example") == 451
        relay.cli("domain", "remove", "acme", "new.example", "--yes")
        loaded(relay)
        assert rcpt(client, "bob@new.example") == 550
        assert rcpt(client, "bob@acme.example") == 250
    assert relay.metric("sluice_refusals_total", reason="not_verified") == 1


def test_a_record_that_is_there_opens_the_way_and_one_that_lapsed_closes_it(relay: Relay, hop: Background) -> None:
    relay.cli("domain", "add", "acme", "new.example", "--next-hop", hop.address)
    store = Store(f"sqlite:///{relay.state / 'sluice.db'}")
    (row,) = verifications.load(store)
    for state, code in (("verified", 250), ("lapsed", 451), ("verified", 250)):
        verifications.put(store, replace(row, state=state))
        loaded(relay)
        with Client(relay.smtp_port) as client:
            client.hello()
            assert rcpt(client, "bob@new.example") == code
    store.close()


def test_a_rotation_from_its_beginning_to_its_end(relay: Relay) -> None:
    def sent(value: str) -> int:
        return deliver(relay.smtp_port, letter(loop=value), ["bob@acme.example"]).code

    store = Store(f"sqlite:///{relay.state / 'sluice.db'}")
    relay.cli("tenant", "rotate", "acme")
    new, old = tenants.load(store)[1][0]["loop_values"]
    store.close()
    loaded(relay)
    assert old == LOOP
    assert [sent(new), sent(old), sent("another-value")] == [250, 250, 550]
    wait_until(lambda: len(relay.scans()) == 3)
    assert [scan["proof"] for scan in reversed(relay.scans())] == ["ok", "ok, old value", "wrong loop value"]
    assert "less than 3 days ago" in relay.command("tenant", "rotate", "acme", "--end").stderr
    relay.cli("tenant", "rotate", "acme", "--end", "--force")
    loaded(relay)
    assert [sent(new), sent(old)] == [250, 550]
    assert LOOP not in "\n".join(relay.log)


def test_a_tenant_by_commands_is_as_good_as_one_by_its_file(hop: Background, tmp_path: Path) -> None:
    with Relay(tmp_path, hop=hop.address, tenants="tenant = []\n") as relay:
        assert deliver(relay.smtp_port, letter(), ["bob@acme.example"]).code == 451
        relay.cli("tenant", "add", "acme")
        relay.cli("domain", "add", "acme", "acme.example", "--next-hop", hop.address, "--vouch")
        relay.cli("tenant", "set", "acme", "proof=log", "policy.observe=true")
        loaded(relay)
        assert deliver(relay.smtp_port, letter(), ["bob@acme.example"]).code == 250
        relay.apply(TENANTS)
        loaded(relay)
        assert deliver(relay.smtp_port, letter(loop="another-value"), ["bob@acme.example"]).code == 550

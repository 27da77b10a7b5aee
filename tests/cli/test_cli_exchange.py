"""sluice tenant script and guide: what is handed to a tenant's administrator, and what is told besides."""

import pytest
from doubles.exchange import Exchange
from doubles.powershell import Machine, parse

from relay.records import tenants, verifications
from relay.records.store import Store

ENVIRONMENT = """
[environments.eu]
egress = ["192.0.2.1"]
smart_host = "in.sluice.example"
validation_address = "check@sluice.example"
ptr_domain = "mx.sluice.example"
secondary_egress = ["198.51.100.1"]
secondary_region = "east"
region = "west"
"""


@pytest.fixture
def acme(sluice, config, tmp_path):
    """A tenant whose two domains are vouched for and open."""
    config.write_text(config.read_text() + ENVIRONMENT)
    sluice("tenant", "add", "acme", "--environment", "eu", "--config", config)
    hop = ("--next-hop", "acme-example.mail.protection.outlook.com", "--config", config)
    sluice("domain", "add", "acme", "acme.example", "--vouch", *hop)
    sluice("domain", "add", "acme", "open.example", *hop)
    store = Store(f"sqlite:///{tmp_path}/state/sluice.db")
    yield store
    store.close()


def secret(store):
    return tenants.load(store)[1][0]["loop_values"][0]


def test_the_script_sets_up_an_organisation(sluice, config, acme):
    ran = sluice("tenant", "script", "acme", "--config", config)
    assert ran.status == 0
    assert ran.out.isascii()
    exchange = Exchange("acme.example", "open.example")
    assert Machine(parse(ran.out), exchange).run().status == 0
    redirect = exchange.rules[1]
    assert redirect["RecipientDomainIs"] == ["acme.example"]
    assert redirect["SetHeaderValue"] == secret(acme)
    assert exchange.sealers == []
    assert ran.err.splitlines() == [
        "note: open.example is left out: nothing proves it yet",
        "note: no [arc] in the configuration: Exchange is not told to trust a seal",
        "note: it has the tenant's loop value: keep it secret",
    ]


def test_the_guide_tells_the_same(sluice, config, acme):
    hardened, article = (
        sluice("tenant", "guide", "acme", "--config", config, *more) for more in ((), ("--as-in-article",))
    )
    for ran in (hardened, article):
        assert ran.status == 0
        assert f"- Set the message header to the value: `{secret(acme)}`" in ran.out
        assert "open.example" not in ran.out
        assert "note: open.example is left out: nothing proves it yet" in ran.err
    assert "`mx.sluice.example`" in hardened.out
    assert "`192.0.2.0/24`" in article.out


def test_a_domain_that_dns_proves_is_in_it(sluice, config, acme):
    sluice("tenant", "set", "acme", "multi_region=true", "--config", config)
    (row,) = [row for row in verifications.load(acme) if row.region == "west"]
    with acme.writing() as connection:
        connection.execute(verifications.table.update().where(verifications.table.c.region == "west").values(
            state="verified"))  # fmt: skip
    ran = sluice("tenant", "script", "acme", "--config", config)
    assert f"'{row.domain}'" in ran.out
    assert "note: open.example is not proved yet in east" in ran.err


def test_what_is_missing_is_told(sluice, config, acme):
    sluice("domain", "remove", "acme", "acme.example", "--yes", "--config", config)
    ran = sluice("tenant", "script", "acme", "--config", config)
    assert (ran.status, ran.out) == (1, "")
    assert ran.err.startswith("sluice: acme has no protected domain")
    sluice("tenant", "set", "acme", "environment=", "--config", config)
    ran = sluice("tenant", "guide", "acme", "--config", config)
    assert (ran.status, ran.out) == (1, "")
    assert ran.err == "sluice: acme needs an environment: sluice tenant set 'acme' environment=NAME\n"
    ran = sluice("tenant", "script", "hooli", "--config", config)
    assert ran.err == "sluice: no such tenant: 'hooli'\n"


def test_the_seal_of_the_configuration_is_trusted(sluice, config, acme, certificate):
    _, key = certificate(30)
    config.write_text(config.read_text() + f'[arc]\ndomain = "sluice.example"\nselector = "s"\nprivate_key = "{key}"\n')
    ran = sluice("tenant", "script", "acme", "--config", config)
    exchange = Exchange("acme.example")
    Machine(parse(ran.out), exchange).run()
    assert exchange.sealers == ["sluice.example"]
    assert "[arc]" not in ran.err

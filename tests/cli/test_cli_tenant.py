"""sluice tenant: apply says what changed, and stores all or nothing."""

import json

import pytest

from relay.records import tenants
from relay.records.store import Store

SECRET = "k7Jq2mV9xT4bR8nL5wZ3cY6h"


def tenant(name, hop="mx.acme.example", more=""):
    return (
        f'[[tenant]]\nname = "{name}"\nloop_values = ["{SECRET}"]\n{more}'
        f'[[tenant.domain]]\nname = "{name}.example"\nnext_hop = "{hop}"\nverified = true\n'
    )


@pytest.fixture
def apply(sluice, config, tmp_path):
    def apply(*texts):
        file = tmp_path / "tenants.toml"
        file.write_text("tenant = []\n" if not texts else "\n".join(texts))
        return sluice("tenant", "apply", file, "--config", config)

    return apply


@pytest.fixture
def revision(tmp_path):
    def revision():
        store = Store(f"sqlite:///{tmp_path}/state/sluice.db")
        try:
            return tenants.revision(store)
        finally:
            store.close()

    return revision


def test_apply_tells_what_changed_and_is_idempotent(apply, revision):
    ran = apply(tenant("acme"), tenant("initech"))
    assert (ran.status, ran.err) == (0, "")
    assert ran.out.splitlines() == ["added: acme", "added: initech"]
    before = revision()
    assert apply(tenant("acme"), tenant("initech")).out.splitlines() == ["unchanged: acme", "unchanged: initech"]
    assert revision() == before
    assert apply(tenant("acme", hop="127.0.0.1:26"), tenant("hooli")).out.splitlines() == [
        "added: hooli",
        "changed: acme",
        "removed: initech",
    ]
    assert revision() > before
    assert apply().out.splitlines() == ["removed: acme", "removed: hooli"]
    assert apply().out == "no tenants\n"


def test_a_broken_file_tells_every_mistake_and_stores_nothing(apply, revision, sluice, config):
    apply(tenant("acme"))
    before = revision()
    ran = apply(tenant("good"), tenant("acme", more='prof = "log"\nproof = "maybe"\n'), "x = 1\n")
    assert (ran.status, ran.out) == (1, "")
    places = [line.partition("tenants.toml:")[2] for line in ran.err.splitlines()]
    assert places == [
        "12: tenant[1].prof: unknown key; did you mean proof?",
        "13: tenant[1].proof: must be 'require' or 'log'",
        "19: tenant[1].domain[0].x: unknown key",
    ]
    assert revision() == before
    assert [one["name"] for one in json.loads(sluice("tenant", "list", "--json", "--config", config).out)] == ["acme"]


def test_a_domain_of_two_tenants_is_a_mistake_at_its_line(apply):
    ran = apply(tenant("acme"), tenant("acme"))
    assert ran.status == 1
    assert [line.partition("tenants.toml:")[2].split(": ")[:2] for line in ran.err.splitlines()] == [
        ["10", "tenant[1].name"],
        ["13", "tenant[1].domain[0].name"],
    ]


def test_no_message_shows_a_secret(apply):
    ran = apply(tenant("acme").replace(SECRET, SECRET + "\\u00e9").replace("verified", "verfied"))
    assert ran.status == 1
    assert SECRET not in ran.err
    ran = apply(tenant("acme").replace(f'["{SECRET}"]', f'"{SECRET}"'))
    assert ran.status == 1
    assert SECRET not in ran.err


def test_list(apply, sluice, config):
    apply(tenant("acme"), tenant("initech", more='proof = "log"\npolicy.observe = true\n'))
    ran = sluice("tenant", "list", "--config", config)
    header, acme, initech = ran.out.splitlines()
    assert header.split() == ["tenant", "domain", "next", "hop", "verified", "proof", "policy"]
    assert acme.split() == ["acme", "acme.example", "mx.acme.example", "yes", "require", "act"]
    assert initech.split()[-2:] == ["log", "observe"]
    listed = json.loads(sluice("tenant", "list", "--json", "--config", config).out)
    assert [one["loop_values"] for one in listed] == [1, 1]
    assert listed[0]["domain"] == [{"name": "acme.example", "next_hop": "mx.acme.example", "verified": True}]
    assert SECRET not in ran.out + json.dumps(listed)


def test_list_before_anything_was_stored(sluice, config):
    ran = sluice("tenant", "list", "--json", "--config", config)
    assert (ran.status, json.loads(ran.out), ran.err) == (0, [], "")


def test_a_mistake_in_the_configuration_is_told_on_stderr(sluice, config, tmp_path):
    config.write_text("[node]\n")
    ran = sluice("tenant", "list", "--config", config)
    assert (ran.status, ran.out) == (1, "")
    assert ran.err.splitlines() == [f"{config}:1: node.name: is required", f"{config}:1: node.state: is required"]

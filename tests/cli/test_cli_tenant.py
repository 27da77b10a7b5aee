"""sluice tenant: apply says what changed, and stores all or nothing."""

import io
import json
import re

import pytest

from relay.control import tenants as control_tenants
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
    assert header.split() == ["tenant", "domain", "next", "hop", "protected", "proof", "policy"]
    assert acme.split() == ["acme", "acme.example", "mx.acme.example", "yes", "require", "act"]
    assert initech.split()[-2:] == ["log", "observe"]
    listed = json.loads(sluice("tenant", "list", "--json", "--config", config).out)
    assert [one["loop_values"] for one in listed] == [1, 1]
    assert listed[0]["domain"] == [
        {"name": "acme.example", "next_hop": "mx.acme.example", "verified": True, "protected": True}
    ]
    assert SECRET not in ran.out + json.dumps(listed)


def test_list_before_anything_was_stored(sluice, config):
    ran = sluice("tenant", "list", "--json", "--config", config)
    assert (ran.status, json.loads(ran.out), ran.err) == (0, [], "")


def test_a_mistake_in_the_configuration_is_told_on_stderr(sluice, config, tmp_path):
    config.write_text("[node]\n")
    ran = sluice("tenant", "list", "--config", config)
    assert (ran.status, ran.out) == (1, "")
    assert ran.err.splitlines() == [f"{config}:1: node.name: is required", f"{config}:1: node.state: is required"]


ENVIRONMENT = """
[environments.eu]
egress = ["192.0.2.1"]
smart_host = "in.relay.example"
validation_address = "validation@relay.example"
secondary_region = "east"
"""


@pytest.fixture
def does(sluice, config):
    """Call the program with this configuration; what it printed."""
    config.write_text(config.read_text() + ENVIRONMENT)

    def does(*words, status=0):
        ran = sluice(*words, "--config", config)
        assert ran.status == status, ran
        return ran.out if status == 0 else ran.err

    return does


def test_a_tenant_comes_changes_and_goes(does):
    assert "next: sluice domain add 'acme' DOMAIN" in does(
        "tenant", "add", "acme", "--environment", "eu", "--multi-region", "--contact", "it@acme.example"
    )
    told = json.loads(does("tenant", "set", "acme", "policy.spam=quarantine", "proof=log", "--json"))
    assert (told["policy"]["spam"], told["proof"], told["contacts"]) == ("quarantine", "log", ["it@acme.example"])
    assert told["loop_values"] == 1
    added = json.loads(does("domain", "add", "acme", "acme.example", "--next-hop", "mx.acme.example", "--json"))
    assert (added["next_hop"], added["protected"]) == ("mx.acme.example", False)
    assert [(one["name"], one["region"], one["state"]) for one in added["records"]] == [
        ("_sluice.acme.example", "east", "pending"),
        ("_sluice.acme.example", "primary", "pending"),
    ]
    assert json.loads(does("domain", "list", "--json")) == [added]
    shown = does("tenant", "show", "acme")
    assert "domain  acme.example  to mx.acme.example  east pending, primary pending" in shown
    assert re.search(r"^policy.spam +quarantine$", shown, re.MULTILINE)
    assert does("tenant", "set", "acme", "environment=mars", status=1) == (
        "sluice: acme: no such environment: 'mars'; there are: eu\n"
    )
    assert does("domain", "set", "acme", "ACME.example", "--next-hop", "mx2.example", "--vouch").startswith("changed:")
    domain, *_ = json.loads(does("domain", "list", "--tenant", "acme", "--json"))
    assert (domain["next_hop"], domain["protected"], domain["records"]) == ("mx2.example", True, [])
    assert does("domain", "remove", "acme", "acme.example", "--yes") == "removed: acme.example\n"
    assert does("tenant", "remove", "acme", "--yes") == "removed: acme\n"
    assert json.loads(does("tenant", "list", "--json")) == []


def test_who_does_not_say_yes_removes_nothing(does, monkeypatch):
    does("tenant", "add", "acme")
    monkeypatch.setattr("sys.stdin", io.StringIO("n\n"))
    assert "Aborted" in does("tenant", "remove", "acme", status=1)
    assert json.loads(does("tenant", "show", "acme", "--json"))["name"] == "acme"


def test_a_file_and_commands_do_the_same(does, tmp_path):
    does("tenant", "add", "acme", "--environment", "eu")
    does("domain", "add", "acme", "acme.example", "--next-hop", "mx.acme.example", "--vouch")
    file = tmp_path / "tenants.toml"
    file.write_text(tenant("acme", more='environment = "eu"\n'))
    assert does("tenant", "apply", file) == "changed: acme\n"  # the loop value
    assert does("tenant", "apply", file) == "unchanged: acme\n"
    file.write_text(tenant("acme", more='environment = "mars"\n'))
    assert does("tenant", "apply", file, status=1) == "sluice: acme: no such environment: 'mars'; there are: eu\n"


def test_a_rotation_begins_and_ends(does):
    does("tenant", "add", "acme")
    told = json.loads(does("tenant", "rotate", "acme", "--json"))
    assert told["loop_values"] == 2
    assert told["rotation"]["old_seen"] == told["rotation"]["new_seen"] == "never"
    assert does("tenant", "rotate", "acme", status=1) == (
        "sluice: acme has an old loop value already: end that rotation first\n"
    )
    assert does("tenant", "rotate", "acme", "--end", status=1) == (
        "sluice: acme: no message with the new value has come yet\n"
    )
    assert "--force goes with --end" in does("tenant", "rotate", "acme", "--force", status=2)
    told = json.loads(does("tenant", "rotate", "acme", "--end", "--force", "--json"))
    assert (told["loop_values"], told["rotation"]) == (1, None)


def test_a_rotation_tells_what_to_run_next(does):
    does("tenant", "add", "acme")
    *_, last = does("tenant", "rotate", "acme").splitlines()
    assert last.startswith("next: sluice tenant script 'acme', and run it with -Rotate")
    *_, last = does("tenant", "rotate", "acme", "--end", "--force").splitlines()
    assert last.startswith("next: sluice tenant script 'acme', and run it: ")


def test_what_a_command_cannot_use_is_told(does):
    assert does("tenant", "show", "nobody", status=1) == "sluice: no such tenant: 'nobody'\n"
    does("tenant", "add", "acme")
    assert does("tenant", "add", "ACME", status=1) == "sluice: name: another tenant has this name already\n"
    assert "must be KEY=VALUE" in does("tenant", "set", "acme", "proof", status=2)
    assert "tell what to change" in does("domain", "set", "acme", "acme.example", status=2)
    told = does("domain", "add", "acme", "acme.example", "--next-hop", "smtp.office365.com", status=1)
    assert told.startswith("sluice: domain.next_hop: smtp.office365.com")


def test_a_domain_that_is_not_vouched_for_any_more_is_told_with_its_record(does):
    does("tenant", "add", "acme")
    does("domain", "add", "acme", "acme.example", "--next-hop", "mx.acme.example", "--vouch")
    told = does("domain", "set", "acme", "Acme.Example", "--no-vouch").splitlines()
    value = json.loads(does("domain", "list", "--json"))[0]["records"][0]["value"]
    assert told[1] == "no mail is relayed for it until the DNS has its record"
    assert told[3:] == ["  name   _sluice.acme.example", "  type   TXT", f"  value  {value}"]
    assert does("domain", "set", "acme", "acme.example", "--vouch") == "changed: acme.example\n"


def test_apply_tells_which_domains_it_suspends(apply):
    """As the same domain under another tenant's name, which has to prove it."""
    apply(tenant("acme"), tenant("hooli"))
    told = apply(tenant("acme").replace("verified = true", ""), tenant("hooli")).out.splitlines()
    assert told[2:] == ["not protected any more: acme.example: no mail is relayed until the DNS has its record"]
    assert apply(tenant("acme").replace("verified = true", ""), tenant("hooli")).out.splitlines() == [
        "unchanged: acme",
        "unchanged: hooli",
    ]


def test_of_two_domains_added_at_once_each_command_tells_its_own(does, config, monkeypatch):
    does("tenant", "add", "acme")
    real, faster = control_tenants.tenant_show, iter(["other.example"])

    def show(*given):
        for name in faster:
            control_tenants.domain_add(config, "acme", name, "mx.other.example")
        return real(*given)

    monkeypatch.setattr(control_tenants, "tenant_show", show)
    told = does("domain", "add", "acme", "Acme.Example", "--next-hop", "mx.acme.example")
    assert "_sluice.acme.example" in told
    assert "_sluice.other.example" not in told

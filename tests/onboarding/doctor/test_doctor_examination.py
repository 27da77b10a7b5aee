"""What a configuration and its tenants call for is known at once, however many they are."""

import pytest

from config.settings import Settings
from relay.control.examination import Known, Scene, checks
from relay.records.verifications import Row
from relay.tenants.model import Tenant


class Counting(list):
    """Counts how often all of it is looked through."""

    looks = 0

    def __iter__(self):
        self.looks += 1
        return super().__iter__()


NAMES = [f"{number}.acme.example" for number in range(200)]


@pytest.fixture
def scene(tmp_path):
    node = {"name": "mx1.relay.example", "state": str(tmp_path)}
    settings = Settings.model_validate({"node": node, "smtp": {"require_tls": False}})
    domains = [{"name": name, "next_hop": "mx.acme.example"} for name in NAMES]
    tenant = Tenant.model_validate({"name": "acme", "loop_values": ["a loop value"], "domain": domains})
    rows = Counting(Row("acme", name, "primary", "x", state="verified") for name in NAMES)
    return Scene(tmp_path / "sluice.toml", settings, Known((tenant,), rows), None, None)


def test_proofs_of_many_domains_are_not_looked_through_for_each_of_them(scene):
    assert len([check for check in checks(scene) if check.topic.id == "domain.verified"]) == 200
    assert scene.known.rows.looks < 10


def test_what_the_store_says_of_a_domain_needs_no_turn(scene):
    assert {check.topic.id for check in checks(scene) if check.at_once} >= {"domain.verified", "tenant.environment"}

"""sluice doctor: the table, the JSON, the exit status; nothing is changed, no secret told, and nothing waited for."""

import json
import sqlite3
import threading
import time

import pytest

from relay.control import diagnosis
from relay.onboarding.doctor.result import State
from relay.records import tenants

LOOP = "hunter2-the-loop-value"
KEYS = {"id", "tenant", "subject", "state", "found", "remedy"}
BASE = """
[node]
name = "mx1.relay.example"
state = "state"
[smtp]
require_tls = false
listen = ["127.0.0.1:0"]
[http]
listen = "127.0.0.1:0"
[admission]
microsoft = false
networks = ["127.0.0.0/8"]
[dns]
servers = ["127.0.0.1:9"]
timeout = 0.2
[engines.testpatterns]
"""
TENANT = f"""
[[tenant]]
name = "acme"
loop_values = ["{LOOP}"]
[[tenant.domain]]
name = "acme.example"
next_hop = "127.0.0.1:1"
verified = true
"""


@pytest.fixture
def config(tmp_path):
    file = tmp_path / "sluice.toml"
    file.write_text(BASE)
    return file


@pytest.fixture
def stored(sluice, config, tmp_path):
    (tmp_path / "tenants.toml").write_text(TENANT)
    assert sluice("tenant", "apply", tmp_path / "tenants.toml", "--config", config).status == 0


@pytest.fixture
def told(sluice, config):
    """The JSON, and the status."""

    def told(*words):
        ran = sluice("doctor", "--json", "--config", config, *words)
        assert ran.err == ""
        return ran.status, json.loads(ran.out)

    return told


def states(document):
    return {result["id"]: result["state"] for result in document["results"]}


def test_before_anything_was_stored(told, tmp_path):
    status, document = told()
    assert status == 0
    assert states(document)["store.reachable"] == "warning"
    assert document["state"] == "warning"
    assert not (tmp_path / "state").exists()


def test_the_form_of_the_json(told, stored):
    status, document = told()
    assert (status, document["state"]) == (1, "failed")
    assert document.keys() == {"node", "at", "state", "counts", "results"}
    assert document["node"] == "mx1.relay.example"
    assert document["counts"].keys() == {str(state) for state in State}
    assert sum(document["counts"].values()) == len(document["results"])
    for result in document["results"]:
        assert result.keys() == KEYS
        assert all(isinstance(value, str) for value in result.values())
        assert result["state"] in document["counts"]
        assert bool(result["remedy"]) or result["state"] in ("ok", "skipped", "cannot tell")


def test_the_table(sluice, config, stored):
    ran = sluice("doctor", "--config", config)
    assert (ran.status, ran.err) == (1, "")
    lines = ran.out.splitlines()
    place = next(number for number, line in enumerate(lines) if line.startswith("failed") and "hop.opens" in line)
    assert "acme: 127.0.0.1:1" in lines[place]
    assert lines[place + 1].strip().startswith("-> see whether next_hop is right")
    assert lines[-1].endswith(" failed")
    assert all(line.isprintable() for line in lines)


def test_what_strangers_say_is_cleaned(sluice, config, monkeypatch):
    result = dict.fromkeys(KEYS, "a\x1b[31mb") | {"state": "failed"}
    document = {"node": "x", "at": "", "state": "failed", "counts": {"failed": 1}, "results": [result]}
    monkeypatch.setattr("relay.control.doctor", lambda *_, **__: document)
    ran = sluice("doctor", "--config", config)
    assert ran.status == 1
    assert "\x1b" not in ran.out


def test_of_one_tenant(told, stored, tmp_path, sluice, config):
    (tmp_path / "tenants.toml").write_text(TENANT + TENANT.replace("acme", "initech"))
    sluice("tenant", "apply", tmp_path / "tenants.toml", "--config", config)
    assert {result["tenant"] for result in told()[1]["results"]} == {"", "acme", "initech"}
    assert {result["tenant"] for result in told("--tenant", "initech")[1]["results"]} == {"", "initech"}


def test_of_no_such_tenant(sluice, config, stored):
    ran = sluice("doctor", "--tenant", "nobody", "--config", config)
    assert (ran.status, ran.out, ran.err) == (1, "", "sluice: no such tenant: 'nobody'\n")


@pytest.mark.parametrize("words", [["--timeout", "0"], ["--timeout", "x"], ["--nonsense"], ["word"]])
def test_called_wrongly(sluice, config, words):
    assert sluice("doctor", "--config", config, *words).status == 2


def test_a_broken_configuration(told, config):
    config.write_text(BASE.replace("timeout = 0.2", 'timeout = "hunter2"\nnonsense = 1'))
    status, document = told()
    assert status == 1
    assert [(result["id"], result["state"]) for result in document["results"]] == [
        ("configuration", "failed"), ("configuration", "failed"), ("configuration", "skipped"),
    ]  # fmt: skip
    assert "hunter2" not in json.dumps(document)
    config.unlink()
    assert told()[0] == 1


def test_mistakes_that_are_more_than_a_word(told, config):
    config.write_text(BASE + '[delivery]\nroots = "none.pem"\n[judging]\ndeadline = 999\n')
    status, document = told()
    assert status == 1
    found = [result["found"] for result in document["results"] if result["id"] == "configuration"]
    assert any("none.pem" in text for text in found)
    assert any("judging.deadline" in text for text in found)


def test_delivery_that_cannot_be_built(told, config, stored):
    config.write_text(BASE + '[delivery]\nroots = "none.pem"\n')
    _, document = told()
    assert states(document)["hop.opens"] == "failed"


def test_nothing_is_changed(told, stored, tmp_path):
    told()  # SQLite may tidy its own files when it is opened
    with sqlite3.connect(tmp_path / "state" / "sluice.db") as connection:
        before = list(connection.iterdump())
        files = {path for path in tmp_path.rglob("*") if "sluice.db" not in path.name}
    told()
    assert list(connection.iterdump()) == before
    connection.close()
    assert {path for path in tmp_path.rglob("*") if "sluice.db" not in path.name} == files


@pytest.mark.parametrize("url", ["postgresql://me:hunter2@127.0.0.1:1/x", "nonsense", "sqlite:////nowhere/at/all.db"])
def test_a_database_that_is_not_there_is_told_without_its_password(told, config, url):
    config.write_text(f'{BASE}[records]\nurl = "{url}"\n')
    status, document = told()
    assert status == 1
    assert states(document)["store.reachable"] == "failed"
    assert "hunter2" not in json.dumps(document)


def test_no_secret_is_told(told, stored, config, tmp_path):
    config.write_text(BASE + '[engines.webhook]\nurl = "http://127.0.0.1:1/"\nsecret = "hunter2-of-the-engine"\n')
    text = json.dumps(told())
    assert LOOP not in text
    assert "hunter2" not in text


def test_stored_tenants_that_cannot_be_understood(told, stored, tmp_path):
    from relay.records.store import Store

    store = Store(f"sqlite:///{tmp_path / 'state' / 'sluice.db'}")
    tenants.replace(store, [{"name": "acme", "loop_values": LOOP}])
    store.close()
    status, document = told()
    assert (status, states(document)["store.tenants"]) == (1, "failed")
    assert LOOP not in json.dumps(document)


def test_a_database_that_hangs_is_not_waited_for(told, stored, monkeypatch):
    free = threading.Event()
    monkeypatch.setattr(diagnosis, "READING", 0.2)
    monkeypatch.setattr(tenants, "load", lambda _: free.wait(20))
    begun = time.monotonic()
    _, document = told("--timeout", "2")
    free.set()
    assert time.monotonic() - begun < 10
    assert states(document)["store.tenants"] == "cannot tell"


def test_what_had_no_time_is_told(told, stored, config):
    config.write_text(BASE.replace("timeout = 0.2", "timeout = 60.0"))
    begun = time.monotonic()
    _, document = told("--timeout", "1")
    assert time.monotonic() - begun < 10
    assert states(document)["node.address"] == "cannot tell"

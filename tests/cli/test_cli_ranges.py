"""sluice ranges: what counts, what Microsoft says now, and the yes to what is held back."""

import json
import os
import ssl
import subprocess
import sys
from dataclasses import replace

import pytest
from doubles.certificates import Authority
from doubles.pretend_endpoints import WORLDWIDE, PretendEndpoints

from relay.onboarding.ranges.notebook import NAME, Notebook

MORE = (*WORLDWIDE, "20.200.0.0/17")
TOO_MUCH = (*WORLDWIDE, "20.200.0.0/13")
NO_DNS = '[dns]\nservers = ["127.0.0.1:9"]\ntimeout = 0.2'


@pytest.fixture
def service():
    with PretendEndpoints() as running:
        yield running
    assert running.rude == []


@pytest.fixture
def ranges(sluice, config, service):
    """Call `sluice ranges` with these words."""
    told = config.read_text()

    def run(*words, admission=""):
        config.write_text(f'{told}[admission]\nendpoints_url = "{service.url}"\n{admission}\n')
        return sluice("ranges", *words, "--config", config)

    return run


@pytest.fixture
def an_hour_passes(tmp_path, service):
    """For the notebook, and for the service."""

    def turn():
        service.pass_time()
        notebook = Notebook(tmp_path / "state")
        for name in notebook.read().clouds:
            notebook.change(name, lambda cloud: replace(cloud, asked=cloud.asked - 3601, next=cloud.next - 3601))

    return turn


def test_before_anything_was_asked(ranges, service, tmp_path):
    ran = ranges("show")
    assert (ran.status, ran.err) == (0, "")
    lines = ran.out.splitlines()
    assert lines[:3] == [
        "worldwide: version 2026081400, shipped",
        "  Microsoft was asked: never; answered: never",
        "  40.92.0.0/15              exchange-online",
    ]
    assert lines[-1] == "  40.95.0.0/16              relay-pool"
    assert service.asked == []
    assert not (tmp_path / "state").exists()


def test_a_round(ranges, service, an_hour_passes):
    ran = ranges("update")
    assert (ran.status, ran.out, ran.err) == (0, "worldwide: nothing new; version 2026081400 counts\n", "")
    service.publish("2026101500", MORE)
    early = ranges("update")
    assert early.status == 0
    first, second = early.out.splitlines()
    assert first.startswith("worldwide: asked at 20")
    assert first.endswith("Z, not again; version 2026081400 counts")
    assert second.startswith("  Microsoft may be asked again at 20")
    assert service.methods() == ["version"]
    an_hour_passes()
    ran = ranges("update")
    assert (ran.status, ran.out) == (0, "worldwide: changed; version 2026101500 counts\n  + 20.200.0.0/17\n")
    assert "worldwide: version 2026101500, fetched\n" in ranges("show").out
    assert "  40.95.0.0/16              relay-pool\n" in ranges("show").out


def test_what_is_held_back(ranges, service, an_hour_passes):
    nothing = ranges("update", "--accept")
    assert (nothing.status, nothing.err) == (1, "sluice: no list is held back\n")
    service.publish("2026101500", TOO_MUCH)
    ran = ranges("update")
    why = "107% more IPv4 addresses would come; `sluice ranges update --accept` takes it"
    assert (ran.status, ran.out.splitlines()) == (
        1,
        [
            "worldwide: changed too much; version 2026081400 counts",
            f"  held back: version 2026101500, as {why}",
            "  + 20.200.0.0/13",
        ],
    )
    assert ranges("update").status == 1
    shown = ranges("show").out.splitlines()
    assert shown[0] == "worldwide: version 2026081400, shipped"
    assert shown[-2].startswith("  held back since 20")
    assert shown[-2].endswith(f"version 2026101500, as {why}")
    assert shown[-1] == "  + 20.200.0.0/13"
    asked = len(service.asked)
    ran = ranges("update", "--accept")
    assert (ran.status, ran.out) == (0, "worldwide: changed; version 2026101500 counts\n  + 20.200.0.0/13\n")
    assert len(service.asked) == asked
    assert ranges("show").out.splitlines()[0] == "worldwide: version 2026101500, fetched"
    an_hour_passes()
    assert ranges("update").out == "worldwide: nothing new; version 2026101500 counts\n"


def test_what_fails_is_told_and_the_old_list_counts(ranges, service):
    service.misbehave["version"] = lambda exchange: exchange.say(503, b"\x1b[31mout of order")
    ran = ranges("update")
    assert ran.status == 1
    first, second, third = ran.out.splitlines()
    assert first == "worldwide: not refreshed; version 2026081400 counts"
    assert second == "  the last try failed: /version/Worldwide: the answer is 503 and not 200"
    assert third.startswith("  Microsoft may be asked again at 20")
    assert ranges("update").status == 1
    assert second in ranges("show").out.splitlines()


def test_a_damaged_file(ranges, service, tmp_path, an_hour_passes):
    service.publish("2026101500", MORE)
    ranges("update")
    file = tmp_path / "state" / NAME
    file.write_text(file.read_text()[:-30])
    shown = ranges("show")
    assert shown.status == 0
    first, second, *_ = shown.out.splitlines()
    assert first.startswith(f"what was fetched is lost: {file} is damaged: ")
    assert second == "worldwide: version 2026081400, shipped"
    assert ranges("update").out.startswith("worldwide: asked at ")  # nobody knows when
    os.utime(file, (1_000_000_000, 1_000_000_000))
    assert ranges("update").out == "worldwide: changed; version 2026101500 counts\n  + 20.200.0.0/17\n"


def test_json(ranges, service):
    service.publish("2026101500", TOO_MUCH)
    [told] = json.loads(ranges("update", "--json").out)
    assert told | {"asked": "", "checked": "", "next": ""} == {
        "cloud": "worldwide", "outcome": "held", "version": "2026081400", "held": "2026101500",
        "why": "107% more IPv4 addresses would come", "problem": "", "added": ["20.200.0.0/13"], "removed": [],
        "asked": "", "checked": "", "next": "",
    }  # fmt: skip
    shown = json.loads(ranges("show", "--json", admission='clouds = ["worldwide", "china"]').out)
    assert (shown["admitted"], shown["refresh"], shown["url"], shown["problem"]) == (True, True, service.url, "")
    worldwide, china = shown["clouds"]
    assert worldwide["held"]["added"] == ["20.200.0.0/13"]
    assert worldwide["networks"][-1] == {"network": "40.95.0.0/16", "label": "relay-pool"}
    assert (china["version"], china["source"], china["asked"], china["held"]) == ("2021032900", "shipped", None, None)


def test_the_doctor_tells_of_them(ranges, service, sluice, config, an_hour_passes):
    def found():
        told = json.loads(sluice("doctor", "--json", "--config", config).out)
        return {one["id"]: one["state"] for one in told["results"] if one["id"].startswith("ranges.")}

    service.publish("2026101500", TOO_MUCH)
    ranges("update", admission=NO_DNS)
    assert found() == {"ranges.age": "ok", "ranges.asked": "ok", "ranges.held": "warning"}
    service.misbehave["version"] = lambda exchange: exchange.say_raw(b"")
    an_hour_passes()
    ranges("update", "--accept", admission=NO_DNS)
    ranges("update", admission=NO_DNS)
    assert found() == {"ranges.age": "ok", "ranges.asked": "warning", "ranges.held": "ok"}


def test_ranges_that_nobody_wants(ranges, service):
    ran = ranges("update", admission="microsoft = false")
    assert (ran.status, ran.err) == (1, "sluice: admission.microsoft is false: Microsoft's ranges are not admitted\n")
    shown = ranges("show", admission="microsoft = false").out
    assert shown.startswith("admission.microsoft is false: none of these is admitted\n")
    assert ranges("show", admission="refresh = false").out.startswith("admission.refresh is false: only ")
    assert ranges("update", admission="refresh = false").status == 0
    assert len(service.asked) == 1


@pytest.mark.parametrize(
    ("url", "good"),
    [
        ("https://endpoints.office.com", True),
        ("https://mirror.example:8443/microsoft/", True),
        ("http://127.0.0.1:8080", True),
        ("http://[::1]:8080", True),
        ("http://endpoints.office.com", False),
        ("http://127.0.0.1.example", False),
        ("https://", False),
        ("https://x:y", False),
        ("https://user:word@mirror.example", False),
        ("https://mirror.example/?a=b", False),
        ("ftp://mirror.example", False),
        ("endpoints.office.com", False),
    ],
)
def test_where_the_service_may_be(sluice, config, url, good):
    config.write_text(f'{config.read_text()}[admission]\nendpoints_url = "{url}"\n')
    ran = sluice("ranges", "show", "--config", config)
    assert ran.status == (0 if good else 1)
    assert good or "admission.endpoints_url" in ran.err


@pytest.mark.parametrize(
    ("name", "believed", "told"),
    [("127.0.0.1", True, "nothing new"), ("127.0.0.1", False, "certificate verify failed"),
     ("endpoints.office.com", True, "IP address mismatch")],
)  # fmt: skip
def test_by_tls_with_a_certificate_that_is_checked(config, tmp_path, name, believed, told):
    authority = Authority(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.issue(name, "endpoints"))
    roots = {"SSL_CERT_FILE": str(authority.roots)} if believed else {}
    with PretendEndpoints(context) as service:
        config.write_text(f'{config.read_text()}[admission]\nendpoints_url = "{service.url}"\n')
        command = [sys.executable, "-m", "relay.cli", "ranges", "update", "--config", str(config)]
        ran = subprocess.run(command, env=os.environ | roots, capture_output=True, text=True)
    assert told in ran.stdout
    assert (ran.returncode, ran.stderr) == (0 if told == "nothing new" else 1, "")
    assert len(service.asked) == (1 if told == "nothing new" else 0)

"""What comes of asking Microsoft: as plain decisions, and by HTTP, of a pretend service with strict manners."""

import asyncio
import gzip
import ipaddress
import itertools
import json
import socket
import ssl
import time
from dataclasses import replace

import pytest
from doubles.certificates import Authority
from doubles.pretend_endpoints import HOUR, WORLDWIDE, PretendEndpoints, records

from relay.intake.microsoft import Published, shipped_list
from relay.observe import metrics
from relay.onboarding.ranges import endpoints, keeper
from relay.onboarding.ranges.endpoints import Failed
from relay.onboarding.ranges.keeper import Keeper, asked
from relay.onboarding.ranges.notebook import Cloud, Held, Notebook
from relay.onboarding.ranges.refresh import accepted, answered, claimed, failed, outcome, standing
from verdicts.pretend import PretendClock

NOW = 1_795_824_000.0  # 2026-11-28
MORE = (*WORLDWIDE, "20.200.0.0/17")
TOO_MUCH = (*WORLDWIDE, "20.200.0.0/13")


def listed(version: str, ips=WORLDWIDE) -> Published:
    return Published(version, tuple(map(ipaddress.ip_network, ips)))


SHIPPED = listed("2026081400")
OLD, NEW, WIDE = listed("2026071500", MORE), listed("2026101500", MORE), listed("2026101500", TOO_MUCH)
LATER, LATER_WIDE = listed("2026111500", MORE), listed("2026111500", TOO_MUCH)


def cloud(fetched=None, held=None, **more) -> Cloud:
    return Cloud(fetched=fetched, held=held and Held(held, 5.0), **more)


@pytest.mark.parametrize(
    ("before", "found", "fetched", "held", "kind"),
    [
        (cloud(), None, None, None, "unchanged"),
        (cloud(), NEW, NEW, None, "changed"),
        (cloud(), listed("2026101500"), listed("2026101500"), None, "unchanged"),  # a new version of the same
        (cloud(), WIDE, None, WIDE, "held"),
        (cloud(NEW), None, NEW, None, "unchanged"),
        (cloud(NEW), LATER, LATER, None, "unchanged"),
        (cloud(NEW), listed("2026111500"), listed("2026111500"), None, "changed"),
        (cloud(NEW), LATER_WIDE, NEW, LATER_WIDE, "held"),
        (cloud(None, WIDE), None, None, WIDE, "held"),  # it waits on
        (cloud(None, WIDE), LATER_WIDE, None, LATER_WIDE, "held"),
        (cloud(None, WIDE), LATER, LATER, None, "changed"),  # Microsoft has thought better of it
        (cloud(OLD), NEW, NEW, None, "changed"),  # the shipped one is newer than what was fetched
        (cloud(OLD, listed("2026073000", TOO_MUCH)), None, OLD, None, "unchanged"),  # and than what waited
    ],
)
def test_what_comes_of_an_answer(before, found, fetched, held, kind):
    after = answered(replace(before, problem="x"), SHIPPED, found, NOW)
    assert (after.fetched, after.held and after.held.published) == (fetched, held)
    assert (after.checked, after.problem) == (NOW, "")
    assert outcome("worldwide", SHIPPED, before, after).kind == kind


@pytest.mark.parametrize(
    ("before", "current", "from_microsoft", "waiting"),
    [
        (cloud(), SHIPPED, False, None),
        (cloud(NEW), NEW, True, None),
        (cloud(OLD), SHIPPED, False, None),
        (cloud(listed("2026081400", MORE)), SHIPPED, False, None),
        (cloud(None, WIDE), SHIPPED, False, WIDE),
        (cloud(NEW, LATER_WIDE), NEW, True, LATER_WIDE),
        (cloud(LATER, WIDE), LATER, True, None),
    ],
)
def test_what_counts(before, current, from_microsoft, waiting):
    found = standing(SHIPPED, before)
    assert (found.current, found.fetched) == (current, from_microsoft)
    assert (found.waiting and found.waiting.published) == waiting


@pytest.mark.parametrize(
    ("before", "now", "may"),
    [
        (cloud(), NOW, True),
        (cloud(asked=NOW - HOUR, next=NOW), NOW, True),
        (cloud(asked=NOW - HOUR + 1, next=NOW + 1), NOW, False),
        (cloud(asked=NOW - HOUR, next=NOW + 9 * HOUR), NOW, False),  # Retry-After
        (cloud(asked=NOW + 9 * HOUR, next=NOW + 10 * HOUR), NOW, True),  # the clock was set back
    ],
)
def test_when_it_may_be_asked(before, now, may):
    after = claimed(before, now)
    assert (after is not before) == may
    assert not may or (after.asked, after.next) == (now, now + HOUR)


def test_a_failure_changes_no_list():
    before = cloud(NEW, LATER_WIDE, asked=NOW, next=NOW + HOUR, checked=7.0)
    after = failed(before, Failed("limited", "asked too often", 2 * HOUR), NOW + 1)
    assert after == replace(before, problem="asked too often", next=NOW + 1 + 2 * HOUR)
    assert failed(before, Failed("timeout", "too slow"), NOW + 1).next == NOW + HOUR


def test_a_yes():
    assert accepted(cloud(NEW, LATER_WIDE)) == cloud(LATER_WIDE)
    assert accepted(cloud(NEW)) == cloud(NEW)


@pytest.fixture
def service():
    with PretendEndpoints() as running:
        yield running
    assert running.rude == []


@pytest.fixture
def notebook(tmp_path):
    return Notebook(tmp_path)


async def ask(notebook, service, now=NOW, name="worldwide"):
    return await asked(notebook, PretendClock(now), name, shipped_list(name).published, service.url)


async def test_the_list_is_asked_for_when_the_version_is_new(service, notebook):
    assert (await ask(notebook, service)).kind == "unchanged"
    assert service.methods() == ["version"]
    service.publish("2026101500", MORE)
    service.pass_time()
    result = await ask(notebook, service, NOW + HOUR)
    assert (result.kind, list(map(str, result.change.added))) == ("changed", ["20.200.0.0/17"])
    assert service.methods() == ["version", "version", "endpoints"]
    assert notebook.read().fetched()["worldwide"] == NEW
    service.pass_time()
    assert (await ask(notebook, service, NOW + 2 * HOUR)).kind == "unchanged"
    assert service.methods() == ["version", "version", "endpoints", "version"]
    assert {one.status for one in service.asked} == {200}
    assert {one.client for one in service.asked} == {notebook.read().client}


async def test_each_cloud_is_asked_for_by_its_name(service, notebook):
    for name, instance in (("gcc-high", "USGovGCCHigh"), ("china", "China")):
        listed = shipped_list(name).published
        service.publish("2026110100", [*map(str, listed.networks), "20.200.0.0/32"], instance)
        result = await ask(notebook, service, name=name)
        assert (result.kind, list(map(str, result.change.added))) == ("changed", ["20.200.0.0/32"])
    assert {one.instance for one in service.asked} == {"USGovGCCHigh", "China"}
    assert set(notebook.read().fetched()) == {"gcc-high", "china"}


async def test_hourly_at_most_whoever_asks(service, tmp_path):
    kinds = [(await ask(Notebook(tmp_path), service, NOW + seconds)).kind for seconds in (0, 1, HOUR - 1)]
    assert kinds == ["unchanged", "early", "early"]
    results = await asyncio.gather(*(ask(Notebook(tmp_path), service, NOW + HOUR) for _ in range(10)))
    assert sorted(result.kind for result in results) == ["early"] * 9 + ["unchanged"]
    assert len(service.asked) == 2
    service.rude.clear()  # its own clock has stood still


async def test_too_much_waits_for_a_yes(service, notebook):
    service.publish("2026101500", TOO_MUCH)
    result = await ask(notebook, service)
    assert (result.kind, result.change.suspicion) == ("held", "107% more IPv4 addresses would come")
    assert notebook.read().fetched() == {}
    service.pass_time()
    assert (await ask(notebook, service, NOW + HOUR)).kind == "held"
    assert service.methods() == ["version", "endpoints", "version"]  # it has the list already
    assert notebook.read().cloud("worldwide").held == Held(WIDE, NOW)
    notebook.change("worldwide", accepted)
    assert standing(SHIPPED, notebook.read().cloud("worldwide")).current == WIDE


async def test_after_429_an_hour_of_silence_or_more(service, notebook):
    service.publish("2026101500", MORE)
    for text, seconds in (("soon", HOUR), ("10", HOUR), ("7200", 7200), ("9" * 30, 7 * 86_400)):
        now = notebook.read().cloud("worldwide").next or NOW
        service.misbehave["endpoints"] = says({}, 429, retry_after=text)
        result = await ask(notebook, service, now)
        assert (result.kind, result.failed.kind) == ("failed", "limited")
        assert result.cloud.next == now + seconds
        assert notebook.read().cloud("worldwide").problem == "/endpoints/Worldwide: asked too often (429)"
        service.pass_time(seconds + 1)
    service.misbehave.clear()
    assert (await ask(notebook, service, notebook.read().cloud("worldwide").next)).kind == "changed"
    assert notebook.read().cloud("worldwide").problem == ""


class Hurrying(PretendClock):
    """Ten seconds pass between two looks."""

    def time(self):
        self.now += 10
        return self.now


async def test_the_hour_after_429_begins_with_the_answer(service, notebook):
    service.misbehave["version"] = says({}, 429)
    clock = Hurrying(NOW)
    result = await asked(notebook, clock, "worldwide", SHIPPED, service.url)
    assert (result.cloud.asked, result.cloud.next) == (NOW + 10, clock.now + HOUR)


async def test_without_manners_it_says_no(service):
    async def says(path):
        status, _ = await asyncio.to_thread(service.answer, path)
        return status

    good = "2b6e8f4a-9c1d-4f3b-8a57-d0c4e1f2a3b5"
    for path, status in (
        ("/version/Worldwide", 400),
        ("/version/Worldwide?clientrequestid=1", 400),
        ("/version/Worldwide?clientrequestid=b10c5ed1-bad1-445f-b386-b919946339a7", 400),
        (f"/version/Mars?clientrequestid={good}", 404),
        (f"/endpoints/Worldwide?clientrequestid={good}", 400),
        (f"/endpoints/Worldwide?ServiceAreas=Exchange&clientrequestid={good}", 200),
        (f"/endpoints/Worldwide?ServiceAreas=Exchange&clientrequestid={good}", 429),
    ):
        assert await says(path) == status


RAW = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
GOOD = json.dumps({"instance": "Worldwide", "latest": "2026101500"}).encode()


def raw(*parts):
    return lambda exchange: exchange.say_raw(b"".join(parts))


def says(value, status=200, **headers):
    content = value if isinstance(value, bytes) else json.dumps(value).encode()
    return lambda exchange: exchange.say(status, content, **headers)


def huge(exchange):
    exchange.wfile.write(RAW + b"\r\n[")
    try:
        while not exchange.server.service.leave.is_set():
            exchange.wfile.write(b"1," * 50_000)
    except OSError:
        exchange.close_connection = True


def slow(exchange):
    exchange.server.service.leave.wait(60)
    exchange.close_connection = True


def dripping(exchange):
    exchange.wfile.write(RAW + b"Content-Length: 99999\r\n\r\n")
    try:
        while not exchange.server.service.leave.wait(0.02):
            exchange.wfile.write(b" ")
    except OSError:
        exchange.close_connection = True


HOSTILE = {
    "hangs up": (raw(), "unreachable"),
    "no HTTP": (raw(b"220 mail.example ESMTP\r\n"), "unreachable"),
    "truncated": (raw(RAW, b"Content-Length: 9999\r\n\r\n", GOOD), "unreachable"),
    "truncated chunks": (raw(RAW, b'Transfer-Encoding: chunked\r\n\r\n5\r\n{"ins'), "unreachable"),
    "cut JSON": (raw(RAW, b"Content-Length: 20\r\n\r\n", GOOD[:20]), "malformed"),
    "huge": (huge, "malformed"),
    "huge and packed": (says(gzip.compress(b" " * 50_000_000), Content_Encoding="gzip"), "malformed"),
    "badly packed": (says(b"\x1f\x8b" + bytes(18), Content_Encoding="gzip"), "unreachable"),
    "HTML": (says(b"<html><h1>Sign in to the hotel's network</h1></html>"), "malformed"),
    "nothing": (says(b""), "malformed"),
    "no content": (says(b"", 204), "status"),
    "away": (says(b"", 302, Location="https://192.0.2.1/"), "status"),
    "away for good": (says(GOOD, 301, Location="/other"), "status"),
    "not modified": (says(b"", 304), "status"),
    "error": (says(GOOD, 500), "status"),
    "blocked": (says(GOOD, 403), "status"),
    "slow": (slow, "timeout"),
    "dripping": (dripping, "timeout"),
    "other type": (says([1, 2]), "malformed"),
    "wild numbers": (says(b"[1e999999, " + b"9" * 10_000 + b"]"), "malformed"),
}  # fmt: skip
LYING = {
    "empty": (says([]), "refused"),
    "no mail": (says(records([])), "refused"),
    "wide open": (says(records(["0.0.0.0/0", "::/0"])), "refused"),
    "half open": (says(records([*WORLDWIDE, "128.0.0.0/1"])), "refused"),
    "ourselves": (says(records([*WORLDWIDE, "127.0.0.1/32"])), "refused"),
    "very many": (says(records([f"20.{n // 256}.{n % 256}.0/24" for n in range(9_999)])), "malformed"),
    "wrong type": (says(records([*WORLDWIDE, 7])), "malformed"),
    "no record": (says({"ips": WORLDWIDE}), "malformed"),
}  # fmt: skip
OTHER = {
    "another cloud": (says({"instance": "China", "latest": "2026101500"}), "malformed"),
    "no version": (says({"instance": "Worldwide", "latest": None}), "malformed"),
    "the year 9999": (says({"instance": "Worldwide", "latest": "9999123199"}), "refused"),
}


@pytest.mark.parametrize(
    ("method", "name"),
    [*(("version", name) for name in HOSTILE | OTHER), *(("endpoints", name) for name in HOSTILE | LYING)],
)
async def test_the_last_good_list_stays(service, notebook, monkeypatch, method, name):
    """Whatever the service does: what counted counts, nothing is asked again for an hour, and it is told."""
    misbehaviour, kind = (HOSTILE | LYING | OTHER)[name]
    monkeypatch.setattr(endpoints, "SECONDS", 0.4 if kind == "timeout" else 20.0)
    before = notebook.change("worldwide", lambda _: cloud(listed("2026091500", MORE), asked=1.0, next=2.0, checked=3.0))
    service.publish("2026101500", WORLDWIDE)
    service.misbehave[method] = misbehaviour
    result = await ask(notebook, service)
    assert (result.kind, result.failed.kind) == ("failed", kind)
    after = notebook.read()
    assert after.fetched() == before.fetched()
    assert after.client == before.client
    page = after.cloud("worldwide")
    assert (page.asked, page.next, page.checked, page.held) == (NOW, NOW + HOUR, 3.0, None)
    assert 0 < len(page.problem) < 400
    assert len(service.asked) == (1 if method == "version" else 2)


async def test_an_older_version_is_nothing_new(service, notebook):
    service.publish("2020010100", TOO_MUCH)
    assert (await ask(notebook, service)).kind == "unchanged"
    assert service.methods() == ["version"]


async def test_nobody_is_there(notebook):
    with socket.create_server(("127.0.0.1", 0)) as unused:
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
    result = await asked(notebook, PretendClock(NOW), "worldwide", SHIPPED, url)
    assert result.failed.kind == "unreachable"


async def test_nothing_is_asked_that_cannot_be_remembered(service, tmp_path):
    result = await ask(Notebook(tmp_path / "none"), service)
    assert (result.kind, result.failed.kind) == ("failed", "state")
    assert service.asked == []


class Chances:
    """Numbers from 0 to 1, as a test wants them."""

    def __init__(self, *numbers):
        self.numbers = list(numbers)

    def __call__(self):
        return self.numbers.pop(0)


async def test_the_keeper_asks_when_it_is_time_and_a_little_later(service, notebook):
    clock = PretendClock(NOW)
    one = Keeper(notebook, clock, Chances(0.5, 0.25, 0.0, 0.0))
    lists = {"worldwide": SHIPPED}

    async def asks_at(seconds):
        clock.now = NOW + seconds
        before = len(service.asked)
        await one.look(lists, service.url, 600.0)
        service.pass_time(HOUR if len(service.asked) > before else 0.0)
        return len(service.asked) > before

    times = [0, 299, 300, 302, HOUR, HOUR + 300 + 149, HOUR + 300 + 151, 2 * HOUR + 450, 2 * HOUR + 452]
    assert [seconds for seconds in times if await asks_at(seconds)] == [300, HOUR + 300 + 151, 2 * HOUR + 452]
    assert metrics.RANGES_FAILED.labels("unreachable")._value.get() == 0


async def test_the_keeper_waits_after_a_start_even_when_it_is_late(service, notebook):
    notebook.change("worldwide", lambda _: cloud(asked=1.0, next=2.0))
    clock = PretendClock(NOW)
    one = Keeper(notebook, clock, Chances(0.5, 0.5))
    await one.look({"worldwide": SHIPPED}, service.url, 600.0)
    assert service.asked == []
    clock.now += 301
    await one.look({"worldwide": SHIPPED}, service.url, 600.0)
    assert service.methods() == ["version"]


async def test_the_keeper_does_not_insist_where_nothing_can_be_remembered(service, tmp_path):
    clock = PretendClock(NOW)
    one = Keeper(Notebook(tmp_path / "none"), clock, lambda: 0.0)
    counted = metrics.RANGES_FAILED.labels("state")._value
    before = counted.get()
    for seconds in (0, 2, HOUR - 1, HOUR):
        clock.now = NOW + seconds
        await one.look({"worldwide": SHIPPED}, service.url, 600.0)
    assert counted.get() == before + 2
    assert service.asked == []


async def test_the_log_tells_what_came_of_it(service, notebook, monkeypatch):
    told = []

    class Log:
        def info(self, event, **facts):
            told.append(("info", event, facts))

        def warning(self, event, **facts):
            told.append(("warning", event, facts))

    monkeypatch.setattr(keeper, "log", Log())
    clock = PretendClock(NOW)
    one = Keeper(notebook, clock, lambda: 0.0)
    for version, ips in (("2026081400", WORLDWIDE), ("2026101500", MORE), ("2026111500", TOO_MUCH), ("x", WORLDWIDE)):
        service.publish(version, ips)
        await one.look({"worldwide": SHIPPED}, service.url, 600.0)
        clock.now += HOUR
        service.pass_time()
    assert [(level, event) for level, event, _ in told] == [
        ("info", "Microsoft's ranges changed"),
        ("warning", "Microsoft's ranges changed too much, the old ones stay"),
        ("warning", "Microsoft's ranges cannot be refreshed, the old ones stay"),
    ]
    assert told[0][2] == {"cloud": "worldwide", "added": ["20.200.0.0/17"], "removed": []}
    assert told[1][2]["why"] == "94% more IPv4 addresses would come"
    assert told[2][2]["kind"] == "malformed"


async def test_the_mail_is_not_held_up(service, notebook):
    """The largest list that is read stops the event loop for no moment that matters: most of a second in one piece."""
    ips = [f"{20 + n // 65536}.{n // 256 % 256}.{n % 256}.1/32" for n in range(45_000)]
    body = json.dumps([{"serviceArea": "Exchange", "tcpPorts": "25", "ips": ips}]).encode()
    assert 800_000 < len(body) < endpoints.LARGEST
    service.publish("2026101500", WORLDWIDE)
    service.misbehave["endpoints"] = says(body)
    gaps = [time.perf_counter()]

    async def watch():
        while True:
            await asyncio.sleep(0)
            gaps.append(time.perf_counter())

    watching = asyncio.create_task(watch())
    result = await ask(notebook, service)
    watching.cancel()
    assert result.failed.kind == "malformed"
    assert "the list has 45000 networks" in str(result.failed)
    assert max(after - before for before, after in itertools.pairwise(gaps)) < 0.15


async def test_a_certificate_that_nobody_vouches_for(notebook, tmp_path):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*Authority(tmp_path).issue("127.0.0.1", "endpoints"))
    with PretendEndpoints(context) as service:
        result = await ask(notebook, service)
        assert (result.kind, result.failed.kind) == ("failed", "tls")
        assert "certificate verify failed" in str(result.failed)
        assert service.asked == []

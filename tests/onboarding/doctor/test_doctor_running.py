"""The relay that runs here, or does not, or is something else."""

import asyncio
import time

import pytest
from doubles.certificates import Authority
from doubles.processes import free_port
from doubles.scripted import scripted

from relay.onboarding.doctor import running as subject


@pytest.fixture(autouse=True)
def short(monkeypatch):
    monkeypatch.setattr(subject, "SECONDS", 0.5)


def http(answers):
    """Serve bytes by path."""

    async def serve(reader, writer):
        head = await reader.readuntil(b"\r\n\r\n")
        assert b"\r\nHost: 127.0.0.1:" in head
        writer.write(answers[head.split(b" ")[1].decode()])

    return scripted(serve)


READY = b"HTTP/1.0 200 OK\r\nServer: sluice\r\n\r\nready"
METRICS = b"HTTP/1.0 200 OK\r\n\r\n# HELP x\nsluice_certificate_expiry_timestamp_seconds %d\nsluice_ready 1.0\n"


@pytest.fixture
def certificate(tmp_path):
    return Authority(tmp_path).issue("mx1.relay.example", "tls")[0]


@pytest.mark.parametrize(("off", "state"), [(0, "ok"), (-86_400, "warning")])
async def test_a_relay_that_runs(gathered, states, certificate, off, state):
    expiry = int(subject._end(certificate)) + off
    async with http({"/readyz": READY, "/metrics": METRICS % expiry}) as address:
        results = await gathered(subject.relay(address, certificate))
        assert states(results) == {"relay.ready": "ok", "relay.certificate": state}
        assert states(await gathered(subject.relay(address, None))) == {"relay.ready": "ok"}


@pytest.mark.parametrize(
    ("answer", "state", "told"),
    [
        (b'HTTP/1.1 503 x\r\n\r\n{"problems": {"records": "no database"}}', "failed", "records: no database"),
        (b"HTTP/1.1 503 x\r\n\r\nnonsense", "failed", "does not say why"),
        (b"HTTP/1.1 503 x\r\n\r\n[]", "failed", "does not say why"),
        (b'HTTP/1.1 503 x\r\n\r\n{"problems": 3}', "failed", "does not say why"),
        (b"HTTP/1.1 404 x\r\n\r\n", "warning", "status 404"),
        (b"220 mail.example ESMTP\r\n", "warning", "no HTTP server"),
        (b"", "warning", "no HTTP server"),
    ],
)  # fmt: skip
async def test_what_else_may_answer(gathered, answer, state, told):
    async with http({"/readyz": answer, "/metrics": b"HTTP/1.0 404 x\r\n\r\n"}) as address:
        result, *_ = await gathered(subject.relay(address, None))
        assert (str(result.state), told in result.found) == (state, True)


async def test_metrics_that_tell_nothing(gathered, states, certificate):
    for answer in (b"HTTP/1.0 404 x\r\n\r\n", METRICS.replace(b"%d", b"NaN"), METRICS.replace(b"%d", b"x")):
        async with http({"/readyz": READY, "/metrics": answer}) as address:
            assert states(await gathered(subject.relay(address, certificate)))["relay.certificate"] != "ok"


async def test_a_certificate_that_is_gone(gathered, states, tmp_path):
    async with http({"/readyz": READY, "/metrics": METRICS % 5}) as address:
        assert states(await gathered(subject.relay(address, tmp_path / "none")))["relay.certificate"] == "skipped"


async def test_no_relay(gathered, states):
    address = f"127.0.0.1:{free_port()}"
    assert states(await gathered(subject.relay(address, None))) == {"relay.ready": "warning"}
    assert states(await gathered(subject.listens(address))) == {"relay.listens": "warning"}


async def test_any_port_cannot_be_asked(gathered, states):
    assert states(await gathered(subject.relay("127.0.0.1:0", None))) == {"relay.ready": "skipped"}
    assert states(await gathered(subject.listens("[::1]:0"))) == {"relay.listens": "skipped"}


async def silent(reader, writer):
    await asyncio.Event().wait()


async def flood(reader, writer):
    while True:
        writer.write(b"x" * 65_536)
        await writer.drain()


@pytest.mark.parametrize("serve", [silent, flood])
async def test_who_says_nothing_or_too_much(gathered, states, serve):
    begun = time.monotonic()
    async with scripted(serve) as address:
        assert states(await gathered(subject.relay(address, None))) == {"relay.ready": "warning"}
        assert states(await gathered(subject.listens(address))) == {"relay.listens": "warning"}
    assert time.monotonic() - begun < 5


@pytest.mark.parametrize(
    ("said", "state"),
    [
        (b"220 mx1.relay.example ESMTP\r\n", "ok"), (b"554 5.7.1 no\r\n", "ok"), (b"421 4.3.2 busy\r\n", "ok"),
        (b"SSH-2.0-OpenSSH\r\n", "warning"), (b"", "warning"),
    ],
)  # fmt: skip
async def test_who_listens(gathered, said, state):
    async def serve(reader, writer):
        writer.write(said)

    async with scripted(serve) as address:
        (result,) = await gathered(subject.listens(address))
        assert str(result.state) == state


async def test_all_addresses_are_asked_at_this_machine(gathered, states):
    async def serve(reader, writer):
        writer.write(b"220 hello\r\n")

    async with scripted(serve) as address:
        everywhere = f"0.0.0.0:{address.rpartition(':')[2]}"
        assert states(await gathered(subject.listens(everywhere))) == {"relay.listens": "ok"}


async def test_a_flood_is_read_to_a_limit(gathered, states, monkeypatch):
    monkeypatch.setattr(subject, "SECONDS", 30.0)
    monkeypatch.setattr(subject, "LARGEST", 100_000)
    begun = time.monotonic()
    async with scripted(flood) as address:
        assert states(await gathered(subject.relay(address, None))) == {"relay.ready": "warning"}
    assert time.monotonic() - begun < 5

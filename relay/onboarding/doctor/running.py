"""Whether the relay runs here, and with the certificate that is on disk. It need not: the doctor may come before it."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import NamedTuple

from cryptography import x509

from relay.onboarding.doctor.result import Result, Topic, listed
from relay.onboarding.doctor.run import apart

LARGEST = 4_000_000
"""Bytes of an answer that are read."""
SECONDS = 5.0
"""For one answer: it is on this machine."""
_HEAD = re.compile(rb"HTTP/1\.[01] (\d{3})[^\r\n]*\r\n(?:[^\r\n]+\r\n)*\r\n")
_START = "start it with sluice serve, if it should run here"


class Answer(NamedTuple):
    """An answer of HTTP."""

    status: int
    body: bytes


async def get(endpoint: str, path: str) -> Answer:
    """GET `path` of the relay's own HTTP server. Raises OSError, also when the answer is none of HTTP's."""
    host, _, port = endpoint.rpartition(":")
    try:
        async with asyncio.timeout(SECONDS):
            reader, writer = await asyncio.open_connection(host.strip("[]"), int(port))
            try:
                writer.write(f"GET {path} HTTP/1.0\r\nHost: {endpoint}\r\n\r\n".encode("ascii"))
                told = await _all(reader)
            finally:
                writer.close()
    except TimeoutError:
        raise OSError("no answer in time") from None
    match = _HEAD.match(told)
    if match is None:
        raise OSError("what answers is no HTTP server")
    return Answer(int(match[1]), told[match.end() :])


async def _all(reader: asyncio.StreamReader) -> bytes:
    told = bytearray()
    while len(told) <= LARGEST and (piece := await reader.read(65_536)):
        told += piece
    return bytes(told[:LARGEST])


async def relay(http: str, certificate: Path | None) -> AsyncIterator[Result]:
    """Whether the relay that listens at `http` is ready, and shows the `certificate` that is on disk."""
    topic = Topic("relay.ready", http)
    if http.endswith(":0"):
        yield topic.skipped("http.listen is any free port")
        return
    try:
        ready = await get(http, "/readyz")
        metrics = await get(http, "/metrics")
    except OSError as error:
        yield topic.warning(f"no relay answers: {error.strerror or error}", _START)
        return
    yield readiness(topic, ready)
    if ready.status in (200, 503) and certificate is not None:
        shown = sample(metrics.body.decode("utf-8", "replace"), _EXPIRY)
        yield same_certificate(Topic("relay.certificate", http), shown, await apart(lambda: _end(certificate)))


def _end(file: Path) -> float | None:
    try:
        return x509.load_pem_x509_certificates(file.read_bytes())[0].not_valid_after_utc.timestamp()
    except (OSError, ValueError, IndexError):  # told by certificate.pair
        return None


_EXPIRY = "sluice_certificate_expiry_timestamp_seconds"


def readiness(topic: Topic, ready: Answer) -> Result:
    """What /readyz says."""
    if ready.status == 200:
        return topic.ok("the relay runs and is ready")
    if ready.status != 503:
        return topic.warning(f"what answers there is no relay: status {ready.status}", _START)
    try:
        problems = json.loads(ready.body)["problems"]
        told = listed(f"{name}: {problem}" for name, problem in problems.items())
    except (ValueError, TypeError, KeyError, AttributeError):
        told = "and does not say why"
    return topic.failed(f"the relay runs and is not ready: {told}", "see its log")


def sample(metrics: str, name: str) -> float | None:
    """The value of a sample without labels; None when it is not there."""
    match = re.search(rf"^{name} (\S{{1,40}})$", metrics, re.MULTILINE)
    try:
        return float(match[1]) if match else None
    except ValueError:
        return None


def same_certificate(topic: Topic, running: float | None, on_disk: float | None) -> Result:
    """Whether the running relay has read the newest certificate, by the time at which that ends."""
    if not running or on_disk is None:
        return topic.skipped("there is no certificate to compare")
    if abs(running - on_disk) < 1:
        return topic.ok("the relay shows the certificate that is on disk")
    return topic.warning("the relay shows another certificate than the one on disk", "send it SIGHUP")


async def listens(endpoint: str) -> AsyncIterator[Result]:
    """Whether somebody speaks SMTP where mail should come in; strangers hear 554 there, and that is right."""
    topic = Topic("relay.listens", endpoint)
    if endpoint.endswith(":0"):
        yield topic.skipped("smtp.listen is any free port")
        return
    try:
        said = await _greeting(endpoint)
    except OSError as error:
        yield topic.warning(f"nobody speaks SMTP there: {error.strerror or error}", _START)
        return
    if said[:3] in (b"220", b"421", b"554"):
        yield topic.ok("somebody speaks SMTP there")
    else:
        yield topic.warning(f"what answers is no mail server: {said[:80]!r}", "see who listens there")


async def _greeting(endpoint: str) -> bytes:
    host, _, port = endpoint.rpartition(":")
    host = {"0.0.0.0": "127.0.0.1", "[::]": "::1"}.get(host, host.strip("[]"))  # noqa: S104 - that is what is asked
    try:
        async with asyncio.timeout(SECONDS):
            reader, writer = await asyncio.open_connection(host, int(port))
            try:
                return await reader.read(512)
            finally:
                writer.close()
    except TimeoutError:
        raise OSError("no greeting in time") from None

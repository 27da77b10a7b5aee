"""The HTTP server over real sockets."""

import json
import socket

import aiohttp
import pytest

from relay.admin.server import start


class Asked:
    """A running server with pretend numbers and a readiness that the test sets."""

    def __init__(self):
        self.problems = {}
        self.broken = False
        self.text = b"# HELP x y\nx 1.0\n"

    async def readiness(self):
        if self.broken:
            raise RuntimeError("nobody knows")
        return self.problems


@pytest.fixture
async def asked():
    asked = Asked()
    sock = socket.create_server(("127.0.0.1", 0))
    asked.port = sock.getsockname()[1]
    server = await start(sock, lambda: asked.text, asked.readiness)
    async with aiohttp.ClientSession() as session:
        asked.session = session
        yield asked
    await server.close()


async def get(asked, path, method="GET"):
    async with asked.session.request(method, f"http://127.0.0.1:{asked.port}{path}") as reply:
        return reply.status, await reply.read(), reply.headers


async def test_health(asked):
    asked.problems["records"] = "locked"
    assert (await get(asked, "/healthz"))[:2] == (200, b"ok")


async def test_ready(asked):
    assert (await get(asked, "/readyz"))[:2] == (200, b"ready")


async def test_not_ready_tells_what_is_wrong_by_name(asked):
    asked.problems |= {"records": "locked", "certificate": "expired"}
    status, body, headers = await get(asked, "/readyz")
    assert status == 503
    assert headers["Content-Type"].startswith("application/json")
    assert json.loads(body) == {"ready": False, "problems": {"records": "locked", "certificate": "expired"}}


async def test_a_readiness_that_breaks_is_not_ready_and_tells_no_reason(asked, capsys):
    asked.broken = True
    status, body, _ = await get(asked, "/readyz")
    assert (status, json.loads(body)["problems"]) == (503, {"health": "cannot tell"})
    assert "nobody knows" in "".join(capsys.readouterr())


async def test_metrics(asked):
    status, body, headers = await get(asked, "/metrics")
    assert (status, body) == (200, asked.text)
    assert headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"


async def test_no_version_is_told(asked):
    for path in ("/metrics", "/healthz", "/nothing"):
        assert (await get(asked, path))[2]["Server"] == "sluice"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/", 404), ("POST", "/metrics", 405), ("PUT", "/healthz", 405), ("HEAD", "/readyz", 200)],
)
async def test_nothing_else(asked, method, path, status):
    assert (await get(asked, path, method))[0] == status


async def test_unix_socket(tmp_path):
    sock = socket.socket(socket.AF_UNIX)
    sock.bind(str(tmp_path / "s"))
    server = await start(sock, lambda: b"x 1\n", Asked().readiness)
    connector = aiohttp.UnixConnector(path=str(tmp_path / "s"))
    async with aiohttp.ClientSession(connector=connector) as session, session.get("http://localhost/metrics") as reply:
        assert await reply.read() == b"x 1\n"
    await server.close()
    assert sock.fileno() == -1

import asyncio
import time

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from relay.tools import TooLarge, Toolbox
from verdicts.kit import PretendDns


@pytest.fixture
async def toolbox():
    box = Toolbox(PretendDns({"a": ["b"]}))
    yield box
    await box.close()


async def served(handle):
    application = web.Application(client_max_size=100_000_000)
    application.router.add_post("/x", handle)
    server = TestServer(application)
    await server.start_server()
    return server


async def test_what_is_posted_arrives(toolbox):
    seen = []

    async def handle(request):
        seen.append((await request.read(), request.headers.getall("Rcpt"), request.headers.get("Content-Length")))
        seen.append(request.transport.get_extra_info("peername"))
        return web.Response(status=201, body=b"answer", headers={"X-A": "b"})

    async with await served(handle) as server:
        url, rcpt = str(server.make_url("/x")), [("Rcpt", "a"), ("Rcpt", "b")]
        many = [b"x" * 70_000, b"y" * 70_000]
        reply = await toolbox.tools.http.post(url, headers=[*rcpt, ("Content-Length", "140000")], body=many)
        assert (reply.status, reply.body, reply.headers["X-A"]) == (201, b"answer", "b")
        await toolbox.tools.http.post(url, headers=rcpt, body=iter([b"x" * 100_000]))
        await toolbox.tools.http.post(url, headers=rcpt, body=[b"small"])
        await toolbox.tools.http.post(url, headers=rcpt, body=[])
    assert [entry[0] for entry in seen[::2]] == [b"".join(many), b"x" * 100_000, b"small", b""]
    assert [entry[2] for entry in seen[::2]] == ["140000", None, "5", "0"]
    assert seen[0][1] == ["a", "b"]
    assert len(set(seen[1::2])) == 1  # one connection for all


async def test_a_large_body_leaves_time_for_others(toolbox):
    async def handle(request):
        return web.Response(body=str(len(await request.read())))

    async with await served(handle) as server:
        url = str(server.make_url("/x"))
        await toolbox.tools.http.post(url, headers=[], body=[])  # the connection is there
        posting = asyncio.create_task(toolbox.tools.http.post(url, headers=[], body=[b"x" * 1_000] * 300))
        turns = 0
        while not posting.done():
            await asyncio.sleep(0)
            turns += 1
        assert posting.result().body == b"300000"
    assert turns > 300


async def test_a_reply_without_end(toolbox):
    async def handle(request):
        return web.Response(body=b"x" * 5_000)

    async with await served(handle) as server:
        with pytest.raises(OSError, match="larger than 4999"):
            await toolbox.tools.http.post(str(server.make_url("/x")), headers=[], body=[], limit=4_999)
        assert len((await toolbox.tools.http.post(str(server.make_url("/x")), headers=[], body=[], limit=5_000)).body)


@pytest.mark.parametrize("reply", [b"", b"nonsense\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx"])
async def test_foreign_errors_are_os_errors(toolbox, reply):
    async def serve(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(reply)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        host, port = server.sockets[0].getsockname()
        with pytest.raises(OSError):
            await toolbox.tools.http.post(f"http://{host}:{port}/", headers=[], body=[])
        with pytest.raises(OSError):
            await toolbox.tools.http.post(f"http://{host}:{port}/", headers=[], body=iter([b"once"]))
    for url in (f"http://{host}:{port}/", "http:///", "nonsense"):
        with pytest.raises(OSError):
            await toolbox.tools.http.post(url, headers=[], body=[])


async def test_a_stale_connection_is_tried_once_more(toolbox):
    connections = 0

    async def serve(reader, writer):
        nonlocal connections
        connections += 1
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        if connections == 1:
            await reader.readuntil(b"\r\n\r\n")  # the second request on it is never answered
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        host, port = server.sockets[0].getsockname()
        for _ in range(2):
            assert (await toolbox.tools.http.post(f"http://{host}:{port}/", headers=[], body=[])).body == b"ok"
    assert connections == 2


async def test_a_redirect_is_not_followed(toolbox):
    async def handle(request):
        raise web.HTTPFound("http://192.0.2.1/")

    async with await served(handle) as server:
        reply = await toolbox.tools.http.post(str(server.make_url("/x")), headers=[], body=[])
        assert reply.status == 302


async def test_what_is_got(toolbox):
    async def handle(request):
        return web.Response(status=203, body=b"answer", headers={"X-Query": request.query_string})

    application = web.Application()
    application.router.add_get("/x", handle)
    http = toolbox.tools.http
    async with TestServer(application) as server:
        url = str(server.make_url("/x"))
        reply = await http.get(f"{url}?A=b&c", limit=6)
        assert (reply.status, reply.body, reply.headers["X-Query"]) == (203, b"answer", "A=b&c")
        with pytest.raises(TooLarge, match="larger than 5"):
            await http.get(url, limit=5)
    with pytest.raises(OSError):
        await http.get(url, limit=5)


async def test_a_server_that_hangs_up_is_not_asked_again(toolbox):
    """Neither on a fresh connection nor on one that was kept."""
    asked = 0

    async def serve(reader, writer):
        nonlocal asked
        while await reader.readuntil(b"\r\n\r\n"):
            asked += 1
            if asked != 2:
                break
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    http = toolbox.tools.http
    async with server:
        host, port = server.sockets[0].getsockname()
        url = f"http://{host}:{port}/"
        with pytest.raises(OSError, match="the server hung up"):
            await http.get(url, limit=9)
        assert (await http.get(url, limit=9)).body == b"ok"
        with pytest.raises(OSError, match="the server hung up"):
            await http.get(url, limit=9)
    assert asked == 3


async def test_clock_and_dns(toolbox):
    assert abs(toolbox.tools.clock.time() - time.time()) < 5
    assert toolbox.tools.clock.monotonic() <= toolbox.tools.clock.monotonic()
    assert await toolbox.tools.dns.txt("a") == ("b",)


async def test_closing_what_was_never_used():
    await Toolbox(PretendDns()).close()

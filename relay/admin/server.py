"""The HTTP server: /metrics for Prometheus, /healthz and /readyz for whoever starts, stops and balances nodes.

What it tells is injected, so that a worker can serve its own numbers and a supervisor the sum of all.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from aiohttp import web

from relay.observe.logs import get_logger

Exposition = Callable[[], bytes]
Readiness = Callable[[], Awaitable[Mapping[str, str]]]

_PROMETHEUS: Final = "text/plain; version=0.0.4; charset=utf-8"
_LARGEST_BODY: Final = 1024
_SHUTDOWN: Final = 2.0

log = get_logger()


class Server:
    """A running HTTP server."""

    def __init__(self, runner: web.AppRunner) -> None:
        self._runner = runner

    async def close(self) -> None:
        """Stop listening, give open requests two seconds, close the socket."""
        await self._runner.cleanup()


async def start(sock: socket.socket, exposition: Exposition, readiness: Readiness) -> Server:
    """Serve on `sock`, a bound TCP or Unix socket, which becomes the server's own.

    `exposition` gives the text of /metrics and runs in a thread; `readiness` gives what is wrong, by name.
    """
    app = web.Application(client_max_size=_LARGEST_BODY)
    app.on_response_prepare.append(_tell_no_version)
    app.add_routes(
        [
            web.get("/metrics", _metrics(exposition)),
            web.get("/healthz", _healthz),
            web.get("/readyz", _readyz(readiness)),
        ]
    )
    runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=_SHUTDOWN)
    await runner.setup()
    await web.SockSite(runner, sock).start()
    return Server(runner)


Handler = Callable[[web.Request], Awaitable[web.Response]]


def _metrics(exposition: Exposition) -> Handler:
    async def metrics(_: web.Request) -> web.Response:
        text = await asyncio.to_thread(exposition)
        return web.Response(body=text, headers={"Content-Type": _PROMETHEUS})

    return metrics


async def _healthz(_: web.Request) -> web.Response:
    return web.Response(text="ok")


def _readyz(readiness: Readiness) -> Handler:
    async def readyz(_: web.Request) -> web.Response:
        problems = await _problems(readiness)
        if problems:
            return web.json_response({"ready": False, "problems": problems}, status=503)
        return web.Response(text="ready")

    return readyz


async def _problems(readiness: Readiness) -> Mapping[str, str]:
    try:
        return await readiness()
    except Exception:  # not knowing is not ready, and the reason is in the log
        log.exception("readiness_unknown")
        return {"health": "cannot tell"}


async def _tell_no_version(_: web.Request, response: web.StreamResponse) -> None:
    response.headers["Server"] = "sluice"

"""A service of the operator's that takes notices: a real HTTP server that keeps what it was sent.

with Webhook() as hook:
    ...
    assert hook.notices[0]["kind"] == "test"
"""

import json
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self


@dataclass
class Request:
    """One POST."""

    path: str
    headers: dict[str, str]
    body: bytes


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        hook: Webhook = self.server.hook  # type: ignore[attr-defined]
        body = self.rfile.read(int(self.headers["Content-Length"]))
        hook.requests.append(Request(self.path, dict(self.headers.items()), body))
        hook.go.wait(30)
        self.send_response(hook.status)
        for name, value in hook.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


class Webhook:
    """Answers with `status` and `headers`, which may be changed at any time; while `go` is cleared it does not."""

    def __init__(self, status: int = 204) -> None:
        self.status = status
        self.headers: dict[str, str] = {}
        self.requests: list[Request] = []
        self.go = threading.Event()
        self.go.set()

    def __enter__(self) -> Self:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self._server.hook = self  # type: ignore[attr-defined]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.go.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def url(self) -> str:
        """Where it takes its requests."""
        return f"http://127.0.0.1:{self._server.server_port}/notices?key=1"

    @property
    def notices(self) -> list[dict[str, Any]]:
        """What it was sent."""
        return [json.loads(request.body) for request in self.requests]

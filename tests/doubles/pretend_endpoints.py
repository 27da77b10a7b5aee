"""Microsoft's endpoints web service, stricter than the documented one: what it calls bad manners is an error here.

https://learn.microsoft.com/microsoft-365/enterprise/microsoft-365-ip-web-service. It has a clock of its own, which a
test turns on with `pass_time`.
"""

import json
import re
import ssl
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

EXAMPLES = {"b10c5ed1-bad1-445f-b386-b919946339a7"}
"""Client ids of the documentation, which are blocked."""
GUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
KNOWN = {"version": {"clientrequestid"}, "endpoints": {"clientrequestid", "serviceareas"}}
INSTANCES = ("Worldwide", "USGovDoD", "USGovGCCHigh", "China")
WORLDWIDE = (
    "40.92.0.0/15", "40.107.0.0/16", "52.100.0.0/14", "104.47.0.0/17", "2a01:111:f400::/48", "2a01:111:f403::/48",
)  # fmt: skip
HOUR = 3600.0

Misbehaviour = Callable[["Exchange"], None]


@dataclass(frozen=True)
class Asked:
    """One request that was made."""

    method: str
    instance: str
    client: str
    status: int


def records(ips: Sequence[str]) -> list[dict[str, Any]]:
    """A list as the service gives it, with `ips` where mail comes from."""
    exchange = {"serviceArea": "Exchange", "serviceAreaDisplayName": "Exchange Online", "expressRoute": True}
    return [
        {"id": 1, **exchange, "urls": ["outlook.office.com"], "ips": ["13.107.6.152/31", "2603:1006::/40"],
         "tcpPorts": "80,443", "udpPorts": "443", "category": "Optimize", "required": True},
        {"id": 2, **exchange, "urls": ["smtp.office365.com"], "ips": ["40.96.0.0/13"], "tcpPorts": "587",
         "category": "Allow", "required": True},
        {"id": 8, **exchange, "urls": ["*.outlook.com"], "tcpPorts": "80,443", "category": "Default", "required": True},
        {"id": 9, **exchange, "urls": ["*.protection.outlook.com"], "ips": [*ips, "52.238.78.88/32"], "tcpPorts": "443",
         "category": "Allow", "required": True},
        {"id": 10, **exchange, "urls": ["*.mail.protection.outlook.com", "*.mx.microsoft"], "ips": list(ips),
         "tcpPorts": "25", "category": "Allow", "required": True},
        {"id": 46, "serviceArea": "Common", "serviceAreaDisplayName": "Microsoft 365 Common", "expressRoute": False,
         "urls": ["*.office.com"], "ips": ["13.107.6.171/32"], "tcpPorts": "25,80,443", "category": "Allow",
         "required": True, "notes": "Not mail, whatever its ports are"},
    ]  # fmt: skip


class PretendEndpoints:
    """The service on a free port of 127.0.0.1, by TLS when it has a `context`. `rude` must stay empty."""

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        self.asked: list[Asked] = []
        self.rude: list[str] = []
        """What no client should do."""
        self.misbehave: dict[str, Misbehaviour] = {}
        """By method (version, endpoints): does something else with the request."""
        self.leave = threading.Event()
        """Set at the end: what waits shall go."""
        self.lists: dict[str, tuple[str, list[dict[str, Any]]]] = {}
        self._ahead = 0.0
        self._last: dict[tuple[str, str, str], float] = {}
        self._has: dict[tuple[str, str], str] = {}
        for instance in INSTANCES:
            self.publish("2026081400", WORLDWIDE, instance)
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Exchange)
        self._server.daemon_threads = False
        self._server.service = self  # type: ignore[attr-defined]
        self._server.handle_error = lambda *_: None  # type: ignore[method-assign]  # clients that hang up
        if context is not None:
            plain = self._server.socket
            self._server.socket = context.wrap_socket(plain, server_side=True, do_handshake_on_connect=False)
        self._scheme = "http" if context is None else "https"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))

    @property
    def url(self) -> str:
        """What `admission.endpoints_url` says."""
        return f"{self._scheme}://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.leave.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def publish(self, version: str, ips: Sequence[str], instance: str = "Worldwide") -> None:
        """A new list."""
        self.lists[instance] = version, records(ips)

    def pass_time(self, seconds: float = HOUR + 1) -> None:
        """Turn the clock on."""
        self._ahead += seconds

    def methods(self) -> list[str]:
        """What was asked, in order."""
        return [one.method for one in self.asked]

    def answer(self, target: str) -> tuple[int, Any]:
        """Status and content for a GET."""
        parts = urlsplit(target)
        method, _, instance = parts.path.lstrip("/").partition("/")
        query = [(key.lower(), value) for key, value in parse_qsl(parts.query, keep_blank_values=True)]
        client = dict(query).get("clientrequestid", "")
        status, content = self._judged(method, instance, client, dict(query) if len(query) == len(dict(query)) else {})
        self.asked.append(Asked(method, instance, client, status))
        return status, content

    def _judged(self, method: str, instance: str, client: str, query: dict[str, str]) -> tuple[int, Any]:
        if method not in KNOWN or instance not in INSTANCES:
            return 404, {"error": "no such method or instance"}
        if query.keys() != KNOWN[method] or query.get("serviceareas", "Exchange") != "Exchange":
            return 400, {"error": "wrong parameters"}
        if not GUID.fullmatch(client) or client in EXAMPLES:
            return 400, {"error": "ClientRequestId must be a random GUID of your own"}
        too_soon = self._too_soon(method, instance, client)
        version, content = self.lists[instance]
        if method == "version":
            if too_soon:
                self.rude.append(f"version of {instance} asked for twice in an hour")
            return 200, {"instance": instance, "latest": version}
        if too_soon:
            return 429, {"error": "too many requests"}
        if self._has.get((instance, client)) == version:
            self.rude.append(f"list of {instance} asked for without a new version")
        if method not in self.misbehave:
            self._has[instance, client] = version
        return 200, content

    def _too_soon(self, method: str, instance: str, client: str) -> bool:
        key, now = (method, instance, client), time.time() + self._ahead
        last, self._last[key] = self._last.get(key, 0.0), now
        return now - last < HOUR


class Exchange(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    headers: Message

    def do_GET(self) -> None:
        service: PretendEndpoints = self.server.service  # type: ignore[attr-defined]
        status, content = service.answer(self.path)
        odd = service.misbehave.get(self.path.split("/")[1].partition("?")[0])
        if odd is not None:
            odd(self)
            return
        self.say(status, json.dumps(content).encode())

    def say(self, status: int, body: bytes, **headers: str) -> None:
        """A whole answer."""
        self.send_response(status)
        self.send_header("Content-Type", "application/json; charset=utf-8")
        self.send_header("Cache-Control", "public, max-age=3600")
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def say_raw(self, answer: bytes) -> None:
        """These bytes, and hang up."""
        self.wfile.write(answer)
        self.close_connection = True

    def log_message(self, *_: object) -> None:
        """Say nothing."""

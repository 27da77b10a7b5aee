"""A pretend rspamd whose answer is written in the message, in X-Answer: JSON laid over a clean answer, a status such as
"500", "sleep 2" (seconds before a clean answer), or any other text as the body. Without it the answer is clean."""

import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

_ANSWER = re.compile(rb"^X-Answer: (.*)\r$", re.MULTILINE)
_CLEAN = {"action": "no action", "score": 0.0, "required_score": 15.0, "is_skipped": False, "symbols": {}}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        message = self._body()
        self.server.work()  # type: ignore[attr-defined]
        found = _ANSWER.search(message)
        answer = found[1].decode() if found else ""
        self.server.requests.append(dict(self.headers))  # type: ignore[attr-defined]
        if answer.startswith("sleep "):
            self.server.closing.wait(float(answer[6:]))  # type: ignore[attr-defined]
            answer = ""
        if answer.isdigit():
            self._say(int(answer), b"")
        elif answer.startswith("{"):
            self._say(200, json.dumps(_CLEAN | json.loads(answer)).encode())
        else:
            self._say(200, answer.encode() or json.dumps(_CLEAN).encode())

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _say(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        return


class AnsweringRspamd:
    """Listens on a free port; `url` is its address, `requests` the header fields of what was asked.

    `seconds` is the work that each message makes, whether or not its sender still waits; `hands` work at a time.
    """

    def __init__(self, hands: int = 1, seconds: float = 0.0) -> None:
        self.seconds = seconds
        self._hands = threading.Semaphore(hands)
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self._server.daemon_threads = True
        self.requests: list[dict[str, str]] = []
        self._server.requests = self.requests  # type: ignore[attr-defined]
        self._server.work = self._work  # type: ignore[attr-defined]
        self._server.closing = threading.Event()  # type: ignore[attr-defined]
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    def _work(self) -> None:
        if self.seconds:
            with self._hands:
                self._server.closing.wait(self.seconds)  # type: ignore[attr-defined]

    def wake(self) -> None:
        """Nobody sleeps any more."""
        self._server.closing.set()  # type: ignore[attr-defined]

    def close(self) -> None:
        """Stop listening."""
        self.wake()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

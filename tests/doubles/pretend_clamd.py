"""A pretend clamd that says to every INSTREAM whatever it is told to."""

import contextlib
import socketserver
import threading


class _Handler(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        clamd: PretendClamd = self.server.clamd  # type: ignore[attr-defined]
        with contextlib.suppress(OSError):
            self._command()
            if clamd.early:
                self.wfile.write(clamd.reply)
                clamd.closing.wait(clamd.lingers)
                return
            while size := int.from_bytes(self.rfile.read(4), "big"):
                self.rfile.read(size)
            self.wfile.write(clamd.reply)

    def _command(self) -> None:
        while self.rfile.read(1) not in {b"\0", b""}:
            pass


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    block_on_close = False


class PretendClamd:
    """Listens on a free port. `reply` is said after the message and then it hangs up; `early`: before the message, of
    which nothing is read, and it hangs up after `lingers` seconds."""

    def __init__(self) -> None:
        self.reply, self.early, self.lingers = b"stream: OK\0", False, 0.0
        self.closing = threading.Event()
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.clamd = self  # type: ignore[attr-defined]
        self.address = f"127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    def close(self) -> None:
        """Stop listening."""
        self.closing.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

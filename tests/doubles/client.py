"""A plain SMTP client over a blocking socket: it sends exactly the bytes it is told to and reads replies, no more."""

import re
import socket
import ssl
import struct
from collections.abc import Iterable
from typing import NamedTuple, Self

END = b"\r\n.\r\n"


class Reply(NamedTuple):
    """One reply: its code, and each line's text behind the code."""

    code: int
    lines: tuple[str, ...]

    @property
    def text(self) -> str:
        """The last line's text."""
        return self.lines[-1]

    def __str__(self) -> str:
        return f"{self.code} " + " / ".join(self.lines)


def stuffed(body: bytes) -> bytes:
    """`body` as it goes into DATA, with its dots doubled (RFC 5321 section 4.5.2) and without the end mark."""
    return re.sub(rb"(?:\A|(?<=\r\n))\.", b"..", body)


def as_data(body: bytes) -> bytes:
    """`body`, dot-stuffed and ended. A body that does not end with CRLF gets one: DATA cannot say otherwise."""
    return stuffed(body) + (b".\r\n" if body.endswith(b"\r\n") or not body else END)


class Client:
    """One connection. Every read has a timeout, in seconds; OSError and EOFError say what went wrong."""

    def __init__(self, port: int, host: str = "127.0.0.1", *, source: str | None = None, timeout: float = 20.0) -> None:
        origin = (source, 0) if source else None
        self._socket = socket.create_connection((host, port), timeout, source_address=origin)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._buffer = bytearray()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Hang up without a word."""
        self._socket.close()

    def reset(self) -> None:
        """Hang up with a TCP reset."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._socket.close()

    def half_close(self) -> None:
        """Say that nothing more will be sent; the replies may still come."""
        self._socket.shutdown(socket.SHUT_WR)

    def rest(self) -> bytes:
        """All that comes until the relay hangs up."""
        rest = bytes(self._buffer)
        while data := self._socket.recv(65536):
            rest += data
        return rest

    def send(self, data: bytes) -> None:
        """Send these bytes."""
        self._socket.sendall(data)

    def reply(self, timeout: float | None = None) -> Reply:
        """The next reply, of one line or many. Raises EOFError when the relay hung up."""
        if timeout is not None:
            self._socket.settimeout(timeout)
        lines: list[str] = []
        while True:
            line = self.line()
            lines.append(line[4:])
            if line[3:4] != "-":
                return Reply(int(line[:3]), tuple(lines))

    def line(self) -> str:
        """The next line, without its CRLF. Raises EOFError."""
        while (end := self._buffer.find(b"\r\n")) < 0:
            data = self._socket.recv(65536)
            if not data:
                raise EOFError(f"closed behind {bytes(self._buffer)!r}")
            self._buffer += data
        line = self._buffer[:end].decode("utf-8", "surrogateescape")
        del self._buffer[: end + 2]
        return line

    def quiet(self, seconds: float) -> bool:
        """Whether nothing comes for so long."""
        if self._buffer:
            return False
        self._socket.settimeout(seconds)
        try:
            data = self._socket.recv(65536)
        except TimeoutError:
            return True
        finally:
            self._socket.settimeout(20)
        self._buffer += data
        return False

    def closed(self) -> bool:
        """Whether the relay has hung up, all replies being read. Waits for it as long as for a reply."""
        try:
            return not self._buffer and self._socket.recv(1) == b""
        except ConnectionResetError:
            return True

    def ask(self, command: str | bytes) -> Reply:
        """Send one command line and read its reply."""
        self.send((command.encode() if isinstance(command, str) else command) + b"\r\n")
        return self.reply()

    def hello(self, name: str = "out.example") -> Reply:
        """Read the banner and say EHLO; the reply to that."""
        greeting = self.reply()
        if greeting.code != 220:
            return greeting
        return self.ask(f"EHLO {name}")

    def starttls(self, context: ssl.SSLContext, name: str) -> None:
        """STARTTLS and the handshake; EHLO is the caller's. Raises ssl.SSLError, AssertionError."""
        answer = self.ask("STARTTLS")
        assert answer.code == 220, answer
        self.handshake(context, name)

    def handshake(self, context: ssl.SSLContext, name: str) -> None:
        """The TLS handshake alone."""
        self._socket = context.wrap_socket(self._socket, server_hostname=name)

    @property
    def certificate(self) -> bytes | None:
        """The relay's certificate in DER, once TLS is on."""
        return self._socket.getpeercert(binary_form=True) if isinstance(self._socket, ssl.SSLSocket) else None

    @property
    def has_ticket(self) -> bool:
        """Whether the relay gave a session ticket (RFC 5077, RFC 8446 section 4.6.1)."""
        session = self._socket.session if isinstance(self._socket, ssl.SSLSocket) else None
        return session is not None and session.has_ticket

    def envelope(self, sender: str, recipients: Iterable[str]) -> list[Reply]:
        """MAIL and RCPTs, one after the other; all the replies."""
        replies = [self.ask(f"MAIL FROM:<{sender}>")]
        return replies + [self.ask(f"RCPT TO:<{recipient}>") for recipient in recipients]

    def data(self, body: bytes) -> Reply:
        """DATA and `body`; the final reply, or the one that refused DATA."""
        answer = self.ask("DATA")
        if answer.code != 354:
            return answer
        self.send(as_data(body))
        return self.reply()

    def bdat(self, chunks: Iterable[bytes]) -> Reply:
        """The chunks by BDAT (RFC 3030), the last one marked; the final reply."""
        rest = list(chunks)
        for chunk in rest[:-1]:
            self.send(b"BDAT %d\r\n" % len(chunk) + chunk)
            answer = self.reply()
            if answer.code != 250:
                return answer
        self.send(b"BDAT %d LAST\r\n" % len(rest[-1]) + rest[-1])
        return self.reply()


def deliver(port: int, body: bytes, recipients: Iterable[str], sender: str = "ann@sender.example") -> Reply:
    """One whole session with one message; the first reply that is no success, or the final one."""
    with Client(port) as client:
        client.hello()
        for answer in client.envelope(sender, recipients):
            if answer.code >= 300:
                return answer
        final = client.data(body)
        client.send(b"QUIT\r\n")
        return final

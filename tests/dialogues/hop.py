"""The next hop of a transcript: a listening socket whose every word the transcript says."""

import re
import select
import socket

PATIENCE = 15.0
"""Seconds that anything awaited may take."""


class MismatchError(AssertionError):
    """The relay did not do what the transcript says."""


class ScriptedHop:
    """The tenant's server, played by hand: the newest connection and the body that came last."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self._connections: list[socket.socket] = []
        self._buffer = bytearray()
        self.body = b""

    def forget(self) -> None:
        """Close all connections, those too that nobody has looked at."""
        while select.select([self._listener], [], [], 0)[0]:
            self._connections.append(self._listener.accept()[0])
        for connection in self._connections:
            connection.close()
        self._connections.clear()
        self._buffer.clear()
        self.body = b""

    def close(self) -> None:
        """Stop listening."""
        self.forget()
        self._listener.close()

    def accept(self) -> None:
        """Wait for a connection; what is read from now on is read from it."""
        if not select.select([self._listener], [], [], PATIENCE)[0]:
            raise MismatchError("no connection came to the next hop")
        connection = self._listener.accept()[0]
        connection.settimeout(PATIENCE)
        self._connections.append(connection)
        self._buffer.clear()

    def _fill(self) -> bool:
        if not self._connections:
            self.accept()
        try:
            data = self._connections[-1].recv(65536)
        except ConnectionResetError:
            data = b""
        except TimeoutError:
            raise MismatchError(f"the next hop heard nothing behind {bytes(self._buffer)!r}") from None
        self._buffer += data
        return bool(data)

    def line(self) -> str:
        """The next line that the relay says to the next hop; "(closed)" when it hung up."""
        while (end := self._buffer.find(b"\r\n")) < 0:
            if not self._fill():
                return "(closed)"
        line = self._buffer[:end].decode("utf-8", "surrogateescape")
        del self._buffer[: end + 2]
        return line

    def say(self, data: bytes) -> None:
        """Say these bytes to the relay."""
        self._connections[-1].sendall(data)

    def hang_up(self) -> None:
        """Close the newest connection."""
        self._connections.pop().close()
        self._buffer.clear()

    def read_body(self) -> None:
        """Take DATA or BDAT, whichever the relay chose, up to the end of the message. The final reply is not given."""
        command = self.line()
        if command == "DATA":
            self.say(b"354 Go ahead\r\n")
            self.body = self._until_dot()
            return
        self.body = b""
        while True:
            _, size, *last = command.split()
            self.body += self._exactly(int(size))
            if last:
                return
            self.say(b"250 2.0.0 Chunk taken\r\n")
            command = self.line()

    def _until_dot(self) -> bytes:
        wire = b"\r\n"
        while not wire.endswith(b"\r\n.\r\n"):
            wire += self._exactly(1)
        return re.sub(rb"(?<=\r\n)\.", b"", wire[:-3])[2:]

    def _exactly(self, size: int) -> bytes:
        while len(self._buffer) < size:
            if not self._fill():
                raise MismatchError("the relay hung up in the body")
        data = bytes(self._buffer[:size])
        del self._buffer[:size]
        return data

    def swallow(self) -> None:
        """Take and forget what has come so far, waiting for at least a byte of it."""
        if not self._buffer:
            self._fill()
        self._buffer.clear()

    def quiet(self, seconds: float) -> bool:
        """Whether neither a line nor a connection comes for so long."""
        watched = [self._listener, *self._connections[-1:]]
        return not self._buffer and not select.select(watched, [], [], seconds)[0]

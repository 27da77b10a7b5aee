"""A listener on a real socket, a pretend conversation behind it, and a client that speaks bytes."""

import asyncio
import contextlib
import ipaddress
import socket
from dataclasses import dataclass, field

import pytest
import uvloop

from relay.intake.admission import Admission
from relay.intake.listener import Listener
from relay.intake.options import IntakeOptions
from relay.replies import Reply

SECONDS = 5.0
LOOPBACK = Admission([(ipaddress.ip_network("127.0.0.0/8"), "operator")])


def pytest_asyncio_loop_factories(item):
    """Tests with sockets run under both event loops."""
    if "serve" in getattr(item, "fixturenames", ()):
        return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}
    return {"asyncio": asyncio.new_event_loop}


@dataclass
class Said:
    """What a conversation was asked, in order, and what it answers."""

    calls: list = field(default_factory=list)
    replies: dict = field(default_factory=dict)
    messages: list = field(default_factory=list)
    begun: bool = False
    release: asyncio.Event | None = None
    wait_in_mail: asyncio.Event | None = None
    entered: asyncio.Event = field(default_factory=asyncio.Event)
    finished: asyncio.Event = field(default_factory=asyncio.Event)

    def answer(self, call, default):
        reply = self.replies.get(call, default)
        if isinstance(reply, list):
            reply = reply.pop(0)
        if isinstance(reply, Exception):
            raise reply
        return reply


class PretendConversation:
    """Notes everything; `message` reads the draft twice and waits for `release` where there is one."""

    def __init__(self, said):
        self.said = said

    async def mail(self, session, envelope):
        self.said.calls.append(("mail", session, envelope))
        if self.said.wait_in_mail:
            await self.said.wait_in_mail.wait()
        return self.said.answer("mail", Reply.of(250, "2.1.0", "Sender ok"))

    async def rcpt(self, recipient):
        self.said.calls.append(("rcpt", recipient))
        return self.said.answer("rcpt", Reply.of(250, "2.1.5", "Recipient ok"))

    async def message(self, draft):
        self.said.calls.append(("message", draft.size, draft.fault, draft.bare))
        self.said.entered.set()
        if self.said.release:
            await self.said.release.wait()
        content = b"".join(draft.pieces())
        assert content == bytes(draft.view())
        self.said.messages.append(content)
        self.said.finished.set()
        if draft.fault:
            raise draft.fault
        return self.said.answer("message", Reply.of(250, "2.6.0", "Delivered"))

    async def reset(self):
        self.said.calls.append(("reset",))
        self.said.answer("reset", None)

    def lost(self):
        self.said.calls.append(("lost",))

    def hand_over_begun(self):
        return self.said.begun


class Client:
    """Bytes out, replies in; each wait has a limit, so that a missing reply is a failure and not a hang."""

    def __init__(self, reader, writer):
        self.reader = reader
        self.writer = writer

    def send(self, data):
        self.writer.write(data)

    async def reply(self):
        """All lines of the next reply, joined by newlines."""
        lines = []
        async with asyncio.timeout(SECONDS):
            while not lines or lines[-1][3:4] == "-":
                line = await self.reader.readline()
                assert line.endswith(b"\r\n"), f"instead of a reply: {line!r} after {lines}"
                lines.append(line[:-2].decode())
        return "\n".join(lines)

    async def ask(self, data):
        self.send(data)
        return await self.reply()

    async def ended(self):
        """What comes until the server closes."""
        async with asyncio.timeout(SECONDS):
            return await self.reader.read()

    async def talk(self, script):
        """A transcript: "C: " lines are sent with CRLF, "S: " lines are beginnings of replies, "S: EOF" is the end."""
        for line in filter(None, (line.strip() for line in script.splitlines())):
            side, text = line[:2], line[3:]
            if side == "C:":
                self.send(text.encode().decode("unicode_escape").encode("latin-1") + b"\r\n")
            elif text == "EOF":
                assert await self.ended() == b""
            else:
                got = await self.reply()
                assert got.startswith(text), f"expected {text!r}, got {got!r}"

    async def hello(self):
        await self.talk("S: 220\nC: EHLO client.example\nS: 250-")

    async def begin(self):
        await self.hello()
        await self.talk("C: MAIL FROM:<a@b.example>\nS: 250\nC: RCPT TO:<c@d.example>\nS: 250")

    async def close(self):
        self.writer.close()
        with contextlib.suppress(OSError):
            await self.writer.wait_closed()


@dataclass
class House:
    listener: Listener
    address: tuple
    said: Said
    clients: list = field(default_factory=list)

    async def connect(self):
        client = Client(*await asyncio.open_connection(*self.address, limit=1 << 22))
        self.clients.append(client)
        return client

    async def empty(self):
        """Wait until no session is left."""
        async with asyncio.timeout(SECONDS):
            await self.listener._empty(SECONDS)

    @property
    def calls(self):
        return [call[0] for call in self.said.calls]

    @property
    def budget(self):
        return self.listener._service.budget


@pytest.fixture
def options(tmp_path):
    """A function that makes IntakeOptions."""

    def make(**changes):
        values = {
            "name": "mx.relay.example", "drafts": tmp_path, "require_tls": False, "client_certificate_names": (),
            "proxy_networks": (), "max_message_bytes": 1_000_000, "max_recipients": 10, "max_sessions": 20,
            "max_sessions_per_peer": 10, "max_errors": 20, "max_command_bytes": 1024,
            "max_bytes_in_flight": 10_000_000, "memory_bytes": 65_536, "idle_timeout": 30.0, "data_timeout": 30.0,
            "transfer_timeout": 60.0, "reply_timeout": 30.0,
        }  # fmt: skip
        return IntakeOptions(**(values | changes))

    return make


@pytest.fixture
async def serve(options):
    """A function that starts a listener and returns its House."""
    houses = []

    async def start(*, tls=None, admission=LOOPBACK, said=None, **changes):
        said = said or Said()
        listener = Listener(options(**changes), admission, lambda: PretendConversation(said), lambda: tls)
        sock = socket.create_server(("127.0.0.1", 0))
        address = sock.getsockname()
        await listener.start([sock])
        houses.append(House(listener, address, said))
        return houses[-1]

    yield start
    for house in houses:
        for client in house.clients:
            await client.close()
        if house.said.release:
            house.said.release.set()
        house.listener.stop_accepting()
        await house.empty()
        assert house.budget.used == 0

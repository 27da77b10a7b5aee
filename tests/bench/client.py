"""An SMTP client that costs little: raw protocol on uvloop, pipelined, STARTTLS, any source address."""

import asyncio
import contextlib
import ssl

PIECE = 262_144


class NoReplyError(Exception):
    """The server hung up, or was silent for too long."""


class Client(asyncio.Protocol):
    def __init__(self):
        self.buffer, self.replies, self.reply_lines = b"", [], b""
        self.waiter = None
        self.closed = False
        self.writable = asyncio.Event()
        self.writable.set()

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        *lines, self.buffer = (self.buffer + data).split(b"\r\n")
        for line in lines:
            self.reply_lines += line + b"\r\n"
            if line[3:4] != b"-":
                self.replies.append(self.reply_lines)
                self.reply_lines = b""
        self.wake()

    def connection_lost(self, exc):
        self.closed = True
        self.writable.set()
        self.wake()

    def pause_writing(self):
        self.writable.clear()

    def resume_writing(self):
        self.writable.set()

    def wake(self):
        if self.waiter is not None and not self.waiter.done():
            self.waiter.set_result(None)

    async def reply(self):
        """The next reply, whole."""
        while not self.replies:
            if self.closed:
                raise NoReplyError
            self.waiter = asyncio.get_running_loop().create_future()
            await self.waiter
        return self.replies.pop(0)

    async def command(self, line):
        self.transport.write(line + b"\r\n")
        return await self.reply()

    async def start_tls(self, context):
        """STARTTLS and the EHLO behind it; what was said instead of 220, or the reply to EHLO."""
        ready = await self.command(b"STARTTLS")
        if not ready.startswith(b"220"):
            return ready
        loop = asyncio.get_running_loop()
        self.transport = await loop.start_tls(self.transport, self, context, server_hostname="127.0.0.1")
        return await self.command(b"EHLO client.example.com")

    async def send(self, data, recipients=1):
        """One mail. The first reply that is not as hoped, or the final one."""
        rcpt = b"RCPT TO:<rcpt@acme.example>\r\n" * recipients
        self.transport.write(b"MAIL FROM:<sender@example.com>\r\n" + rcpt + b"DATA\r\n")
        answers = [await self.reply() for _ in range(recipients + 2)]
        bad = next((answer for answer in answers if answer[:1] not in b"23"), None)
        if bad:
            return bad
        await self.write(data)
        return await self.reply()

    async def write(self, data):
        view = memoryview(data)
        for start in range(0, len(view), PIECE):
            if self.closed:
                raise NoReplyError
            self.transport.write(view[start : start + PIECE])
            await self.writable.wait()

    async def quit(self):
        """Say QUIT and wait for the reply, as long as the server is there."""
        if not self.closed:
            with contextlib.suppress(NoReplyError):
                await self.command(b"QUIT")
        self.transport.close()


async def connect(port, context=None, source=None):
    """A session after EHLO, and what was said last: 250 when all went well. Raises OSError, NoReplyError."""
    loop = asyncio.get_running_loop()
    address = (source, 0) if source else None
    _, client = await loop.create_connection(Client, "127.0.0.1", port, local_addr=address)
    answer = await client.reply()
    if answer.startswith(b"220"):
        answer = await client.command(b"EHLO client.example.com")
    if context and answer.startswith(b"250"):
        answer = await client.start_tls(context)
    return client, answer


def tls_context(folder):
    """Believes the certificate in `folder` and nothing else; a full handshake each time."""
    return ssl.create_default_context(cafile=f"{folder}/tls.pem") if folder else None

"""A name server as slow, lying or broken as wanted, on UDP and TCP of one loopback address."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import dns.flags
import dns.message
import dns.rrset

PORT = 5300


def somewhere() -> str:
    """A loopback address that nobody else is likely to use, tests beside this one included."""
    return f"127.{random.randint(1, 254)}.{random.randint(0, 255)}.{random.randint(1, 254)}"


Send = Callable[[bytes], None]
Behaviour = Callable[[dns.message.Message, Send], None]
"""What it does with a question: `send` as often as it likes, now or later."""


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, behaviour: Behaviour) -> None:
        self.behaviour = behaviour

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self.behaviour(dns.message.from_wire(data), lambda answer: self.transport.sendto(answer, addr))


@asynccontextmanager
async def bad_names(
    address: str, port: int, udp: Behaviour | None = None, tcp: Behaviour | None = None
) -> AsyncIterator[None]:
    """A server; without `udp` it says nothing, without `tcp` nobody listens there.

    What `tcp` sends gets its length in front; sending nothing hangs up, and so does an empty send, later ones are lost.
    """
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(
        lambda: _Datagrams(udp or (lambda _question, _send: None)), (address, port)
    )
    listener = tcp and await asyncio.start_server(lambda r, w: _serve(tcp, r, w), address, port)
    try:
        yield
    finally:
        transport.close()
        await asyncio.sleep(0)  # the socket is closed in the next turn
        if listener:
            listener.close()


async def _serve(behaviour: Behaviour, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError, EOFError):
        length = int.from_bytes(await reader.readexactly(2), "big")
        question = dns.message.from_wire(await reader.readexactly(length))
        behaviour(question, lambda answer: writer.write(len(answer).to_bytes(2, "big") + answer))
        await writer.drain()
    writer.close()


def answer(question: dns.message.Message, *records: str, authoritative: bool = True) -> dns.message.Message:
    """A good answer: `records` are TXT records' texts, each in quotes."""
    made = dns.message.make_response(question)
    if authoritative:
        made.flags |= dns.flags.AA
    if records:
        made.answer.append(dns.rrset.from_text(question.question[0].name, 300, "IN", "TXT", *records))
    return made


def says(*records: str) -> Behaviour:
    """A good server."""
    return lambda question, send: send(answer(question, *records).to_wire())

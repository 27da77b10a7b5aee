"""What one would otherwise write: an aiosmtpd handler, and one aiosmtplib.send() for each message."""

import asyncio
import sys

import aiosmtplib
from aiosmtpd.smtp import SMTP


class Forward:
    def __init__(self, port):
        self.port = port

    async def handle_DATA(self, server, session, envelope):
        await aiosmtplib.send(
            envelope.content, sender=envelope.mail_from, recipients=envelope.rcpt_tos,
            hostname="127.0.0.1", port=self.port, start_tls=False,
        )  # fmt: skip
        return "250 OK"


async def serve(listen, sink):
    loop = asyncio.get_running_loop()
    forward = Forward(sink)
    server = await loop.create_server(
        lambda: SMTP(forward, hostname="naive.example", data_size_limit=100_000_000), "127.0.0.1", listen, backlog=1024
    )
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), int(sys.argv[2])))

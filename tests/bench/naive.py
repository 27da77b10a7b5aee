"""What one would otherwise write: an aiosmtpd handler, and one aiosmtplib.send() for each message."""

import argparse
import asyncio
import ssl

import aiosmtplib
import uvloop
from aiosmtpd.smtp import SMTP


class Forward:
    def __init__(self, port, context):
        self.port, self.context = port, context

    async def handle_DATA(self, server, session, envelope):
        await aiosmtplib.send(
            envelope.content, sender=envelope.mail_from, recipients=envelope.rcpt_tos,
            hostname="127.0.0.1", port=self.port, start_tls=self.context is not None, tls_context=self.context,
        )  # fmt: skip
        return "250 OK"


async def serve(listen, sink, tls):
    server_context = client_context = None
    if tls:
        server_context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        server_context.load_cert_chain(f"{tls}/tls.pem", f"{tls}/tls.key")
        client_context = ssl.create_default_context(cafile=f"{tls}/tls.pem")
    forward = Forward(sink, client_context)

    def session():
        return SMTP(forward, hostname="naive.example", data_size_limit=100_000_000, tls_context=server_context)

    server = await asyncio.get_running_loop().create_server(session, "127.0.0.1", listen, backlog=1024)
    await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("listen", type=int)
    parser.add_argument("sink", type=int)
    parser.add_argument("--tls", help="folder of tls.pem and tls.key")
    parser.add_argument("--uvloop", action="store_true")
    asked = parser.parse_args()
    (uvloop.run if asked.uvloop else asyncio.run)(serve(asked.listen, asked.sink, asked.tls))

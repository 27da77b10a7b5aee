"""A next hop: takes all mail and throws it away. STARTTLS, as slow as wanted. `COUNT` tells how many mails it took.

smtp-sink has no TLS, and takes a whole large mail in one go, so that it answers nobody else meanwhile; this one does
not. It must be cheap: of a body only the end of each chunk is looked at.
"""

import argparse
import asyncio
import ssl

import uvloop

END = b"\r\n.\r\n"
WINDOW = 512
"""Bytes at the end of a chunk in which the end of a body is looked for; Postfix says QUIT in the same breath."""


class Sink(asyncio.Protocol):
    context = None
    rate = 0.0  # bytes a second that one connection takes; 0: all it gets
    count = 0

    def __init__(self):
        self.buffer, self.tail, self.body = b"", None, False
        self.secure = False

    def connection_made(self, transport):
        self.transport = transport
        transport.write(b"220 sink.example ESMTP\r\n")

    def data_received(self, data):
        if self.rate and not self.transport.is_closing():
            self.transport.pause_reading()
            asyncio.get_running_loop().call_later(len(data) / self.rate, self.go_on)
        if self.body:
            self.take(data)
            return
        *lines, self.buffer = (self.buffer + data).split(b"\r\n")
        for line in lines:
            self.obey(line)

    def go_on(self):
        if not self.transport.is_closing():
            self.transport.resume_reading()

    def take(self, data):
        window = self.tail + data if len(data) < WINDOW else data[-WINDOW:]
        end = window.find(END)
        self.tail = window[1 - len(END) :]
        if end >= 0:
            self.body = False
            type(self).count += 1
            self.transport.write(b"250 2.0.0 taken\r\n")
            self.data_received(window[end + len(END) :])

    def obey(self, line):
        verb = line[:4].upper()
        if verb in (b"EHLO", b"HELO"):
            tls = b"250-STARTTLS\r\n" if self.context and not self.secure else b""
            self.transport.write(b"250-sink.example\r\n" + tls + b"250-8BITMIME\r\n250-SIZE 0\r\n250 PIPELINING\r\n")
        elif verb == b"DATA":
            self.body, self.tail = True, b"\r\n"
            self.transport.write(b"354 go on\r\n")
        elif verb == b"STAR":
            self.transport.write(b"220 2.0.0 ready\r\n")
            self.handshake = asyncio.ensure_future(self.start_tls())
        elif verb == b"COUN":
            self.transport.write(b"250 %d\r\n" % self.count)
        elif verb == b"RCPT" and b"<nobody" in line:
            self.transport.write(b"550 5.1.1 no such mailbox\r\n")
        else:
            self.transport.write(b"221 2.0.0 bye\r\n" if verb == b"QUIT" else b"250 2.0.0 ok\r\n")
            if verb == b"QUIT":
                self.transport.close()

    async def start_tls(self):
        loop = asyncio.get_running_loop()
        try:
            self.transport = await loop.start_tls(self.transport, self, self.context, server_side=True)
            self.secure = True
        except OSError:
            self.transport.abort()


async def serve(port):
    server = await asyncio.get_running_loop().create_server(Sink, "127.0.0.1", port, backlog=1024)
    await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("port", type=int)
    parser.add_argument("--tls", help="folder of tls.pem and tls.key")
    parser.add_argument("--rate", type=float, default=0.0, help="bytes a second and connection")
    asked = parser.parse_args()
    Sink.rate = asked.rate
    if asked.tls:
        Sink.context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        Sink.context.load_cert_chain(f"{asked.tls}/tls.pem", f"{asked.tls}/tls.key")
    uvloop.run(serve(asked.port))

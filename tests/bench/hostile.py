"""A hostile client: sends one kind of mail again and again for some seconds, in two sessions. JSON: what it heard."""

import argparse
import asyncio
import json
import time
from collections import Counter

import uvloop
from client import NoReplyError, connect
from mails import HOSTILE

REFUSED = "10,000 refused RCPT"
COMMANDS = 5_000
"""RCPT commands that each of the two clients sends, over as many connections as it takes."""
KINDS = (*HOSTILE, REFUSED)


async def mails(port, data, end, heard):
    while time.perf_counter() < end:
        try:
            client, answer = await connect(port)
            if answer.startswith(b"250"):
                answer = await client.send(data)
            heard[answer[:9].decode()] += 1
            client.transport.close()
        except (OSError, NoReplyError):
            heard["hung up"] += 1


async def recipients(port, end, heard):
    """Half of them are refused by the relay, half by the next hop."""
    left = COMMANDS
    while left > 0 and time.perf_counter() < end:
        client, _ = await connect(port)
        lines = [b"MAIL FROM:<sender@example.com>", *[b"RCPT TO:<nobody@acme.example>\r\nRCPT TO:<a@b.example>"] * 500]
        client.transport.write(b"\r\n".join(lines) + b"\r\n")
        try:
            while True:
                heard[(await client.reply())[:9].decode()] += 1
                left -= 1
        except NoReplyError:
            heard["hung up"] += 1


async def attack(port, kind, seconds):
    heard = Counter()
    data = HOSTILE[kind]() if kind in HOSTILE else None
    end = time.perf_counter() + seconds
    await asyncio.gather(*(mails(port, data, end, heard) if data else recipients(port, end, heard) for _ in range(2)))
    return heard


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("port", type=int)
    parser.add_argument("kind")
    parser.add_argument("--seconds", type=float, default=5.0)
    asked = parser.parse_args()
    print(json.dumps(uvloop.run(attack(asked.port, asked.kind, asked.seconds))))

"""How long others wait: one session says NOOP every 5 ms, one sends 4 KiB mails. Until standard input ends; JSON.

NOOP is answered at once by an event loop that is free, so that its worst is how long the loop was held up, and what
the machine's own scheduler adds.
"""

import argparse
import asyncio
import json
import sys
import time

import uvloop
from client import NoReplyError, connect
from load import percentile
from mails import KIB, letter, wire

TURN = 0.005
TURNS = 50
"""NOOPs of one connection: more would be held against the client."""


async def ask(port, start, waits):
    while True:
        client, _ = await connect(port)
        for _ in range(TURNS):
            asked = time.perf_counter()
            await client.command(b"NOOP")
            waits.append((asked - start, time.perf_counter() - asked))
            await asyncio.sleep(TURN)
        await client.quit()


async def send(port, start, waits):
    mail = wire(letter(4 * KIB))
    while True:
        began = time.perf_counter()
        client, _ = await connect(port)
        answer = await client.send(mail)
        if not answer.startswith(b"250"):
            raise NoReplyError(answer)
        waits.append((began - start, time.perf_counter() - began))
        await client.quit()
        await asyncio.sleep(TURN)


async def probe(port):
    start, noop, mail = time.perf_counter(), [], []
    tasks = [asyncio.create_task(ask(port, start, noop)), asyncio.create_task(send(port, start, mail))]
    print("started", flush=True)
    await asyncio.to_thread(sys.stdin.read)
    broken = [repr(task.exception()) for task in tasks if task.done()]
    for task in tasks:
        task.cancel()
    return {"noop": noop, "mail": mail, "broken": broken}


def summary(waits, begin, end):
    """Of the waits that began between two times."""
    chosen = [wait for start, wait in waits if begin <= start < end]
    return {"count": len(chosen), **{f"p{share * 100:g}": percentile(chosen, share) for share in (0.5, 0.99, 1.0)}}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("port", type=int)
    print(json.dumps(uvloop.run(probe(parser.parse_args().port))))

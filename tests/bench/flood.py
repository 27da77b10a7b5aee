"""An open-loop load: mails come at a fixed rate, each on a connection of its own, whatever becomes of those before.

So do Microsoft's. They come from 50 addresses in turn. Prints one JSON line; times in milliseconds. `goodput` is
what is accepted in the second half of the time, so that what only fills queues does not count.
"""

import argparse
import asyncio
import json
from collections import Counter

import uvloop
from client import NoReplyError, connect
from load import percentile
from mails import letter, wire

PATIENCE = 30.0
"""Seconds after which a client gives up; Exchange Online waits for minutes, but what is so late helps nobody."""
SOURCES = [f"127.0.1.{number}" for number in range(1, 51)]


async def one(asked, number, mail, took, refused, lost):
    loop = asyncio.get_running_loop()
    start = loop.time()
    try:
        async with asyncio.timeout(PATIENCE):
            client, answer = await connect(asked.port, source=SOURCES[number % len(SOURCES)])
            if answer.startswith(b"250"):
                answer = await client.send(mail)
            waited = loop.time() - start
            if answer.startswith(b"250"):
                took.append((waited, loop.time()))
            else:
                refused.append((waited, answer[:9].decode()))
            await client.quit()
    except (OSError, NoReplyError, TimeoutError) as error:
        lost[type(error).__name__] += 1


async def flood(asked):
    loop, mail = asyncio.get_running_loop(), wire(letter(asked.bytes))
    took, refused, lost, tasks = [], [], Counter(), set()
    start, number, behind = loop.time(), 0, 0.0
    while (due := number / asked.rate) < asked.seconds:
        early = start + due - loop.time()
        behind = max(behind, -early)
        if early > 0:
            await asyncio.sleep(early)
        task = loop.create_task(one(asked, number, mail, took, refused, lost))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
        number += 1
        if early <= 0:
            await asyncio.sleep(0)
    seconds = loop.time() - start
    if tasks:
        await asyncio.wait(tasks)
    return {
        "offered": round(number / seconds, 1),
        "goodput": round(sum(seconds / 2 < end - start <= seconds for _, end in took) / (seconds / 2), 1),
        "accepted": len(took),
        "refused": Counter(code for _, code in refused),
        "lost": lost,
        "accepted_p50": percentile([wait for wait, _ in took], 0.50),
        "accepted_p99": percentile([wait for wait, _ in took], 0.99),
        "refused_p50": percentile([wait for wait, _ in refused], 0.50),
        "refused_p99": percentile([wait for wait, _ in refused], 0.99),
        "generator_late": round(behind * 1000, 1),
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("port", type=int)
    parser.add_argument("--rate", type=float, required=True, help="mails a second")
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--bytes", type=int, default=4096)
    print(json.dumps(uvloop.run(flood(parser.parse_args()))))

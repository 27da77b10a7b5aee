"""A load as a process of its own: sessions that send mail after mail. Prints one JSON line; times in milliseconds.

`total` is from the connection (with --reuse: from MAIL) to the final reply. Exits with 1 when a mail was refused.
"""

import argparse
import asyncio
import json
import sys
import time
from collections import Counter
from pathlib import Path

import uvloop
from client import NoReplyError, connect, tls_context
from mails import letter, wire


def percentile(values, share):
    """Milliseconds, of seconds."""
    ordered = sorted(values)
    return round(ordered[min(len(ordered) - 1, int(len(ordered) * share))] * 1000, 3) if ordered else None


async def session(asked, left, took, refused):
    client, context = None, tls_context(asked.tls)
    mail = wire(asked.letter.read_text() if asked.letter else letter(asked.bytes))
    while left and time.perf_counter() < asked.end:
        left.pop()
        start = time.perf_counter()
        try:
            if client is None:
                client, answer = await connect(asked.port, context)
                if not answer.startswith(b"250"):
                    refused.append(answer.decode())
                    return
            answer = await client.send(mail)
        except (OSError, NoReplyError) as error:
            refused.append(repr(error))
            return
        if answer.startswith(b"250"):
            took.append(time.perf_counter() - start)
        else:
            refused.append(answer.decode())
        if not asked.reuse:
            await client.quit()
            client = None
    if client is not None:
        await client.quit()


async def load(asked):
    left, took, refused = [None] * asked.messages, [], []
    start = time.perf_counter()
    asked.end = start + asked.seconds
    await asyncio.gather(*(session(asked, left, took, refused) for _ in range(asked.sessions)))
    seconds = time.perf_counter() - start
    return {
        "sent": len(took),
        "refused": len(refused),
        "said": Counter(text[:60].strip() for text in refused),
        "seconds": round(seconds, 3),
        "rate": round(len(took) / seconds, 1),
        "p50": percentile(took, 0.50),
        "p99": percentile(took, 0.99),
        "worst": percentile(took, 1.0),
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("port", type=int)
    parser.add_argument("--bytes", type=int, default=4096)
    parser.add_argument("--letter", type=Path, help="what to send in place of one of so many bytes")
    parser.add_argument("--sessions", type=int, default=1)
    parser.add_argument("--messages", type=int, default=1_000_000)
    parser.add_argument("--seconds", type=float, default=600.0, help="at most")
    parser.add_argument("--reuse", action="store_true", help="all of a session's mails over one connection")
    parser.add_argument("--tls", help="folder of tls.pem")
    result = uvloop.run(load(parser.parse_args()))
    print(json.dumps(result))
    sys.exit(1 if result["refused"] else 0)

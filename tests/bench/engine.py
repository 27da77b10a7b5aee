"""An engine that has become slow: speaks rspamd's protocol, finds nothing, looks at so many mails at a time.

The webhook engine's too.
"""

import argparse
import asyncio
import json

import uvloop
from aiohttp import web

CLEAN = json.dumps({"action": "no action", "score": 0.0, "required_score": 15.0, "is_skipped": False, "symbols": {}})


def application(seconds, at_a_time):
    turns = asyncio.Semaphore(at_a_time)

    async def check(request):
        await request.read()
        async with turns:
            await asyncio.sleep(seconds)
        text = CLEAN if request.path == "/checkv2" else '{"findings": []}'
        return web.Response(text=text, content_type="application/json")

    made = web.Application(client_max_size=50_000_000)
    made.add_routes([web.post("/checkv2", check), web.post("/findings", check)])
    return made


async def serve(asked):
    runner = web.AppRunner(application(asked.delay, asked.at_a_time), access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", asked.port, backlog=1024).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("port", type=int)
    parser.add_argument("--delay", type=float, default=0.2, help="seconds for one mail")
    parser.add_argument("--at-a-time", type=int, default=20)
    uvloop.run(serve(parser.parse_args()))

"""A server on 127.0.0.1 in the test's own event loop that does with each connection what the test says."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@contextlib.asynccontextmanager
async def scripted(serve: Serve) -> AsyncIterator[str]:
    """HOST:PORT of a server that runs `serve` on each connection and then hangs up."""
    handlers = set()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        handlers.add(asyncio.current_task())
        try:
            with contextlib.suppress(OSError, EOFError):
                await serve(reader, writer)
                await writer.drain()
        finally:
            writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0, limit=2**20)
    async with server:
        host, port = server.sockets[0].getsockname()
        yield f"{host}:{port}"
        for handler in handlers:
            handler.cancel()
        await asyncio.gather(*handlers, return_exceptions=True)

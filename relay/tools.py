"""Tools for verdict engines: pooled HTTP, the system's clock, and the resolver that the relay uses itself.

The only door to aiohttp's client.
"""

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Iterable, Iterator
from itertools import chain, islice

import aiohttp

from verdicts.contract import Dns, History, HttpReply, Tools

_CONNECT_SECONDS = 5.0
_TOTAL_SECONDS = 120.0  # no engine may take longer (EngineOptions.deadline)
_CONNECTIONS_PER_HOST = 100
_IDLE_SECONDS = 10.0
_PIECE = 65_536


class SystemClock:
    """The system's clock."""

    def time(self) -> float:
        """Seconds since the epoch."""
        return time.time()

    def monotonic(self) -> float:
        """Seconds of a clock that never goes back."""
        return time.monotonic()


class TooLarge(OSError):
    """The server says more than is listened to."""


class PooledHttp:
    """HTTP requests on connections that are kept. Follows no redirect, keeps no cookie, asks no proxy."""

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None

    async def post(
        self, url: str, *, headers: Iterable[tuple[str, str]], body: Iterable[bytes], limit: int = 4_000_000
    ) -> HttpReply:
        """POST `body`: chunked unless `headers` name its Content-Length. Raises OSError when no answer could be had or
        it is larger than `limit` bytes, ValueError when a header field cannot be sent.

        A connection that the server closed while it was idle is tried once more on a fresh one, if `body` can be read
        again; that may repeat a request, which for a question about a message does no harm.
        """
        fields = tuple(headers)
        try:
            return await self._post(url, fields, body, limit)
        except aiohttp.ServerDisconnectedError as error:
            if iter(body) is body:
                raise OSError(f"the server hung up: {error}") from error
        except aiohttp.ClientError as error:
            raise OSError(_told(error)) from error
        try:
            return await self._post(url, fields, body, limit)
        except aiohttp.ClientError as error:
            raise OSError(_told(error)) from error

    async def get(self, url: str, *, limit: int) -> HttpReply:
        """GET, once. Raises OSError when no answer could be had: TooLarge when it is larger than `limit` bytes,
        ssl.SSLError when the server's certificate is not right, TimeoutError when it was too slow.
        """
        try:
            async with self._open().get(url, allow_redirects=False, middlewares=(_once,)) as response:
                return await _reply(response, limit)
        except aiohttp.ClientSSLError as error:
            raise ssl.SSLError(str(error)) from error
        except aiohttp.ClientError as error:
            raise OSError(_told(error)) from error

    async def close(self) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()

    async def _post(self, url: str, headers: Iterable[tuple[str, str]], body: Iterable[bytes], limit: int) -> HttpReply:
        async with self._open().post(url, headers=headers, data=_data(body), allow_redirects=False) as response:
            return await _reply(response, limit)

    def _open(self) -> aiohttp.ClientSession:
        """The session, which needs the running loop and so is made at the first request."""
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit_per_host=_CONNECTIONS_PER_HOST, keepalive_timeout=_IDLE_SECONDS),
                cookie_jar=aiohttp.DummyCookieJar(),
                headers={"User-Agent": "sluice", "Accept-Encoding": "identity"},
                timeout=aiohttp.ClientTimeout(total=_TOTAL_SECONDS, sock_connect=_CONNECT_SECONDS),
            )
        return self._session


def _told(error: aiohttp.ClientError) -> str:
    """What went wrong, without the URL in any spelling: it may have a key in it, and this is logged."""
    name = type(error).__name__
    if isinstance(error, aiohttp.InvalidURL | aiohttp.NonHttpUrlClientError):
        return name
    if isinstance(error, aiohttp.ClientResponseError):
        return f"{name}: {error.message}"
    return f"{name}: {error}"


async def _once(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    """Keeps aiohttp from making a GET again by itself when the server hangs up: servers count what they are asked."""
    try:
        return await handler(request)
    except aiohttp.ClientConnectorError:
        raise
    except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError) as error:
        raise aiohttp.ClientConnectionError(f"the server hung up: {error}") from error


async def _reply(response: aiohttp.ClientResponse, limit: int) -> HttpReply:
    received = bytearray()
    async for piece in response.content.iter_chunked(_PIECE):
        received += piece
        if len(received) > limit:
            raise TooLarge(f"the reply is larger than {limit} bytes")
    return HttpReply(response.status, bytes(received), dict(response.headers))


def _data(body: Iterable[bytes]) -> bytes | AsyncIterator[bytes]:
    """A small body goes out with the header, in one write; a large one piece by piece."""
    pieces = iter(body)
    first = tuple(islice(pieces, 2))
    if len(first) < 2 and sum(map(len, first)) <= _PIECE:
        return b"".join(first)
    return _streamed(chain(first, pieces))


async def _streamed(pieces: Iterator[bytes]) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece
        await asyncio.sleep(0)  # a server that reads as fast as we write would have all of our time


class NoHistory:
    """Remembers nothing."""

    async def messages(self, tenant: str, sender: str) -> int:  # noqa: ARG002
        """See `contract.History`."""
        return 0


class Toolbox:
    """The `Tools` of one process, and their end."""

    def __init__(self, dns: Dns, history: History | None = None) -> None:
        self._http = PooledHttp()
        self.tools = Tools(dns, self._http, SystemClock(), history or NoHistory())

    async def close(self) -> None:
        """Close what the tools hold open; not the resolver, which is the relay's."""
        await self._http.close()

"""How a connection is opened: the host's addresses, one after the other, with TLS or without."""

import asyncio
from collections.abc import Callable
from ssl import SSLContext
from typing import Final

from relay.delivery.connection import Connection
from relay.delivery.failure import HopError
from relay.delivery.options import Options
from relay.dns import DnsError, Resolver

AVOID: Final = 30.0
"""Seconds that an address which failed is tried after the others."""


class Opener:
    """Opens connections to one host and port; `on_lost` is called for each of them once it is gone."""

    def __init__(
        self,
        host: str,
        port: int,
        options: Options,
        resolver: Resolver,
        tls: Callable[[], SSLContext | None],
        on_lost: Callable[[Connection], None],
    ) -> None:
        self._host = host
        self._port = port
        self._options = options
        self._resolver = resolver
        self._tls = tls
        self._on_lost = on_lost
        self._loop = asyncio.get_running_loop()
        self._avoided: dict[str, float] = {}

    async def open(self) -> Connection:
        """A connection to the first address that works (RFC 5321 section 5.1). Raises HopError."""
        error = HopError("dns", f"{self._host}: no address")
        for address in await self.addresses():
            try:
                connection = await self.connect_to(address)
            except HopError as failed:
                error = failed
                self._avoided[address] = self._loop.time() + AVOID
            else:
                self._avoided.pop(address, None)
                return connection
        raise error

    async def addresses(self) -> list[str]:
        """The host's addresses in order; those that failed lately stand last. Raises HopError."""
        try:
            addresses = await self._resolver.addresses(self._host, ipv6=self._options.ipv6)
        except DnsError as error:
            raise HopError("dns", str(error)) from error
        now = self._loop.time()
        self._avoided = {address: until for address, until in self._avoided.items() if until > now}
        return sorted(addresses, key=lambda address: address in self._avoided)

    async def connect_to(self, address: str) -> Connection:
        """A connection to one of the addresses, by the rules of the mode of TLS. Raises HopError."""
        context = None if self._options.tls == "off" else self._tls()
        if context is None and self._options.tls == "verify":
            raise HopError("tls", "no TLS context")
        try:
            return await self._attempt(address, context)
        except HopError as error:
            if error.kind != "tls" or self._options.tls != "opportunistic":
                raise
        return await self._attempt(address, None)  # TLS that fails is no worse than TLS that is not offered

    async def _attempt(self, address: str, context: SSLContext | None) -> Connection:
        return await connect(self._host, address, self._port, context, options=self._options, on_lost=self._on_lost)


async def connect(
    host: str,
    address: str,
    port: int,
    context: SSLContext | None,
    *,
    options: Options,
    on_lost: Callable[[Connection], None],
) -> Connection:
    """A connection to `address` that is ready for MAIL; its certificate must be `host`'s where the context verifies.

    Raises HopError "connect", "tls" or "protocol". `on_lost` is called once it is gone.
    """
    loop = asyncio.get_running_loop()
    connection = Connection(options, on_lost)
    try:
        async with asyncio.timeout(options.connect_timeout):
            await loop.create_connection(lambda: connection, address, port)
            await connection.greet(host, context)
    except TimeoutError:
        connection.abort()
        raise HopError("connect", f"{address}: no connection in time") from None
    except OSError as error:
        connection.abort()
        raise HopError("connect", f"{address}: {error}") from error
    except HopError as error:
        connection.abort()
        kind = "connect" if error.kind in {"hung_up", "timeout"} else error.kind
        raise HopError(kind, f"{address}: {error.detail}") from error
    except BaseException:
        connection.abort()
        raise
    if not connection.alive:
        raise HopError("protocol", f"{address}: it spoke unasked, or hung up, behind its answer to EHLO")
    return connection

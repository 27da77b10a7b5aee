"""Delivery: the door of this room."""

import asyncio
from collections.abc import Callable
from ssl import SSLContext

from relay.delivery.hop import Hop
from relay.delivery.opening import Opener
from relay.delivery.options import Options
from relay.delivery.passage import Passage
from relay.dns import Resolver
from verdicts.mail import Envelope


class Delivery:
    """Passages to next hops, over one pool for each host and port.

    `tls` gives the context for new connections, so that certificates can be changed while mail flows; None is right
    where Options.tls is "off".
    """

    def __init__(self, options: Options, resolver: Resolver, tls: Callable[[], SSLContext | None]) -> None:
        self._options = options
        self._resolver = resolver
        self._tls = tls
        self._hops: dict[tuple[str, int], Hop] = {}

    def passage(self, host: str, port: int, envelope: Envelope) -> Passage:
        """A transaction of which nothing was asked yet. The envelope's recipients are not used: they are asked."""
        hop = self._hops.get((host, port))
        if hop is None:
            hop = self._hops[host, port] = Hop(host, port, self._options, self._resolver, self._tls)
        return Passage(hop, envelope)

    def opener(self, host: str, port: int) -> Opener:
        """What opens connections outside of the pool, in the same way: for whoever wants to look at a next hop."""
        return Opener(host, port, self._options, self._resolver, self._tls, lambda _: None)

    @property
    def tls(self) -> str:
        """The mode of TLS: "verify", "opportunistic" or "off"."""
        return self._options.tls

    def status(self) -> list[str]:
        """One line for each next hop: what its pool does now."""
        return [repr(hop) for hop in self._hops.values()]

    async def close(self) -> None:
        """Close all connections. Nothing must be under way any more."""
        await asyncio.gather(*(hop.close() for hop in self._hops.values()))

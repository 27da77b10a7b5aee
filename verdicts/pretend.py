"""Pretend tools for tests: they reach nothing, answer what they were told, and remember what they were asked."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from verdicts.contract import HttpReply, Kind, Tools

Answers = Mapping[str, Sequence[str] | OSError]


@dataclass
class PretendDns:
    """Answers from tables, by name; the value may be an OSError, which is raised.

    `others` is for `records` of every kind, by kind: {"MX": {"acme.example": ["10 mx.acme.example"]}}; where it has no
    table of the kind, TXT, A and AAAA come from `texts` and `hosts`.
    """

    texts: Answers = field(default_factory=dict)
    hosts: Answers = field(default_factory=dict)
    others: Mapping[str, Answers] = field(default_factory=dict)

    async def txt(self, name: str) -> tuple[str, ...]:
        """See `contract.Dns`."""
        return _answer(self.texts, name)

    async def addresses(self, name: str) -> tuple[str, ...]:
        """See `contract.Dns`."""
        return _answer(self.hosts, name)

    async def records(self, name: str, kind: Kind) -> tuple[str, ...]:
        """See `contract.Dns`."""
        if kind in self.others or kind not in ("TXT", "A", "AAAA"):
            return _answer(self.others.get(kind, {}), name)
        if kind == "TXT":
            return _answer(self.texts, name)
        return tuple(host for host in _answer(self.hosts, name) if (":" in host) == (kind == "AAAA"))


def _answer(table: Answers, name: str) -> tuple[str, ...]:
    found = table.get(name, ())
    if isinstance(found, OSError):
        raise found
    return tuple(found)


@dataclass(frozen=True)
class Request:
    """One HTTP request that was made."""

    url: str
    headers: tuple[tuple[str, str], ...]
    body: bytes


@dataclass
class PretendHttp:
    """Gives the same reply (or raises the same error) to every request, and keeps the requests."""

    reply: HttpReply | OSError = field(default_factory=lambda: HttpReply(200, b"{}"))
    requests: list[Request] = field(default_factory=list)

    async def post(
        self, url: str, *, headers: Iterable[tuple[str, str]], body: Iterable[bytes], limit: int = 4_000_000
    ) -> HttpReply:
        """See `contract.Http`."""
        self.requests.append(Request(url, tuple(headers), b"".join(body)))
        await asyncio.sleep(0)
        if isinstance(self.reply, OSError):
            raise self.reply
        if len(self.reply.body) > limit:
            raise OSError(f"the reply is larger than {limit} bytes")
        return self.reply


@dataclass
class PretendClock:
    """Stands still until it is moved: `clock.now += 60`."""

    now: float = 1_700_000_000.0

    def time(self) -> float:
        """Seconds since the epoch."""
        return self.now

    def monotonic(self) -> float:
        """The same."""
        return self.now


@dataclass
class PretendHistory:
    """Messages by tenant and sender."""

    known: Mapping[tuple[str, str], int] = field(default_factory=dict)

    async def messages(self, tenant: str, sender: str) -> int:
        """See `contract.History`."""
        return self.known.get((tenant, sender), 0)


def pretend_tools(
    http: PretendHttp | None = None, dns: PretendDns | None = None, history: PretendHistory | None = None
) -> Tools:
    """Tools that reach nothing."""
    return Tools(dns or PretendDns(), http or PretendHttp(), PretendClock(), history or PretendHistory())

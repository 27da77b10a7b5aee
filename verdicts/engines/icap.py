"""Any antivirus gateway that speaks ICAP: RESPMOD, as if the message were what a web server answered (RFC 3507).

A gateway that replaces the content without a word of what it found has blocked it.
"""

import asyncio
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Annotated, Literal, NamedTuple
from urllib.parse import quote, urlsplit

from pydantic import AfterValidator, Field

from verdicts.contract import Engine, EngineOptions, Finding, Severity, Tools, Unscanned
from verdicts.engines.clamav import UNSCANNED
from verdicts.mail import Mail
from verdicts.parts import Part
from verdicts.protocols.icap import Body, Head, encapsulated, equal, number, read_head, split, threats, write_chunks
from verdicts.protocols.wire import Connection, connected, exchange

_PORT = 1344
_PREVIEW_BYTES = 65_536
_LONGEST_TTL = 3_600
_NAME_CHARACTERS = 200
_TYPE = re.compile(r"[a-z0-9!#$&^_.+-]{1,60}/[a-z0-9!#$&^_.+-]{1,100}")


def _icap_url(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme != "icap" or not parts.hostname or not value.isascii() or not value.isprintable() or " " in value:
        raise ValueError("must be icap://HOST:PORT/SERVICE")
    if parts.port == 0 or parts.username is not None or parts.fragment:
        raise ValueError("must be icap://HOST:PORT/SERVICE")
    return value


class _Service(NamedTuple):
    """What the gateway said of itself (RFC 3507 section 4.10.2)."""

    preview: int | None
    connections: int | None
    tag: str
    expires: float


class _Item(NamedTuple):
    """What is sent in one request."""

    name: str
    content_type: str
    size: int
    """Bytes at most."""
    pieces: Callable[[], Iterator[bytes]]


class _Answer(NamedTuple):
    status: int
    tag: str
    findings: list[Finding]


class Icap(Engine):
    """Asks an ICAP service, on a connection of its own for each request."""

    class Options(EngineOptions):
        """[engines.icap]."""

        url: Annotated[str, AfterValidator(_icap_url)] = "icap://127.0.0.1:1344/avscan"
        """The service, as its vendor's documents name it."""
        what: Literal["message", "parts"] = "message"
        """"message": the gateway unpacks mail itself. "parts": it gets each part decoded, with its type and name."""
        max_item_bytes: int | None = Field(None, ge=1)
        """A larger message, or part, is unscanned without asking. Most gateways pass what is over their own limit."""
        max_parts: int = Field(100, ge=1, le=1_000)
        """Parts that are sent of one message; the others are unscanned."""
        unscanned: tuple[str, ...] = UNSCANNED
        """How the names begin of what it "finds" where it could not look inside; as ClamAV behind ICAP has them."""
        at_once: int | None = Field(10, ge=1)
        """Messages that a worker may have at the gateway at a time, each by one connection; fewer are there where the
        gateway's Max-Connections says so."""

    def __init__(self, options: Options, tools: Tools) -> None:
        super().__init__(options, tools)
        url = urlsplit(options.url)
        self._url = options.url
        host = f"[{url.hostname}]" if ":" in (url.hostname or "") else url.hostname
        self._address = f"{host}:{url.port or _PORT}"
        self._by_parts = options.what == "parts"
        self._max_item_bytes = options.max_item_bytes
        self._max_parts = options.max_parts
        self._unscanned = tuple(options.unscanned)
        self._allowed: int | None = None
        self._turns: AbstractAsyncContextManager[None] = nullcontext()
        self._known: _Service | None = None
        self._asking = asyncio.Lock()

    async def judge(self, mail: Mail) -> Iterable[Finding]:
        """Raises OSError when the gateway does not answer or says that it failed, ValueError when it makes no sense."""
        items, reasons = await self._parts(mail) if self._by_parts else ([_whole(mail)], [])
        findings: list[Finding] = []
        for item in items:
            if self._max_item_bytes is not None and item.size > self._max_item_bytes:
                reasons.append(f"larger than {self._max_item_bytes} bytes")
                continue
            try:
                findings += await self._scan(item, mail.origin.address)
            except (OSError, ValueError) as error:
                if not findings:
                    raise
                reasons.append(str(error))
                break
        return self._told(findings, reasons)

    def _told(self, findings: list[Finding], reasons: list[str]) -> list[Finding]:
        """What was found. Raises `Unscanned` with it where `reasons`, or names of findings, say that it is not all."""
        closed = {finding.name for finding in findings if finding.name.startswith(self._unscanned)}
        told = [finding._replace(severity=Severity.NOTE) if finding.name in closed else finding for finding in findings]
        reasons += [f"the gateway could not look inside: {name}" for name in sorted(closed)]
        if reasons:
            raise Unscanned(", ".join(dict.fromkeys(reasons)), told)
        return told

    async def _parts(self, mail: Mail) -> tuple[list[_Item], list[str]]:
        """What to send, and why that is not all."""
        structure = await mail.read_structure()
        reasons: list[str] = []
        if structure.truncated or len(structure.parts) > self._max_parts:
            reasons.append("more parts than are sent")
        items = []
        for part in structure.parts[: self._max_parts]:
            items.append(_of_part(part))
            await asyncio.sleep(0)
        return items, reasons

    async def _scan(self, item: _Item, client: str | None) -> list[Finding]:
        service = await self._service()
        async with self._turns, connected(self._address) as connection:
            answer = await _ask(connection, self._head(item, client, service.preview), item, service.preview)
        if answer.tag not in ("", service.tag):  # its signatures, or its options, are others now (section 4.7)
            self._known = None
        return answer.findings

    def _head(self, item: _Item, client: str | None, preview: int | None) -> bytes:
        request = f"GET http://mail.invalid/{quote(item.name, safe='')} HTTP/1.1\r\nHost: mail.invalid\r\n\r\n"
        response = f"HTTP/1.1 200 OK\r\nContent-Type: {item.content_type}\r\n\r\n"
        lines = [f"RESPMOD {self._url} ICAP/1.0", f"Host: {self._address}", "Allow: 204", "Connection: close"]
        if client is not None:
            lines.append(f"X-Client-IP: {client}")
        if preview is not None:
            lines.append(f"Preview: {preview}")
        body = len(request) + len(response)
        lines.append(f"Encapsulated: req-hdr=0, res-hdr={len(request)}, res-body={body}")
        return "\r\n".join([*lines, "", request + response]).encode()

    async def _service(self) -> _Service:
        """The gateway's options, asked for again when they are no longer good."""
        async with self._asking:
            if self._known is None or self.tools.clock.monotonic() >= self._known.expires:
                self._known = await self._ask_options()
                allowed = self._known.connections
                if allowed != self._allowed:
                    self._allowed, self._turns = allowed, asyncio.Semaphore(allowed) if allowed else nullcontext()
            return self._known

    async def _ask_options(self) -> _Service:
        lines = f"OPTIONS {self._url} ICAP/1.0", f"Host: {self._address}", "Connection: close", "\r\n"
        async with connected(self._address) as connection:
            await connection.send(["\r\n".join(lines).encode()])
            head = await read_head(connection)
        _refuse_failures(head.status)
        methods = re.split(r"[\s,]+", head.fields.get("methods", ""))
        if "RESPMOD" not in methods:
            raise ValueError(f"the ICAP service has no RESPMOD, but {', '.join(methods)[:100] or 'nothing'}")
        ttl, preview = number(head, "options-ttl"), number(head, "preview")
        expires = self.tools.clock.monotonic() + min(_LONGEST_TTL if ttl is None else ttl, _LONGEST_TTL)
        preview = None if preview is None else min(preview, _PREVIEW_BYTES)
        return _Service(preview, number(head, "max-connections"), head.fields.get("istag", ""), expires)


def _whole(mail: Mail) -> _Item:
    return _Item("message.eml", "message/rfc822", mail.content.size, mail.content.pieces)


def _of_part(part: Part) -> _Item:
    content_type = part.content_type if _TYPE.fullmatch(part.content_type) else "application/octet-stream"
    return _Item(_clean(part.filename or "") or "part", content_type, part.end - part.start, part.decoded_pieces)


def _clean(text: str) -> str:
    return "".join(filter(str.isprintable, text)).strip()[:_NAME_CHARACTERS]


async def _ask(connection: Connection, head: bytes, item: _Item, preview: int | None) -> _Answer:
    """Send `item` and hear the answer; only its beginning when that is enough for the gateway (section 4.5)."""
    rest: Iterator[bytes] | None = item.pieces()
    if preview is not None:
        first, rest = await split(item.pieces(), preview)
        end = b"0\r\n\r\n" if rest else b"0; ieof\r\n\r\n"
        answer = await _exchange(connection, [head, *write_chunks([first]), end], item)
        if answer.status != 100:
            return answer
        head = b""
    if rest is None:
        raise ValueError("the ICAP server asks for more than there is")
    answer = await _exchange(connection, _chained(head, rest), item)
    if answer.status == 100:
        raise ValueError("the ICAP server asks for more than there is")
    return answer


def _chained(head: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    yield head
    yield from write_chunks(rest)
    yield b"0\r\n\r\n"


async def _exchange(connection: Connection, pieces: Iterable[bytes], item: _Item) -> _Answer:
    return await exchange(connection.send(pieces), _receive(connection, item), lambda answer: not answer.findings)


async def _receive(connection: Connection, item: _Item) -> _Answer:
    head = await read_head(connection)
    _refuse_failures(head.status)
    findings = [Finding(name, Severity.MALICIOUS, detail=f"in {item.name}") for name in map(_clean, threats(head))]
    if head.status == 200 and not findings and not await _unchanged(connection, head, item):
        findings = [Finding("ICAP_CHANGED", Severity.MALICIOUS, detail=f"other content in the place of {item.name}")]
    return _Answer(head.status, head.fields.get("istag", ""), findings)


def _refuse_failures(status: int) -> None:
    if status == 404:
        raise OSError("the ICAP server does not know the service: its status is 404")
    if status >= 400:
        raise OSError(f"the ICAP server failed with status {status}")
    if status not in (100, 200, 204):
        raise ValueError(f"the ICAP server answered with status {status}")


async def _unchanged(connection: Connection, head: Head, item: _Item) -> bool:
    """Whether the body of the answer is what was sent; a server that knows no 204 says "clean" so."""
    return await equal(Body(connection, encapsulated(head)), item.pieces())

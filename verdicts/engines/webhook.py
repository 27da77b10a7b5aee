"""A service of the operator's over HTTP: one signed POST of JSON for each message, answered with JSON.

The request is the facts, and the message or what identifies it. The answer is an `outside.Answer`:
{"findings": [{"name", "severity", "weight", "detail"}], "unscanned": "reason"}. `answers.md` tells every key, the JSON
schema of the answer, and how to check the signature. When no answer can be had, and on 502, 503 and 504, we ask again.
"""

import asyncio
import base64
import hashlib
import hmac
import json
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr

from verdicts import outside
from verdicts.contract import Engine, EngineOptions, Finding, HttpReply, Tools, Unscanned
from verdicts.mail import Content, Mail
from verdicts.parts import Part, Structure

_RECIPIENTS = 1_000
_PARTS = 100
_FIRST_PAUSE = 0.25
_LATER = (502, 503, 504)
_PIECE = 57 * 1_024  # encoded at a time: a multiple of 3, so that the base64 of pieces is that of the whole
_FIELDS = {"subject": "Subject", "from": "From", "message_id": "Message-ID"}


def _http_url(value: str) -> str:
    if not (value.startswith(("http://", "https://")) and urlsplit(value).hostname):
        raise ValueError("must begin with http:// or https:// and a host")
    return value


class Webhook(Engine):
    """Asks a service of the operator's."""

    class Options(EngineOptions):
        """[engines.webhook]."""

        url: Annotated[str, AfterValidator(_http_url)]
        """Where the service takes its requests; https unless it is on this machine."""
        secret: Annotated[SecretStr, Field(min_length=16)]
        """What the requests are signed with; the service knows it too."""
        content: Literal["inline", "reference"] = "inline"
        """Whether the message goes with the request, or only facts and hashes of it."""
        attempts: int = Field(3, ge=1, le=5)
        """How often to ask, within the deadline, as long as the service is out of reach."""

    def __init__(self, options: Options, tools: Tools) -> None:
        super().__init__(options, tools)
        self._url = options.url
        self._secret = options.secret.get_secret_value().encode()
        self._by_reference = options.content == "reference"
        self._attempts = options.attempts

    async def judge(self, mail: Mail) -> Iterable[Finding]:
        """Raises OSError when the service does not answer, ValueError when its answer makes no sense."""
        if not self._by_reference:
            return _findings(await self._ask(_Body(_facts(mail), mail.content)))
        structure = await mail.read_structure()
        findings = _findings(await self._ask(_Body(await _reference(mail, structure))))
        if structure.truncated or len(structure.parts) > _PARTS:
            raise Unscanned("there are more parts than the service was told of", findings)
        return findings

    async def _ask(self, body: "_Body") -> HttpReply:
        """The reply to the last attempt; the pauses between them double."""
        headers = await self._headers(body)
        for attempt in range(self._attempts - 1):
            with suppress(OSError):
                reply = await self._post(headers, body)
                if reply.status not in _LATER:
                    return reply
            await asyncio.sleep(_FIRST_PAUSE * 2**attempt)
        return await self._post(headers, body)

    async def _post(self, headers: list[tuple[str, str]], body: "_Body") -> HttpReply:
        return await self.tools.http.post(self._url, headers=headers, body=body, limit=outside.ANSWER_BYTES)

    async def _headers(self, body: "_Body") -> list[tuple[str, str]]:
        timestamp = str(int(self.tools.clock.time()))
        signature = hmac.new(self._secret, f"{timestamp}.".encode(), hashlib.sha256)
        for piece in body:
            signature.update(piece)
            await asyncio.sleep(0)
        return [
            ("Content-Type", "application/json"),
            ("Content-Length", str(body.size)),
            ("Sluice-Timestamp", timestamp),
            ("Sluice-Signature", f"v1={signature.hexdigest()}"),
        ]


class _Body:
    """A JSON object with the message, if there is one to send, as "message"; can be gone through more than once."""

    def __init__(self, told: dict[str, Any], content: Content | None = None) -> None:
        self._told = json.dumps(told).encode()
        self._content = content
        self.size = len(self._told) if content is None else len(self._head) + (content.size + 2) // 3 * 4 + len(b'"}')

    @property
    def _head(self) -> bytes:
        return self._told[:-1] + b', "message": "'

    def __iter__(self) -> Iterator[bytes]:
        if self._content is None:
            yield self._told
            return
        yield self._head
        view = self._content.view()
        for start in range(0, len(view), _PIECE):
            yield base64.b64encode(view[start : start + _PIECE])
        yield b'"}'


def _facts(mail: Mail) -> dict[str, Any]:
    addresses = list(outside.recipients(mail, _RECIPIENTS))
    return {**outside.facts(mail), "recipients": addresses, "recipient_count": len(mail.envelope.recipients)}


async def _reference(mail: Mail, structure: Structure) -> dict[str, Any]:
    """What is told of a message in place of it."""
    fields = {name: outside.clean(mail.fields.text(field)) for name, field in _FIELDS.items()}
    _, sha256 = await _hashed(mail.content.pieces())
    parts = [await _part(part) for part in structure.parts[:_PARTS]]
    return {**_facts(mail), **fields, "sha256": sha256, "parts": parts}


async def _part(part: Part) -> dict[str, Any]:
    size, sha256 = await _hashed(part.decoded_pieces())
    filename = part.filename
    return {
        "content_type": outside.clean(part.content_type),
        "filename": None if filename is None else outside.clean(filename),
        "size": size,
        "sha256": sha256,
    }


async def _hashed(pieces: Iterable[bytes]) -> tuple[int, str]:
    """How many bytes there are, and their SHA-256."""
    size, sha256 = 0, hashlib.sha256()
    for piece in pieces:
        size += len(piece)
        sha256.update(piece)
        await asyncio.sleep(0)
    return size, sha256.hexdigest()


def _findings(reply: HttpReply) -> list[Finding]:
    if reply.status == 413:
        raise Unscanned("the message is larger than the service takes")
    if reply.status != 200:
        raise OSError(f"the service answered with HTTP status {reply.status}")
    return outside.findings_of(reply.body)

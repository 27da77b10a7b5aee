"""SpamAssassin's spamd over TCP or a Unix socket: the SYMBOLS command of its protocol 1.5 (spamd/PROTOCOL).

SYMBOLS and not REPORT: a report is text for people, made by the operator's template, and quotes the message; the score
of each rule is only there. The score of the message is the weight of one finding, the rules are notes without weight.

SpamAssassin finds out by Received lines who sent a message. Microsoft's hide that from it, so a Received line is put on
top that says what Microsoft says of the sender; SPF and address lists are then about the right host. `trusted_networks`
and `internal_networks` in SpamAssassin's configuration must not hold networks of strangers, and need not hold ours.
"""

import re
from collections.abc import Iterable, Iterator
from email.utils import formatdate
from typing import NamedTuple

from pydantic import Field

from verdicts.contract import Engine, EngineOptions, Finding, Severity, Tools
from verdicts.mail import Mail
from verdicts.protocols.wire import Connection, SocketAddress, connected, exchange

_REPLY_BYTES = 65_536
_REPLY_FIELDS = 20
_STATUS = re.compile(r"SPAMD/[0-9.]+ ([0-9]{1,4}) (.*)")
_SPAM = re.compile(r"(True|False) ; (-?[0-9]{1,9}(?:\.[0-9]{1,9})?) / (-?[0-9]{1,9}(?:\.[0-9]{1,9})?)", re.IGNORECASE)
_SYMBOL = re.compile(r"[A-Za-z0-9_]{1,128}", re.ASCII)
_NO_ADDRESS = re.compile(r"""[\s\x00-\x20\x7f()<>\[\];,:\\"']""")
_NO_HOST = re.compile(r"[^A-Za-z0-9.:_\[\]-]")
_WORD_CHARACTERS = 320


class _Reply(NamedTuple):
    spam: bool
    score: float
    threshold: float
    symbols: list[str]


class SpamAssassin(Engine):
    """Asks a spamd, on a connection of its own for each message, as its protocol wants it."""

    class Options(EngineOptions):
        """[engines.spamassassin]."""

        address: SocketAddress = "127.0.0.1:783"
        """Where spamd listens, as HOST:PORT, or the path of its socket."""
        user: str = Field("", pattern=r"^[!-~]{0,64}$")
        """Whose preferences and Bayes database spamd uses; empty: those of the user it runs as."""
        max_bytes: int | None = Field(512_000, ge=1)
        """Larger messages are not sent to spamd, whose rules take very long for them: spamc's own default. They are
        unscanned, or with `beyond = "skip"` passed over, for those to whom spam is never that large."""
        at_once: int | None = Field(5, ge=1)
        """Messages that a worker may have at spamd at a time; its --max-children is 5 by default."""

    def __init__(self, options: Options, tools: Tools) -> None:
        super().__init__(options, tools)
        self._address = options.address
        self._user = f"User: {options.user}\r\n" if options.user else ""

    async def judge(self, mail: Mail) -> Iterable[Finding]:
        """Raises OSError when spamd does not answer or says that it failed, ValueError when it makes no sense."""
        async with connected(self._address) as connection:
            reply = await exchange(self._send(connection, mail), _receive(connection), lambda reply: not reply.spam)
        return _findings(reply)

    async def _send(self, connection: Connection, mail: Mail) -> None:
        top = "".join(_top_lines(mail, self.tools.clock.time())).encode()
        length = len(top) + mail.content.size
        head = f"SYMBOLS SPAMC/1.5\r\nContent-length: {length}\r\n{self._user}\r\n"
        await connection.send([head.encode() + top])
        await connection.send(mail.content.pieces())
        connection.end()


def _top_lines(mail: Mail, now: float) -> Iterator[str]:
    """What the last server on the way would have put on top: the envelope's sender, and who handed the message over.

    A comment in a Received line is a sender's chance to speak to SpamAssassin in our name: hence the few characters.
    """
    origin, sender = mail.origin, _NO_ADDRESS.sub("!", mail.envelope.sender)[:_WORD_CHARACTERS]
    yield f"Return-Path: <{sender}>\r\n"
    if origin.address is not None:
        address = f"IPv6:{origin.address}" if ":" in origin.address else origin.address
        host = f"{_host(origin.ptr)} [{address}]" if origin.ptr else f"[{address}]"
        yield f"Received: from {_host(origin.helo or 'unknown')} ({host})\r\n"
        yield f"\tby sluice (Sluice) with ESMTP (envelope-from <{sender}>) id {_host(mail.session.id) or 'none'};\r\n"
        yield f"\t{formatdate(now)}\r\n"


def _host(name: str) -> str:
    return _NO_HOST.sub("-", name)[:_WORD_CHARACTERS]


async def _receive(connection: Connection) -> _Reply:
    status = await connection.line()
    matched = _STATUS.fullmatch(status)
    if not matched:
        raise ValueError(f"spamd answered {status[:100]!r}")
    if int(matched[1]):
        raise OSError(f"spamd failed: {matched[1]} {matched[2][:100]}")
    fields = await _fields(connection)
    body = (await connection.rest(_REPLY_BYTES)).decode("ascii", "replace")
    if fields.get("content-length") != str(len(body)):
        raise ValueError("spamd's answer has not the length that it tells")
    return _reply(fields.get("spam", ""), body)


async def _fields(connection: Connection) -> dict[str, str]:
    """The header of the answer, by name in lower case."""
    fields: dict[str, str] = {}
    for _ in range(_REPLY_FIELDS):
        line = await connection.line()
        if not line:
            return fields
        name, _, value = line.partition(":")
        fields[name.lower()] = value.strip()
    raise ValueError("spamd's answer has more header fields than make sense")


def _reply(spam: str, body: str) -> _Reply:
    matched = _SPAM.fullmatch(spam)
    if not matched:
        raise ValueError(f"spamd answered 'Spam: {spam[:100]}'")
    symbols = body.strip().split(",") if body.strip() else []
    if not all(map(_SYMBOL.fullmatch, symbols)):
        raise ValueError("spamd's list of symbols makes no sense")
    return _Reply(matched[1].lower() == "true", float(matched[2]), float(matched[3]), symbols)


def _findings(reply: _Reply) -> list[Finding]:
    name, severity = ("SPAM", Severity.SPAM) if reply.spam else ("SCORE", Severity.NOTE)
    detail = f"score {reply.score:g} of {reply.threshold:g}"
    verdict = Finding(f"SPAMASSASSIN_{name}", severity, reply.score, detail)
    return [verdict, *map(Finding, reply.symbols)]

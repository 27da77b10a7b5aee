"""Any milter, asked as a mail server asks it (protocol versions 2 to 6), about a message that has already come.

Nothing that it wants to change is changed: the header fields that it would add are notes, or more by the options
`spam_headers` and `malicious_headers`. What it says to a recipient, it says to the message.
"""

import re
import socket
from collections.abc import Iterable
from typing import Literal

from pydantic import Field

from verdicts.contract import Engine, EngineOptions, Finding, Severity, Tools, Unscanned
from verdicts.fields import too_many_fields
from verdicts.mail import Mail
from verdicts.protocols.milter import Offer, Packet, read_packet, read_words, words
from verdicts.protocols.milter_steps import END, Stage, Step, steps
from verdicts.protocols.wire import Connection, SocketAddress, connect

_CONTINUE = Packet(b"c")
_TOGETHER = 16_384  # bytes of steps that are not answered, sent at once
_PACKET_BYTES = 1_000_000
_MOST_CHANGES = 1_000
_CHANGED_BYTES = 1_000_000
_SIGNS_OF_LIFE = 1_000
_DETAIL_CHARACTERS = 300
_VALUE_CHARACTERS = 1_000
_ADDS = (b"h", b"i", b"m")
_OTHERS = {b"b": "the body", b"e": "the sender", b"+": "a recipient", b"2": "a recipient", b"-": "a recipient"}
_CHANGES = (*_ADDS, *_OTHERS, b"q")
_FINAL = (b"a", b"c", b"r", b"t", b"d", b"y", b"f", b"4")

_Level = Literal["note", "suspicious", "spam", "malicious"]
_Patterns = dict[str, re.Pattern[str]]


class Milter(Engine):
    """Asks a milter, on a connection of its own for each message."""

    class Options(EngineOptions):
        """[engines.milter]."""

        address: SocketAddress = "127.0.0.1:8891"
        """The milter's socket as HOST:PORT, or the path of a Unix socket."""
        hostname: str = Field(default_factory=socket.gethostname, pattern=r"^[!-~]{1,255}$")
        """What it is told as the mail server's name (macro j); this machine's by default."""
        reject: _Level = "spam"
        """What it means that it rejects the message, or a recipient."""
        discard: _Level = "spam"
        """What it means that it wants the message to vanish."""
        quarantine: _Level = "spam"
        """What it means that it wants the message held; clamav-milter does so with viruses: "malicious" there."""
        spam_headers: _Patterns = Field(default_factory=dict)
        """Names of header fields that it adds, and the pattern of a value that means spam: {X-Spam-Status = "^Yes"}."""
        malicious_headers: _Patterns = Field(default_factory=dict)
        """The same for what is malicious."""
        at_once: int | None = Field(10, ge=1)
        """Messages that a worker may have at the milter at a time."""

    def __init__(self, options: Options, tools: Tools) -> None:
        super().__init__(options, tools)
        self._address = options.address
        self._hostname = options.hostname
        levels = {"r": options.reject, "d": options.discard, "q": options.quarantine}
        self._severities = {command: Severity[level.upper()] for command, level in levels.items()}
        self._headers = [
            (Severity.MALICIOUS, {name.lower(): pattern for name, pattern in options.malicious_headers.items()}),
            (Severity.SPAM, {name.lower(): pattern for name, pattern in options.spam_headers.items()}),
        ]

    async def judge(self, mail: Mail) -> Iterable[Finding]:
        """Raises OSError when the milter does not answer or gives up, ValueError when it makes no sense."""
        if too_many_fields(mail.fields):
            raise Unscanned("more header fields than are worth reading")
        dialogue = _Dialogue(await connect(self._address))
        try:
            answer = await dialogue.run(mail, self._hostname)
        finally:
            dialogue.part()
        return self._findings(answer, dialogue.changes)

    def _findings(self, answer: Packet, changes: Iterable[Packet]) -> list[Finding]:
        """What the milter's last word means, and what it wanted to change before it."""
        findings = [self._change(packet) for packet in changes]
        code = _code(answer) if answer.command == b"y" else ""
        if answer.command == b"t" or code.startswith("4"):
            raise Unscanned(f"the milter wants it sent again later: {code}".removesuffix(": "), findings)
        if answer.command in (b"f", b"4"):
            raise OSError("the milter wants the connection closed")
        if answer.command == b"r" or code:
            findings.append(Finding("MILTER_REJECT", self._severities["r"], detail=code))
        if answer.command == b"d":
            findings.append(Finding("MILTER_DISCARD", self._severities["d"]))
        return findings

    def _change(self, packet: Packet) -> Finding:
        if packet.command == b"q":
            (reason,) = read_words(packet.data, 1)
            return Finding("MILTER_QUARANTINE", self._severities["q"], detail=_clean(reason))
        if packet.command not in _ADDS:
            return Finding("MILTER_CHANGE", detail=f"would change {_OTHERS[packet.command]}")
        name, value = read_words(packet.data[0 if packet.command == b"h" else 4 :], 2)
        return Finding("MILTER_HEADER", self._severity(name, value), detail=_clean(f"{name}: {value}"))

    def _severity(self, name: str, value: str) -> Severity:
        for severity, patterns in self._headers:
            pattern = patterns.get(name.lower())
            if pattern and pattern.search(value.strip()[:_VALUE_CHARACTERS]):
                return severity
        return Severity.NOTE


def _clean(text: str) -> str:
    return "".join(filter(str.isprintable, " ".join(text.split())))[:_DETAIL_CHARACTERS]


def _code(answer: Packet) -> str:
    """The SMTP reply that it wants given, such as "550 5.7.1 no". Raises ValueError."""
    (text,) = read_words(answer.data, 1)
    if not re.match(r"[45][0-9]{2}(?:[ -]|$)", text):
        raise ValueError(f"the milter wants the SMTP reply {text[:100]!r}")
    return _clean(text)


class _Dialogue:
    """One message told to one milter."""

    def __init__(self, connection: Connection) -> None:
        self.changes: list[Packet] = []
        self._connection = connection
        self._offer = Offer()
        self._unsent = b""
        self._finished = False
        self._kept = 0
        self._heard = 0

    async def run(self, mail: Mail, hostname: str) -> Packet:
        """Its last word: continue, accept, reject, discard, a deferral, an SMTP reply, a hang-up."""
        await self._connection.send([self._offer.encoded()])
        self._offer = self._offer.accepted(await self._next())
        enough: Stage | None = None
        for step in steps(mail, self._offer, hostname):
            if step.stage is enough:
                continue
            answer = await self._take(step)
            if answer.command == b"s":
                enough = step.stage
            elif answer.command != b"c":
                return answer
        return _CONTINUE

    def part(self) -> None:
        """Say good-bye, if that can be done at once, and close."""
        abort = b"" if self._finished else Packet(b"A").encoded()
        self._connection.part(abort + Packet(b"Q").encoded())

    async def _take(self, step: Step) -> Packet:
        """The answer to one step; that of one which the filter skips, or does not answer, is to go on."""
        stage = step.stage
        if self._offer.steps & stage.skipped:
            return _CONTINUE
        if step.macros:
            texts = [text for macro in step.macros.items() for text in macro]
            self._unsent += Packet(b"D", stage.command + words(*texts)).encoded()
        self._unsent += Packet(stage.command, step.data).encoded()
        if self._offer.steps & stage.silent and len(self._unsent) < _TOGETHER:
            return _CONTINUE
        await self._connection.send([self._unsent])
        self._unsent = b""
        return _CONTINUE if self._offer.steps & stage.silent else await self._answer(stage)

    async def _answer(self, stage: Stage) -> Packet:
        """The answer to one step; to the last one it comes behind what the filter wants changed."""
        while (answer := await self._next()).command not in _FINAL:
            if answer.command == b"s" and stage is not END:
                return answer
            if stage is not END or answer.command not in _CHANGES:
                raise ValueError(f"the milter answers {answer.command!r} to {stage.command!r}")
            self._keep(answer)
        if self._connection.unread:  # what is taken for the answer to a later step could be this one's
            raise ValueError("the milter says more than it is asked")
        self._finished = stage is END
        return answer

    def _keep(self, change: Packet) -> None:
        if change.command == b"b":  # in as many packets as it likes
            change = Packet(b"b")
            if change in self.changes:
                return
        self.changes.append(change)
        self._kept += len(change.data)
        if len(self.changes) > _MOST_CHANGES or self._kept > _CHANGED_BYTES:
            raise ConnectionError("the milter wants more changed than makes sense")

    async def _next(self) -> Packet:
        """The next packet but for signs of life."""
        while (packet := await read_packet(self._connection, _PACKET_BYTES)).command == b"p":
            self._heard += 1
            if self._heard > _SIGNS_OF_LIFE:
                raise ConnectionError("the milter shows signs of life without end")
        return packet

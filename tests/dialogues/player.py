"""Plays a transcript: this process is the client and the next hop, the relay between them is a process of its own.

All is done in the order of the lines, in one thread: the sockets' buffers keep what one side says while the other one
is looked at.
"""

import datetime as dt
import re
import signal
import time
from base64 import b64encode
from collections.abc import Callable
from itertools import takewhile

from dialogues.hop import PATIENCE, MismatchError, ScriptedHop
from dialogues.transcript import Line, Transcript, pattern, to_bytes
from doubles.client import Client
from doubles.relay import LOOP, NODE, Relay

GTUBE = "XJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X"
EICAR = r"X5O!P%@AP[4\PZX54(P^)7CC)7}$EICAR-" + "STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"


class Player:
    """Plays one transcript against a relay whose next hop is `hop`."""

    def __init__(self, relay: Relay, hop: ScriptedHop, transcript: Transcript) -> None:
        self._relay, self._hop, self._transcript = relay, hop, transcript
        self._values = {
            "loop": LOOP, "gtube": GTUBE, "eicar": EICAR, "eicar64": b64encode(EICAR.encode()).decode(), "node": NODE
        }  # fmt: skip
        self._client: Client | None = None
        self._since = dt.datetime.now(dt.UTC).isoformat()[:23]
        self._steps: dict[str, Callable[[str], None]] = {
            "C:": lambda text: self.client.send(self._fill(text) + b"\r\n"),
            "C+": lambda text: self.client.send(self._fill(text)),
            "C-": lambda _: self.client.close(),
            "S:": lambda text: self._equal(self.client.line(), text, "the relay says"),
            "S#": self._any_order,
            "S-": lambda _: self._true(self.client.closed(), "the relay does not hang up"),
            "S?": lambda text: self._true(self.client.quiet(float(text)), "the relay says something"),
            "TLS": lambda _: self.client.handshake(self._relay.authority.client_context(), NODE),
            "N:": self._hop_does,
            "N>": lambda text: self._equal(self._hop.line(), text, "the next hop hears"),
            "N<": lambda text: self._hop.say(self._fill(text) + b"\r\n"),
            "N-": lambda _: self._hop.hang_up(),
            "N?": lambda text: self._true(self._hop.quiet(float(text)), "the next hop hears something"),
            "N|": self._body_has,
            "N!": self._body_lacks,
            "N=": self._remember,
            "also:": self._another_client,
            "relay:": self._relay_does,
            "then:": self._recorded,
        }

    @property
    def client(self) -> Client:
        """The client, connected when it is first needed."""
        if self._client is None:
            source = self._transcript.head.get("source", [None])[-1]
            self._client = Client(self._relay.smtp_port, source=source, timeout=PATIENCE)
        return self._client

    def play(self) -> None:
        """All lines in order. Raises MismatchError, telling the line."""
        try:
            for at, line in enumerate(self._transcript.lines):
                if "{size}" in line.text:
                    self._values["size"] = str(self._size_behind(at))
                self._step(line)
        finally:
            if self._client is not None:
                self._client.close()
            self._hop.forget()

    def _size_behind(self, at: int) -> int:
        """Bytes of the "C+" lines that follow line number `at`."""
        behind = takewhile(lambda line: line.kind == "C+", self._transcript.lines[at + 1 :])
        return sum(len(self._fill(line.text)) for line in behind)

    def _step(self, line: Line) -> None:
        try:
            self._steps[line.kind](line.text)
        except (AssertionError, OSError, EOFError) as error:
            raise MismatchError(
                f"line {line.number}: {line.kind} {line.text}\n  {type(error).__name__}: {error}"
            ) from error

    def _words(self, text: str) -> str:
        for name, value in self._values.items():
            text = text.replace("{" + name + "}", value)
        return text

    def _fill(self, text: str) -> bytes:
        resolved = b""
        for part in re.split(r"(\{\w+\})", text):
            value = self._values.get(part[1:-1]) if part.startswith("{") else None
            resolved += value.encode() if value is not None else to_bytes(part)
        return resolved

    def _true(self, value: bool, otherwise: str) -> None:
        if not value:
            raise MismatchError(otherwise)

    def _equal(self, line: str, text: str, who: str) -> None:
        if not pattern(self._words(text)).fullmatch(line):
            raise MismatchError(f"{who}: {line}")

    def _any_order(self, text: str) -> None:
        """One reply of many lines: the first line in its place, the others named behind it in any order."""
        first, *others = text.split(" | ")
        code, _, greeting = first.partition(" ")
        reply = self.client.reply()
        self._equal(f"{reply.code} {reply.lines[0]}", f"{code} {greeting}", "the relay says")
        if others and sorted(others) != sorted(reply.lines[1:]):
            raise MismatchError(f"the relay lists {sorted(reply.lines[1:])}")

    def _hop_does(self, text: str) -> None:
        if text == "connect":
            self._hop.accept()
        elif text == "body":
            self._hop.read_body()
        elif text == "swallow":
            self._hop.swallow()
        elif text == "hello":
            self._hop.accept()
            self._hop.say(b"220 mx.acme.example ESMTP\r\n")
            self._equal(self._hop.line(), f"EHLO {NODE}", "the next hop hears")
            lines = ["mx.acme.example", *self._transcript.features]
            self._hop.say("".join(f"250-{line}\r\n" for line in lines[:-1]).encode() + f"250 {lines[-1]}\r\n".encode())
        else:
            raise ValueError(f"N: {text}")

    def _another_client(self, text: str) -> None:
        with Client(self._relay.smtp_port, timeout=PATIENCE) as another:
            self._equal(another.line(), text, "the relay says to another client")

    def _relay_does(self, text: str) -> None:
        if text == "ended":
            self._equal(str(self._relay.wait(PATIENCE)), "0", "the relay's status is")
        else:
            self._relay.signal(getattr(signal, text))

    def _header(self) -> list[str]:
        head = self._hop.body.partition(b"\r\n\r\n")[0].decode("utf-8", "surrogateescape")
        return re.sub(r"\r\n(?=[ \t])", "", head).split("\r\n")

    def _body_has(self, text: str) -> None:
        expected = pattern(self._words(text))
        lines = [*self._header(), *self._hop.body.decode("utf-8", "surrogateescape").split("\r\n")]
        self._true(any(expected.fullmatch(line) for line in lines), f"no such line in {self._hop.body!r}")

    def _body_lacks(self, text: str) -> None:
        unwanted = pattern(self._words(text))
        self._true(not any(unwanted.fullmatch(line) for line in self._header()), f"it is in {self._hop.body!r}")

    def _remember(self, text: str) -> None:
        name, field_name = text.split()
        found = [line for line in self._header() if line.lower().startswith(field_name.lower() + ":")]
        self._true(bool(found), f"no {field_name} in {self._hop.body!r}")
        self._values[name] = found[0]

    def _recorded(self, text: str) -> None:
        """The newest record says so: "then: outcome=quarantined"; it is written behind the reply, so wait for it."""
        expected = dict(word.split("=", 1) for word in text.split())
        record: dict[str, object] = {}
        for _ in range(40):
            record = next((one for one in self._relay.scans(limit=1) if str(one["at"]) >= self._since), {})
            if record:
                break
            time.sleep(0.05)
        wrong = {key: record.get(key) for key, value in expected.items() if str(record.get(key)) != value}
        self._true(not wrong, f"the newest record says {wrong}: {record}")

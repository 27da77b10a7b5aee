"""Reads transcripts: text in, steps out. The format is told in tests/README.md."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

FEATURES = "PIPELINING 8BITMIME SMTPUTF8 DSN ENHANCEDSTATUSCODES SIZE=157286400"
_HEAD = re.compile(r"(config|nexthop|tenants?|source): ?(.*)")
_KINDS = r"C:|C\+|C-|S:|S#|S-|S\?|N:|N>|N<|N-|N\?|N\||N!|N=|TLS|do:|also:|relay:|then:"
_LINE = re.compile(rf"(?:x(\d+) )?({_KINDS})(?: (.*))?$")
_ESCAPE = re.compile(r"\\(r|n|0|t|s|\\|x[0-9a-fA-F]{2})")
_PLAIN = {"r": b"\r", "n": b"\n", "0": b"\0", "t": b"\t", "s": b" ", "\\": b"\\"}

SNIPPETS = {
    "hello": """
        S: 220 /.*/
        C: EHLO out.example
        S# 250 /.*/
    """,
    "passage": """
        C: MAIL FROM:<ann@sender.example>
        S: 250 /.*/
        C: RCPT TO:<bob@acme.example>
        N: hello
        N> MAIL FROM:<ann@sender.example>/.*/
        N< 250 2.1.0 Sender ok
        N> RCPT TO:<bob@acme.example>/.*/
        N< 250 2.1.5 Recipient ok
        S: 250 2.1.5 Recipient ok
    """,
    "data": """
        C: DATA
        S: 354 /.*/
    """,
    "letter": """
        C: X-PERCEPTION-POINT-CUSTOM: {loop}
        C: From: <ann@sender.example>
        C: To: <bob@acme.example>
        C: Subject: hello
        C: Message-ID: <1@sender.example>
        C:
        C: Hello.
        C: .
    """,
    "taken": """
        N: body
        N< 250 2.0.0 Ok: queued as 4F2A
        S: 250 2.0.0 Ok: queued as 4F2A
    """,
    "quit": """
        C: QUIT
        S: 221 2.0.0 /.*/
        S-
    """,
}


@dataclass(frozen=True)
class Line:
    """One line of a transcript: where it stands, what it is, what it says."""

    number: int
    kind: str
    text: str


@dataclass
class Transcript:
    """One file: its head, by directive, and its lines."""

    head: dict[str, list[str]] = field(default_factory=dict)
    lines: list[Line] = field(default_factory=list)

    @property
    def config(self) -> str:
        """TOML that is laid over the relay's base configuration."""
        return "\n".join(self.head.get("config", []))

    @property
    def features(self) -> list[str]:
        """What the next hop offers in its EHLO reply."""
        return [
            word.replace("=", " ") for word in " ".join(self.head.get("nexthop", [FEATURES])).split() if word != "-"
        ]


def read(path: Path) -> Transcript:
    """The transcript in a file. Raises ValueError with the line that is none."""
    transcript = Transcript()
    for number, raw in enumerate(path.read_text().splitlines(), 1):
        if not raw.strip() or raw.startswith("#"):
            continue
        if head := _HEAD.fullmatch(raw):
            transcript.head.setdefault(head[1], []).append(head[2])
        else:
            transcript.lines += parse(raw, number)
    return transcript


def parse(raw: str, number: int) -> Iterator[Line]:
    """The steps that one line stands for: itself so many times, or those of a snippet."""
    found = _LINE.fullmatch(raw)
    if not found:
        raise ValueError(f"line {number}: {raw}")
    for _ in range(int(found[1] or 1)):
        if found[2] == "do:":
            for line in SNIPPETS[found[3]].strip().splitlines():
                yield from parse(line.strip(), number)
        else:
            yield Line(number, found[2], found[3] or "")


def pattern(text: str) -> re.Pattern[str]:
    """What a line must be: literal text, with regular expressions between slashes (a literal slash is "\\/")."""
    parts = re.split(r"(?<!\\)/", text)
    if len(parts) % 2 == 0:
        raise ValueError(f"a slash is not closed: {text}")
    parts = [f"(?:{part})" if at % 2 else re.escape(_literal(part)) for at, part in enumerate(parts)]
    return re.compile("".join(parts), re.DOTALL)


def _literal(part: str) -> str:
    return to_bytes(part.replace("\\/", "/")).decode("utf-8", "surrogateescape")


def to_bytes(text: str) -> bytes:
    """UTF-8 of `text` with \\r \\n \\0 \\t \\s \\\\ and \\xNN resolved."""
    out, at = b"", 0
    for found in _ESCAPE.finditer(text):
        out += text[at : found.start()].encode()
        code = found[1]
        out += bytes([int(code[1:], 16)]) if code.startswith("x") else _PLAIN[code]
        at = found.end()
    return out + text[at:].encode()

"""What an engine's test needs: letters, pretend tools, and the check that an engine keeps the contract.

mail = mail_of(letter(attachments=[("virus.com", EICAR)]))
findings = await TestPatterns(TestPatterns.Options(), pretend_tools()).judge(mail)
await assert_contract(lambda: TestPatterns(TestPatterns.Options(), pretend_tools()))
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.policy import SMTP

from verdicts.contract import Engine, HttpReply, Kind, Tools, Unscanned
from verdicts.mail import NOBODY, Envelope, Mail, Profile, Recipient, Session
from verdicts.panel import checked_findings

_STALL_SECONDS = 0.05
_CANCEL_SECONDS = 1.0
_PIECE = 65_536


def letter(
    text: str = "Good morning.\r\n",
    *,
    subject: str = "A letter",
    headers: Iterable[tuple[str, str]] = (),
    attachments: Iterable[tuple[str, bytes]] = (),
) -> bytes:
    """A well-formed message with CRLF line ends. `headers` stand on top; `attachments` are file names and bytes."""
    message = EmailMessage(policy=SMTP)
    message["From"], message["To"] = "Ann <ann@sender.example>", "Bob <bob@acme.example>"
    message["Subject"], message["Message-ID"] = subject, "<1@sender.example>"
    message["Date"] = "Mon, 02 Nov 2026 10:00:00 +0000"
    message.set_content(text)
    for filename, content in attachments:
        message.add_attachment(content, maintype="application", subtype="octet-stream", filename=filename)
    return "".join(f"{name}: {value}\r\n" for name, value in headers).encode() + message.as_bytes()


@dataclass(frozen=True)
class BytesContent:
    """A message that lies in memory."""

    content: bytes

    @property
    def size(self) -> int:
        """Bytes in all."""
        return len(self.content)

    def pieces(self) -> Iterator[bytes]:
        """The bytes, 64 KiB at a time."""
        for start in range(0, len(self.content), _PIECE):
            yield self.content[start : start + _PIECE]

    def view(self) -> memoryview:
        """All bytes."""
        return memoryview(self.content)


def mail_of(
    content: bytes,
    *,
    session: Session | None = None,
    sender: str = "ann@sender.example",
    recipients: Iterable[str] = ("bob@acme.example",),
    tenant: str = "acme",
    profile: Profile = NOBODY,
) -> Mail:
    """`content` as it would come from Exchange Online."""
    peer = Session(id="1", peer="40.107.0.1", helo="eur01.outbound.protection.outlook.com", network="exchange-online")
    envelope = Envelope(sender, tuple(map(Recipient, recipients)))
    return Mail(session or peer, envelope, BytesContent(content), tenant, profile)


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


MALFORMED: Mapping[str, bytes] = {
    "empty": b"",
    "only a line end": b"\r\n",
    "no header": b"\r\nbody\r\n",
    "no blank line": b"Subject: x\r\nFrom: y\r\n",
    "no colon": b"Subject\r\nFrom\r\n\r\nbody",
    "begins folded": b" folded\r\n\tagain\r\n\r\nbody",
    "bare line feeds": b"Subject: x\nContent-Type: text/plain\n\nbody\n",
    "bare carriage returns": b"Subject: x\rFrom: y\r\rbody\r",
    "NUL": b"Sub\0ject: \0\r\n\r\n\0body\0",
    "not UTF-8": b"Subject: \xff\xfe\r\nFrom: \x80@\xff\r\n\r\n\xff\xfe\x00",
    "every byte": bytes(range(256)) * 8,
    "long header line": b"Subject: " + b"x" * 1_000_000 + b"\r\n\r\nbody",
    "many fields": b"X: y\r\n" * 20_000 + b"\r\nbody",
    "long body line": b"Subject: x\r\n\r\n" + b"y" * 1_000_000,
    "multipart without boundary": b"Content-Type: multipart/mixed\r\n\r\n--x\r\n\r\nbody\r\n--x--\r\n",
    "multipart without end": b'Content-Type: multipart/mixed; boundary="x"\r\n\r\n--x\r\n\r\nbody',
    "multipart of itself": b'Content-Type: multipart/mixed; boundary="x"\r\n\r\n--x' * 200,
    "deep messages": b"Content-Type: message/rfc822\r\n\r\n" * 300,
    "many parts": b"Content-Type: multipart/mixed; boundary=x\r\n\r\n" + b"--x\r\n\r\n\r\n" * 5_000,
    "bad base64": b"Content-Transfer-Encoding: base64\r\n\r\n=A=\xff!A==B" + b"=" * 1_000,
    "bad quoted-printable": b"Content-Transfer-Encoding: quoted-printable\r\n\r\n=\r=G=\n=4",
    "bad charset": b"Content-Type: text/plain; charset=\xff; name*=no'such'%zz\r\nSubject: =?no?q?=?=\r\n\r\nbody",
    "bad report": b"X-Forefront-Antispam-Report: CIP:999.1.1.1;SCL:x;H:\x00;;:;PTR\r\n\r\nbody",
}
"""Letters that nobody should send; an engine answers or raises `Unscanned` on each of them."""


async def assert_contract(factory: Callable[[], Engine]) -> None:
    """Raises AssertionError with every fault of `contract_faults`."""
    faults = await contract_faults(factory)
    assert not faults, "\n".join(faults)


async def contract_faults(factory: Callable[[], Engine]) -> list[str]:
    """What an engine does against the contract; empty is good. Its tools must be pretend ones that answer sensibly."""
    engine = factory()
    faults = [
        *await _stalls(engine),
        *await _answers(engine, "a normal letter", letter()),
        *[fault for name, content in MALFORMED.items() for fault in await _answers(engine, name, content)],
        *await _ignores_cancelling(engine),
    ]
    try:
        await engine.close()
    except Exception as error:  # noqa: BLE001 - that is the fault
        faults.append(f"close() raises {error!r}")
    return faults


async def _answers(engine: Engine, name: str, content: bytes) -> list[str]:
    try:
        checked_findings(await engine.judge(mail_of(content)))
    except Unscanned as unscanned:
        return [] if unscanned.reason else [f"on {name}: raises Unscanned without a reason"]
    except Exception as error:  # noqa: BLE001 - that is the fault
        return [f"on {name}: {error!r}"]
    return []


async def _stalls(engine: Engine) -> list[str]:
    """Whether the event loop stands still while a normal letter is judged: the best of three, as machines are busy."""
    worst = min([await _longest_gap(engine) for _ in range(3)])
    return [f"blocks the event loop for {worst * 1000:.0f} ms on a normal letter"] if worst > _STALL_SECONDS else []


async def _longest_gap(engine: Engine) -> float:
    task = asyncio.create_task(_outcome(engine))
    longest, last = 0.0, time.perf_counter()
    while not task.done():
        await asyncio.sleep(0)
        now = time.perf_counter()
        longest, last = max(longest, now - last), now
    return longest


async def _outcome(engine: Engine) -> None:
    try:
        await engine.judge(mail_of(letter(attachments=[("a.bin", bytes(100_000))])))
    except Exception:  # noqa: BLE001 - told by _answers
        return


async def _ignores_cancelling(engine: Engine) -> list[str]:
    """Whether a cancelled `judge` goes on, or answers as if nothing had been; cancelled at its first awaits."""
    for turns in range(1, 6):
        task = asyncio.create_task(_outcome(engine))
        for _ in range(turns):
            await asyncio.sleep(0)
        if task.done():
            break
        task.cancel()
        await asyncio.wait([task], timeout=_CANCEL_SECONDS)
        if not task.cancelled():
            return ["goes on after it was cancelled"]
    return []

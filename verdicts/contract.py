"""The contract between Sluice and a verdict engine: the one file that an engine's author reads.

An engine is a class with typed `Options` and one coroutine, `judge`, that looks at a read-only `Mail` and returns
`Finding`s. It never decides: what a finding leads to is the tenant's policy. When it cannot tell, it says so:

- it returns findings (none of them means: looked at everything, saw nothing),
- it raises `Unscanned` when it could not look at (all of) the message, for example because of a size limit,
- it raises anything else when it broke: the panel makes a "failed" verdict of it, and a "late" one of a missed
  deadline.

Whom it is asked about, what its silence leads to and how much it weighs is the operator's choice, the same for every
engine (`EngineOptions`): an engine does nothing for it.
"""

import abc
import enum
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Literal, NamedTuple, Protocol

from pydantic import BaseModel, ConfigDict, Field

from verdicts.mail import Mail


class Severity(enum.IntEnum):
    """How bad one finding is by itself. NOTE counts for nothing but its weight."""

    NOTE = 0
    SUSPICIOUS = 1
    SPAM = 2
    MALICIOUS = 3


class Finding(NamedTuple):
    """One thing that an engine saw."""

    name: str
    """A stable identifier: "GTUBE", "Win.Test.EICAR_HDB-1"."""
    severity: Severity = Severity.NOTE
    weight: float = 0.0
    """Added up over all engines and held against the tenant's thresholds."""
    detail: str = ""
    """For people: at most a line, no secrets; cut to 500 characters when it is recorded."""
    allows: bool = False
    """Whether the tenant has allowed this message: policy then lets it pass although others find it suspicious or spam,
    never although it is malicious. Only for what nobody can imitate: see `engines/lists.py`."""


class Outcome(enum.StrEnum):
    """How an engine's work on one message ended."""

    ANSWERED = "answered"
    UNSCANNED = "unscanned"
    FAILED = "failed"
    LATE = "late"
    SKIPPED = "skipped"
    """Not asked, or sent away, because the operator wants it so: out of its scope, or the others had said enough."""


class Handling(enum.StrEnum):
    """What a verdict does to the decision; the operator's choice (`EngineOptions`), set by the panel."""

    COUNTS = "counts"
    """Its findings count, and without an answer the message is unscanned."""
    IGNORED = "ignored"
    """It counts for nothing: the engine failed or was late, and that is to be ignored."""
    DEFERS = "defers"
    """The engine failed or was late: the message is deferred, unless it deserves worse."""
    SHADOW = "shadow"
    """It counts for nothing, whatever it says."""


class Verdict(NamedTuple):
    """One engine's answer."""

    engine: str
    outcome: Outcome
    findings: tuple[Finding, ...] = ()
    seconds: float = 0.0
    reason: str = ""
    """Why it is not "answered", for the log and the record; never for an SMTP reply."""
    handling: Handling = Handling.COUNTS

    @property
    def counts(self) -> bool:
        """Whether the decision hears of it."""
        return self.handling is Handling.COUNTS or self.handling is Handling.DEFERS


class Judgement(NamedTuple):
    """All verdicts of one message."""

    verdicts: tuple[Verdict, ...] = ()

    @property
    def counted(self) -> tuple[Verdict, ...]:
        """The verdicts that the decision hears of."""
        return tuple([verdict for verdict in self.verdicts if verdict.counts])

    @property
    def unanswered(self) -> tuple[Verdict, ...]:
        """The verdicts that count, of engines that did not look at the whole message: unscanned, failed, late."""
        silent = [verdict for verdict in self.verdicts if verdict.outcome is not Outcome.ANSWERED]
        return tuple([verdict for verdict in silent if verdict.outcome is not Outcome.SKIPPED and verdict.counts])


class Unscanned(Exception):
    """Raised by an engine that could not look at the whole message; the text says why. `findings` are what it saw."""

    def __init__(self, reason: str, findings: Iterable[Finding] = ()) -> None:
        super().__init__(reason)
        self.reason = reason
        self.findings = tuple(findings)


Silence = Literal["ignore", "unscanned", "defer"]
"""What a verdict without an answer leads to."""
Direction = Literal["incoming", "outgoing", "internal"]
"""Where a message goes, seen from the tenant; `verdicts/scope.py` tells how it is known."""


class EngineOptions(BaseModel):
    """[engines.NAME]: what every engine can be told; its own options extend this."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    engine: str | None = None
    """Which engine this is, where the table has a name of its own: several milters are `[engines.one]` and
    `[engines.other]`, each with `engine = "milter"`."""
    deadline: float = Field(10.0, gt=0, le=120)
    """Seconds that the engine may take for one message before its verdict is "late"."""
    on_failure: Silence = "unscanned"
    """What it leads to when the engine breaks: "unscanned" leaves it to the tenant's policy; "ignore" goes on as if the
    engine were not there, and is recorded; "defer" defers the message whatever the policy says of unscanned mail,
    unless what is known of it deserves worse."""
    on_late: Silence = "unscanned"
    """The same for a missed deadline. Whoever can make an engine late can make it ignored: think before "ignore"."""
    weight: float = Field(1.0, ge=0, le=1000)
    """Factor for the weights of the engine's findings, not for their severities; the tenant's `policy.weights`
    multiplies on top of it."""
    tenants: frozenset[str] = frozenset()
    """Names of the tenants whose mail the engine sees; empty: all of them. Other mail is "skipped"."""
    directions: frozenset[Direction] = Field(frozenset(("incoming", "outgoing", "internal")), min_length=1)
    """Which mail the engine sees; other mail is "skipped". The tenant's own mail has both its envelope sender and its
    From in the tenant's domains, proved to come through the tenant's rule, and did not come from outside by Microsoft's
    report: it is "internal" when all recipients are the tenant's too, else "outgoing". All else is "incoming"."""
    min_bytes: int = Field(0, ge=0)
    """Smaller messages are "skipped"."""
    max_bytes: int | None = Field(None, ge=1)
    """Larger messages are not sent to the engine; `beyond` says what that means."""
    beyond: Literal["unscanned", "skip"] = "unscanned"
    """What a message over `max_bytes` is: "unscanned", which the policy must name, or "skip": none of the engine's
    business, so that a sender gets past the engine by size."""
    shadow: bool = False
    """Try the engine: it is asked, recorded and counted (`sluice_shadow_verdicts_total`), and has no say. No message
    waits for it: it is sent away when all others are done, or `judging.shadow_grace` later."""
    at_once: int | None = Field(None, ge=1)
    """Messages that a worker may have at the engine at a time. More of them wait for their turn, while their deadline
    runs: who waits past it is late."""
    breaker_failures: int = Field(0, ge=0)
    """After so many failures and late verdicts in a row the engine is not asked for `breaker_seconds`: its verdict is
    "failed" at once, reason "circuit open", handled as `on_failure` says. Then one message tries it. 0: never. With
    `on_failure = "ignore"` whoever can break the engine so often switches it off."""
    breaker_seconds: float = Field(30.0, gt=0, le=3600)
    """Seconds from the last failure to the trial."""


@dataclass(frozen=True, slots=True)
class HttpReply:
    """An HTTP response, read whole within the limit that the request named."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


class Http(Protocol):
    """Pooled HTTP requests."""

    async def post(
        self, url: str, *, headers: Iterable[tuple[str, str]], body: Iterable[bytes], limit: int = 4_000_000
    ) -> HttpReply:
        """POST `body`; raises OSError when no answer could be had or it is larger than `limit` bytes."""


class Clock(Protocol):
    """Time, so that a test can stop it."""

    def time(self) -> float:
        """Seconds since the epoch."""

    def monotonic(self) -> float:
        """Seconds of a clock that never goes back."""


Kind = Literal["A", "AAAA", "MX", "PTR", "TXT"]


class Dns(Protocol):
    """The relay's resolver."""

    async def txt(self, name: str) -> tuple[str, ...]:
        """TXT records, their strings joined; empty when there are none. Raises OSError when no answer could be had."""

    async def addresses(self, name: str) -> tuple[str, ...]:
        """A and AAAA records as text; empty when there are none. Raises OSError when no answer could be had."""

    async def records(self, name: str, kind: Kind) -> tuple[str, ...]:
        """Records of one kind as text, "10 mx.acme.example" for MX; empty when there are none. Raises OSError."""


class History(Protocol):
    """What the relay remembers of earlier mail."""

    async def messages(self, tenant: str, sender: str) -> int:
        """How many messages of this envelope sender the tenant was given, as far as records are kept.

        Raises OSError when the records cannot be read.
        """


@dataclass(frozen=True, slots=True)
class Tools:
    """What an engine gets from the relay, so that a test can hand it pretend ones (`verdicts/kit.py`)."""

    dns: Dns
    http: Http
    clock: Clock
    history: History


class Engine(abc.ABC):
    """One verdict engine. Registered by an entry point of the group "sluice.engines" whose name is the engine's.

    Built once per process with its options and tools; `judge` runs concurrently for many messages, must not block the
    event loop and must let itself be cancelled.
    """

    Options: ClassVar[type[EngineOptions]] = EngineOptions

    def __init__(self, options: EngineOptions, tools: Tools) -> None:
        """`options` are of the engine's own `Options`. No I/O here, and nothing that needs the event loop."""
        self.options = options
        self.tools = tools

    @abc.abstractmethod
    async def judge(self, mail: Mail) -> Iterable[Finding]:
        """What the engine sees in `mail`. Raises `Unscanned` when it could not look at all of it."""

    async def close(self) -> None:  # noqa: B027 - most engines hold nothing
        """Give back connections and processes; called once, at the end."""

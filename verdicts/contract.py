"""The contract between Sluice and a verdict engine: the one file that an engine's author reads.

An engine is a class with typed `Options` and one coroutine, `judge`, that looks at a read-only `Mail` and returns
`Finding`s. It never decides: what a finding leads to is the tenant's policy. When it cannot tell, it says so:

- it returns findings (none of them means: looked at everything, saw nothing),
- it raises `Unscanned` when it could not look at (all of) the message, for example because of a size limit,
- it raises anything else when it broke: the panel makes a "failed" verdict of it, and a "late" one of a missed
  deadline.
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


class Verdict(NamedTuple):
    """One engine's answer."""

    engine: str
    outcome: Outcome
    findings: tuple[Finding, ...] = ()
    seconds: float = 0.0
    reason: str = ""
    """Why it is not "answered", for the log and the record; never for an SMTP reply."""


class Judgement(NamedTuple):
    """All verdicts of one message."""

    verdicts: tuple[Verdict, ...] = ()

    @property
    def findings(self) -> tuple[Finding, ...]:
        """The findings of all engines, in the engines' order."""
        return tuple(finding for verdict in self.verdicts for finding in verdict.findings)

    @property
    def severity(self) -> Severity:
        """The worst severity found."""
        return max((finding.severity for finding in self.findings), default=Severity.NOTE)

    @property
    def unanswered(self) -> tuple[Verdict, ...]:
        """The verdicts of engines that did not look at the whole message: unscanned, failed, late."""
        return tuple(verdict for verdict in self.verdicts if verdict.outcome is not Outcome.ANSWERED)


class Unscanned(Exception):
    """Raised by an engine that could not look at the whole message; the text says why. `findings` are what it saw."""

    def __init__(self, reason: str, findings: Iterable[Finding] = ()) -> None:
        super().__init__(reason)
        self.reason = reason
        self.findings = tuple(findings)


class EngineOptions(BaseModel):
    """What every engine can be told; an engine's own `Options` extend it. Unknown keys are mistakes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    deadline: float = Field(10.0, gt=0, le=120)
    """Seconds that the engine may take for one message before its verdict is "late"."""


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

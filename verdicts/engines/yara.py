"""YARA rules of the operator's, by YARA-X: on the raw message, on its decoded parts, and on what is packed in them.

Rules may be changed while the relay runs. Those that do not compile change nothing, and the log names file and line.
Their metadata give `severity`, `weight` and `description`; conditions may use `sender`, `tenant`, `recipients` (their
number), `filename` and `extension` (".exe", of the part or packed file that is being looked at).
"""

from collections.abc import Iterable
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from verdicts import outside
from verdicts.contract import Engine, EngineOptions, Finding, Severity, Tools, Unscanned
from verdicts.files.budget import Limits
from verdicts.mail import Mail
from verdicts.workers import Unfinished, Workers
from verdicts.yara_rules import Rulebook, checked

_SCAN = "verdicts.yara_scan:scan"  # by name: what it imports has no place in the relay's process
_READING_SECONDS = 10.0
"""What a worker may take to read the compiled rules, which it does once: a second for 10,000 of them."""
_GRACE_SECONDS = 1.0
"""A scan knows its time, and tells what it found until then; this much later its process is killed."""


def _folders(folders: list[str]) -> list[str]:
    for folder in folders:
        if not folder.startswith("/"):
            raise ValueError(f"{folder!r} must be the absolute path of a folder")
    try:
        checked(folders)
    except OSError as error:
        raise ValueError(str(error)) from None
    return folders


class Yara(Engine):
    """Scans with YARA rules, in processes of its own."""

    class Options(EngineOptions):
        """[engines.yara]."""

        rules: Annotated[list[str], Field(min_length=1), AfterValidator(_folders)]
        """Folders with rules in files called *.yar or *.yara. `include` is not allowed in them."""
        severity: Literal["note", "suspicious", "spam", "malicious"] = "suspicious"
        """What a rule finds whose metadata do not say."""
        workers: int = Field(2, ge=1, le=64)
        """Processes that scan, in each process of the relay."""
        memory: int = Field(1_000_000_000, ge=500_000_000)
        """Bytes of address space that each of them may take."""
        seconds: float = Field(6.0, gt=0, le=60)
        """For all of one message; waiting for a process does not count."""

    def __init__(self, options: Options, tools: Tools) -> None:
        super().__init__(options, tools)
        self.rules = Rulebook(options.rules, tools.clock)
        self._severity = Severity[options.severity.upper()]
        self._seconds = options.seconds
        self._limits = tuple(Limits(seconds=self._seconds))
        self._workers = Workers(options.workers, options.memory)

    async def judge(self, mail: Mail) -> Iterable[Finding]:
        """Raises RuntimeError when the rules cannot be used."""
        try:
            hits, unscanned = await self._scanned(mail)
        except Unfinished as unfinished:
            raise Unscanned(f"the scan {unfinished}") from None
        findings = [self._finding(*hit) for hit in hits]
        if unscanned:
            raise Unscanned(unscanned, findings)
        return findings

    async def close(self) -> None:
        """End the processes."""
        await self.rules.close()
        await self._workers.close()

    async def _scanned(self, mail: Mail) -> Any:
        """What a worker says; one that does not know the rules yet is given them."""
        key, rules = self.rules.current()
        asked = (mail.content.view(), _variables(mail), self._limits, self._seconds)
        seconds = self._seconds + _GRACE_SECONDS
        scanned = await self._workers.run(_SCAN, key, None, *asked, seconds=seconds)
        if scanned is None:
            scanned = await self._workers.run(_SCAN, key, rules, *asked, seconds=seconds + _READING_SECONDS)
        return scanned

    def _finding(self, rule: str, severity: int | None, weight: float, detail: str) -> Finding:
        return Finding(rule, self._severity if severity is None else Severity(severity), weight, detail)


def _variables(mail: Mail) -> dict[str, str | int]:
    return {
        "sender": outside.clean(mail.envelope.sender),
        "tenant": mail.tenant,
        "recipients": len(mail.envelope.recipients),
    }

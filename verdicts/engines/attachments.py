"""Attachments: what they really are, what is in them, and what they would do, all of it found in worker processes.

A file that is a bomb, or hangs or crashes a library, costs a worker and is "unscanned"; the relay does not feel it.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Iterable
from itertools import islice
from typing import Literal

from pydantic import Field, field_validator

from verdicts.contract import Engine, EngineOptions, Finding, Severity, Tools, Unscanned
from verdicts.files.budget import Limits
from verdicts.files.hashlist import HashLists
from verdicts.files.kinds import UUENCODED, kind_by_magic
from verdicts.files.names import BLOCKED
from verdicts.files.passwords import MOST_PASSWORDS, candidates
from verdicts.files.reports import File, Report, report_of
from verdicts.files.sights import SEVERITIES
from verdicts.kept import FILE_SECONDS, PROBLEM_SECONDS, Kept
from verdicts.mail import Mail
from verdicts.parts import Part
from verdicts.watched import WatchedFile
from verdicts.workers import Unfinished, Workers

Level = Literal["off", "note", "suspicious", "spam", "malicious"]
_INSPECT = "verdicts.files.inspecting:inspect"  # by name: what it imports has no place in the relay's process
_PIECE_BYTES = 131_072
_MAGIC_BYTES = 40_000  # an ISO image's stand that late
_BEGIN_BYTES = 1_200  # of the line with which a file in text begins
_TEXT_PARTS = 5
_TEXT_BYTES = 20_000


class Attachments(Engine):
    """Opens every attachment, and what is in it."""

    class Options(EngineOptions):
        """[engines.attachments]."""

        blocked: tuple[str, ...] = BLOCKED
        """Types that nobody shall get, by the name's ending or by content, within archives too."""
        severities: dict[str, Level] = Field(default_factory=dict)
        """Other severities than the usual ones (`files/sights.py`): {MACRO = "suspicious", REVERSED_NAME = "off"}."""
        hashes: tuple[WatchedFile, ...] = ()
        """Files of one SHA-256 a line; read again when they change."""
        workers: int = Field(2, ge=1, le=64)
        """Processes that open files, in each process of the relay."""
        memory: int = Field(1_000_000_000, ge=400_000_000)
        """Bytes of address space that each of them may take."""
        seconds: float = Field(5.0, gt=0, le=60)
        """For all files of one message; waiting for a process does not count."""
        files: int = Field(200, ge=1)
        """Attachments of one message."""
        depth: int = Field(20, ge=1, le=50)
        """Files within files within files."""
        members: int = Field(1_000, ge=1, le=5_000)
        """Files in one attachment."""
        expanded: int = Field(150_000_000, ge=1)
        """Bytes of all files in one attachment."""
        ratio: int = Field(200, ge=1)
        """Times its own size that an attachment may have in it, when that is more than 32 MB."""
        remembered: int = Field(2_000, ge=0)
        """Attachments whose report is kept for an hour, so that a campaign is opened once; one with a problem for five
        minutes."""

        @field_validator("severities")
        @classmethod
        def _known(cls, value: dict[str, Level]) -> dict[str, Level]:
            if unknown := sorted(value.keys() - SEVERITIES.keys()):
                raise ValueError(f"no such finding: {', '.join(unknown)}; there are {', '.join(SEVERITIES)}")
            return value

    def __init__(self, options: Options, tools: Tools) -> None:
        super().__init__(options, tools)
        self._options = options
        self._blocked = tuple(ending.lower().lstrip(".") for ending in options.blocked)
        self._severities = _severities(options.severities)
        self._hashes = HashLists(options.hashes, tools.clock)
        self._workers = Workers(options.workers, options.memory)
        self._kept = Kept[bytes, Report](tools.clock, options.remembered)
        self._turns = asyncio.Semaphore(options.workers + 1)  # files that lie decoded in memory

    async def judge(self, mail: Mail) -> Iterable[Finding]:
        """Raises `Unscanned` with what was seen when a file could not be opened, ValueError without a hash list."""
        await self._hashes.refresh()
        structure = await mail.read_structure()
        problems = ["more parts than are read"] if structure.truncated else []
        findings: dict[Finding, None] = {}
        passwords = await _passwords(mail.fields.text("Subject"), structure.parts)
        async for report in self._reports_of(structure.parts, passwords):
            findings |= dict.fromkeys(self._findings(report))
            problems += report.problems
        if problems:
            raise Unscanned("; ".join(problems[:3]), findings)
        return list(findings)

    async def close(self) -> None:
        """End the processes, and look for no more changes of lists."""
        await self._hashes.close()
        await self._workers.close()

    async def _reports_of(self, parts: Iterable[Part], passwords: tuple[str, ...]) -> AsyncIterator[Report]:
        left, count = self._options.seconds, 0
        for part in parts:
            await asyncio.sleep(0)
            encoded = await _has_uuencoded(part)
            if not (encoded or await _is_file(part)):
                continue
            count += 1
            if count > self._options.files or left <= 0:
                yield Report(problems=("more files than are opened, or no time left for all of them",))
                return
            async with self._turns:
                report, seconds = await self._report(part, "text.uu" if encoded else "", passwords, left)
            left -= seconds
            yield report

    async def _report(self, part: Part, name: str, passwords: tuple[str, ...], left: float) -> tuple[Report, float]:
        """The report, and the seconds it took. `name`: of what has none by itself."""
        pieces = await _pieces(part)
        file = File(name or part.filename or "", part.content_type, self._blocked, passwords, part.filenames)
        key = await _key(file, pieces)
        if (known := self._kept.get(key)) is not None:
            return known, 0.0
        try:
            seen = await self._workers.run(_INSPECT, tuple(file), pieces, tuple(self._limits(left)), seconds=left)
            report, seconds = report_of(seen)
        except Unfinished as unfinished:
            report, seconds = Report(problems=(f"{file.name[:100]!a}: {unfinished}",)), left
        if not report.problems or left == self._options.seconds:  # others in the message may have left it no time
            self._kept.put(key, report, PROBLEM_SECONDS if report.problems else FILE_SECONDS)
        return report, seconds

    def _limits(self, left: float) -> Limits:
        """Unpacking ends early enough for what was seen until then to be told."""
        options = self._options
        return Limits(options.depth, options.members, options.expanded, options.ratio, seconds=left * 0.7)

    def _findings(self, report: Report) -> Iterable[Finding]:
        for name, detail in report.sights:
            if (severity := self._severities.get(name)) is not None:
                yield Finding(name, severity, detail=detail)
        for sha256, path in report.hashes:
            severity = self._severities.get("LISTED_HASH")
            if severity is not None and (listed := self._hashes.named_by(sha256)):
                yield Finding("LISTED_HASH", severity, detail=f"{path} is in {listed}")


def _severities(others: dict[str, Level]) -> dict[str, Severity]:
    """Of the findings that are not off."""
    levels = {name: Severity[level.upper()] for name, level in others.items() if level != "off"}
    return {name: levels.get(name, usual) for name, usual in SEVERITIES.items() if others.get(name) != "off"}


async def _passwords(subject: str, parts: Iterable[Part]) -> tuple[str, ...]:
    """Words of the subject and of the first texts."""
    found = dict.fromkeys(candidates(subject))
    texts = (part for part in parts if part.content_type in ("text/plain", "text/html"))
    for part in islice(texts, _TEXT_PARTS):
        await asyncio.sleep(0)
        found |= dict.fromkeys(candidates((await part.beginning(_TEXT_BYTES)).decode("utf-8", "replace")))
    return tuple(found)[:MOST_PASSWORDS]


async def _is_file(part: Part) -> bool:
    """Text without a name is for reading, unless it is no text, or said to be attached (RFC 2183 section 2)."""
    first = await part.beginning(_MAGIC_BYTES)
    if part.filename or part.content_type not in ("text/plain", "text/html"):
        return bool(first)
    attached = part.fields.text("Content-Disposition").lstrip().lower().startswith("attachment")
    return bool(first) and (attached or bool(kind_by_magic(first)))


async def _has_uuencoded(part: Part) -> bool:
    """Whether it is a text with a file in it, as Outlook takes it out."""
    if part.content_type != "text/plain" or part.filename:
        return False
    tail = b""
    for piece in part.decoded_pieces():
        text = tail + piece
        if b"begin" in text and UUENCODED.search(text):
            return True
        tail = text[-_BEGIN_BYTES:]
        await asyncio.sleep(0)
    return False


async def _pieces(part: Part) -> list[bytes]:
    """The decoded body; small pieces put together, as each is sent by itself."""
    pieces: list[bytes] = []
    small: list[bytes] = []
    size = 0
    for piece in part.decoded_pieces():
        small.append(piece)
        size += len(piece)
        if size >= _PIECE_BYTES:
            pieces.append(b"".join(small))
            small, size = [], 0
        await asyncio.sleep(0)
    return [*pieces, b"".join(small)] if size else pieces


async def _key(file: File, pieces: list[bytes]) -> bytes:
    """Of names, declared type, passwords and content: the options are the same for all."""
    key = hashlib.sha256(repr((file.names, file.name, file.declared, file.passwords)).encode("utf-8", "surrogatepass"))
    for piece in pieces:
        key.update(piece)
        await asyncio.sleep(0)
    return key.digest()

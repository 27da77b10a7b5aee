"""Scanning a message with compiled YARA rules, in a worker process: all of it, its decoded parts, what is in them."""

import io
import time
from collections.abc import Iterator, Mapping
from math import ceil
from typing import Any, NamedTuple

import yara_x

from verdicts import outside
from verdicts.contract import Severity
from verdicts.files.kinds import UUENCODED
from verdicts.files.unpacking import Limits, walk
from verdicts.parts import Part
from verdicts.reading import read_structure

MOST_FOUND = 500
"""Rules that are told of one message."""
_DETAIL_CHARACTERS = 300
_known: dict[str, yara_x.Rules] = {}
"""The rules that this process has read, by their key: those of the last run only."""


class Hit(NamedTuple):
    """A rule that matched; as JSON has it, a list."""

    rule: str
    severity: int | None
    """None when the rule does not say."""
    weight: float
    detail: str


class Scanned(NamedTuple):
    """What came of a scan; as JSON has it, a list."""

    hits: list[Hit]
    unscanned: str
    """Why not all of it could be looked at; empty when it was."""


class _OverError(Exception):
    """The scan cannot go on; the text says why."""


def scan(
    key: str, rules: bytes | None, message: bytes, variables: Mapping[str, Any], limits: tuple[Any, ...], seconds: float
) -> Scanned | None:
    """None when no rules are given and this process does not know those of that key yet."""
    if rules is not None:
        _known.clear()
        _known[key] = yara_x.Rules.deserialize_from(io.BytesIO(rules))
    if key not in _known:
        return None
    scanner = _Scanner(_known[key], variables, time.monotonic() + seconds)
    try:
        problems = list(scanner.message(message, Limits(*limits)))
    except _OverError as over:
        problems = [str(over)]
    return Scanned(list(scanner.hits.values()), "; ".join(dict.fromkeys(problems))[:_DETAIL_CHARACTERS])


class _Scanner:
    """One message's scan. `hits` are by rule: one that matches in many places is told once."""

    def __init__(self, rules: yara_x.Rules, variables: Mapping[str, Any], end: float) -> None:
        self.hits: dict[tuple[str, str], Hit] = {}
        self._scanner = yara_x.Scanner(rules)
        self._scanner.fast_scan(True)  # that a pattern matches matters, and not where else it does
        self._end = end
        for name, value in variables.items():
            self._scanner.set_global(name, value)

    def message(self, message: bytes, limits: Limits) -> Iterator[str]:
        """Scan all of it; yields what could not be looked at. Raises `_OverError` when there is no time left."""
        self._look(message, "", "")
        structure = read_structure(message)
        for part in structure.parts:
            yield from self._within(part, limits)
        if structure.truncated:
            yield "more parts, deeper ones or longer fields than are read"

    def _within(self, part: Part, limits: Limits) -> Iterator[str]:
        """Scan a part, which is the first of its members, and what is in it."""
        data = b"".join(part.decoded_pieces())
        name = "text.uu" if part.content_type == "text/plain" and UUENCODED.search(data) else ""
        for member in walk(part.filename or name, data, limits._replace(seconds=self._left())):
            path, name = outside.clean(member.path), outside.clean(member.name)
            if member.data or not member.problem:
                self._look(member.data, path, name)
            if member.problem:
                yield f"{path}: {member.problem}"

    def _look(self, data: bytes, path: str, filename: str) -> None:
        _, dot, suffix = filename.lower().rpartition(".")
        self._scanner.set_global("filename", filename)
        self._scanner.set_global("extension", dot and f".{suffix}")
        self._scanner.set_timeout(ceil(self._left()))
        try:
            matching = self._scanner.scan(data).matching_rules
        except yara_x.TimeoutError:
            raise _OverError(f"the rules take too long on {path or 'the message'}") from None
        for rule in matching:
            if len(self.hits) < MOST_FOUND:
                self.hits.setdefault((rule.namespace, rule.identifier), _hit(rule, path))

    def _left(self) -> float:
        """Seconds. Raises `_OverError` when there are none."""
        left = self._end - time.monotonic()
        if left <= 0:
            raise _OverError("the scan takes too long")
        return left


def _hit(rule: yara_x.Rule, path: str) -> Hit:
    metadata = dict(rule.metadata)
    severity = metadata.get("severity")
    described = metadata.get("description", "")
    if isinstance(described, bytes):  # as a text with escapes comes
        described = described.decode("utf-8", "replace")
    words = (" ".join(str(described).split()), path and f"in {path}")
    return Hit(
        rule.identifier,
        None if severity is None else int(Severity[severity.upper()]),
        float(metadata.get("weight", 0.0)),
        outside.clean(", ".join(filter(None, words)))[:_DETAIL_CHARACTERS],
    )

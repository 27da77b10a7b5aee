"""Record: what is remembered of one message, and its form as a row."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from operator import attrgetter
from typing import Any

import orjson

LONGEST = {"helo": 255, "subject": 500, "message_id": 1000, "reply": 2000, "reason": 500}
"""Characters that are kept of what outsiders wrote."""
_LARGEST = 2**63 - 1


@dataclasses.dataclass(slots=True, kw_only=True)  # not frozen: that would take three times as long to make
class Record:
    """Who, what, every finding, every duration, what was said. Plain data, filled once and then left alone."""

    id: str
    at: float
    """When the message came, in seconds since the epoch."""
    node: str
    outcome: str
    """One of `metrics.OUTCOMES`."""
    tenant: str = ""
    peer: str = ""
    helo: str = ""
    network: str = ""
    sender: str = ""
    recipients: list[str] = dataclasses.field(default_factory=list)
    message_id: str = ""
    subject: str = ""
    size: int = 0
    category: str = ""
    action: str = ""
    would: str | None = None
    """The action that observe mode withheld."""
    rule: str = ""
    proof: str = ""
    reason: str = ""
    """Why it ended early; for operators only."""
    reply: str = ""
    """What the sender heard."""
    quarantine_id: str | None = None
    next_hop: str = ""
    verdicts: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    """A dict for each engine: engine, outcome, reason, seconds, findings."""
    seconds: dict[str, float] = dataclasses.field(default_factory=dict)
    """Seconds by stage."""


_NAMES = tuple(field.name for field in dataclasses.fields(Record))
_fields_of = attrgetter(*_NAMES)
_CUTS = tuple((_NAMES.index(name), longest) for name, longest in LONGEST.items())
_DOCUMENTS = tuple(_NAMES.index(name) for name in ("recipients", "verdicts", "seconds"))
_STRICT = (
    orjson.OPT_STRICT_INTEGER
    | orjson.OPT_PASSTHROUGH_DATACLASS
    | orjson.OPT_PASSTHROUGH_DATETIME
    | orjson.OPT_PASSTHROUGH_SUBCLASS
)


def to_values(record: Record) -> list[Any]:
    """What `to_row` says in the order of the fields, ready for a driver: lists and dicts as JSON."""
    values = list(_fields_of(record))
    if not _is_plain(values):
        values = list(to_row(record).values())
    for place, longest in _CUTS:
        values[place] = values[place][:longest]
    for place in _DOCUMENTS:
        values[place] = orjson.dumps(values[place]).decode()
    return values


def to_row(record: Record) -> dict[str, Any]:
    """The values by column: plain, cut to `LONGEST`, and such that every database takes them."""
    row = {name: _plain(getattr(record, name)) for name in _NAMES}
    for name, longest in LONGEST.items():
        row[name] = row[name][:longest]
    return row


def from_row(row: Mapping[Any, Any]) -> Record:
    """The record of a row."""
    return Record(**{name: row[name] for name in _NAMES})


def _is_plain(values: Sequence[Any]) -> bool:
    """Whether `_plain` would change nothing: nearly always, and one call in C tells it."""
    try:
        text = orjson.dumps(values, option=_STRICT)
    except TypeError:  # a lone surrogate, a large integer, a name that is no text, a value that is no plain data
        return False
    nones = values.count(None)  # whatever else became a null was a NaN or an infinity, or is a word
    return text.isascii() and b"\\u0000" not in text and text.count(b"null") == nones


def _plain(value: Any) -> Any:
    """`value` without what a database or JSON refuses: NUL, lone surrogates, infinities, integers over 64 bits."""
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else 0.0
    if isinstance(value, int):
        return max(-_LARGEST, min(value, _LARGEST))
    if isinstance(value, Mapping):
        return {_text(str(key)): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return None if value is None else _text(str(value))


def _text(value: str) -> str:
    """`value` as UTF-8 can say it; the plain case is quick."""
    if not value.isascii():
        value = value.encode("utf-8", "backslashreplace").decode()
    return value.replace("\0", "\\x00")

"""From configuration to engines: entry points of the group "sluice.engines", each with its own typed options."""

import difflib
import functools
import re
from collections.abc import Collection, Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from pydantic import ValidationError

from verdicts.ambiguity import STRUCTURE
from verdicts.chair import Seat
from verdicts.contract import Engine, EngineOptions, Tools

GROUP = "sluice.engines"
DEFAULT: Mapping[str, Mapping[str, Any]] = {"testpatterns": {}}
"""What runs when no engine is configured."""

Tables = Mapping[str, Mapping[str, Any]]
"""The `[engines.NAME]` tables of the configuration, by name."""
_NAME = re.compile(r"[A-Za-z0-9_-]{1,40}")
Problem = tuple[tuple[str | int, ...], str]
"""Where a mistake is, as the path of keys from the top of the configuration file, and what it is."""


@functools.cache
def available() -> dict[str, EntryPoint]:
    """The installed engines by name. Nothing is imported yet."""
    return {point.name: point for point in entry_points(group=GROUP)}


def problems(tables: Tables) -> list[Problem]:
    """Every mistake in `tables`, without building an engine."""
    found = [problem for name, table in (tables or DEFAULT).items() for problem in _problems_of(name, table)]
    if not found and tables and all(table.get("shadow") for table in tables.values()):
        found.append((("engines",), "all engines are shadows: nothing would be judged"))
    return found


def build(tables: Tables, tools: Tools) -> list[Seat]:
    """The configured engines, in the order of the file; testpatterns alone when there are none.

    Raises ValueError with all mistakes, by key.
    """
    mistakes = problems(tables)
    if mistakes:
        raise ValueError(_told(mistakes))
    return [_seat(name, table, tools) for name, table in (tables or DEFAULT).items()]


def seat(name: str, table: Mapping[str, Any], tools: Tools) -> Seat:
    """One engine by itself, for whoever wants to look at it. Raises ValueError with its mistakes."""
    mistakes = _problems_of(name, table)
    if mistakes:
        raise ValueError(_told(mistakes))
    return _seat(name, table, tools)


def _told(mistakes: list[Problem]) -> str:
    return "; ".join(f"{'.'.join(map(str, path))}: {message}" for path, message in mistakes)


def _seat(name: str, table: Mapping[str, Any], tools: Tools) -> Seat:
    engine = _load(table.get("engine", name))
    options = engine.Options.model_validate(dict(table))
    return Seat(name, engine(options, tools), options.deadline, options)


def _load(name: str) -> type[Engine]:
    """The engine's class. Raises what importing it raises, and TypeError when it is no Engine."""
    engine = available()[name].load()
    if not (isinstance(engine, type) and issubclass(engine, Engine) and issubclass(engine.Options, EngineOptions)):
        raise TypeError("it is no subclass of verdicts.contract.Engine")
    return engine


def _problems_of(name: str, table: Mapping[str, Any]) -> list[Problem]:
    if name == STRUCTURE:
        return [(("engines", name), "is the panel's own verdict on the structure of mail: give the table another name")]
    kind = str(table.get("engine", name))
    if kind not in available():
        path = ("engines", name, "engine") if "engine" in table else ("engines", name)
        return [(path, f"unknown engine{_hint(kind, available())}")]
    if not _NAME.fullmatch(name):
        return [(("engines", name), "must be 1 to 40 letters, digits, - and _")]
    try:
        options = _load(kind).Options
    except Exception as error:  # noqa: BLE001 - a plug-in may fail to import in any way
        return [(("engines", name), f"the engine cannot be loaded: {type(error).__name__}: {error}")]
    try:
        options.model_validate(dict(table))
    except ValidationError as error:
        return [(("engines", name, *mistake["loc"]), _message(dict(mistake), options)) for mistake in error.errors()]
    return []


def _message(mistake: dict[str, Any], options: type[EngineOptions]) -> str:
    """What pydantic says, without the value (it may be a secret)."""
    if mistake["type"] == "extra_forbidden":
        return f"unknown key{_hint(str(mistake['loc'][-1]), options.model_fields)}"
    return str(mistake["msg"]).removeprefix("Value error, ")


def _hint(name: str, names: Collection[str]) -> str:
    close = difflib.get_close_matches(name, names, n=1)
    if close:
        return f"; did you mean {close[0]!r}?"
    return f"; there are: {', '.join(sorted(names))}" if names else ""

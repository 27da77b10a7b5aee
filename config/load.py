"""From a TOML file to Settings, or to all of its mistakes at once, each with file, line and key.

pydantic's view of the input is never part of a message, so that a secret does not end in a terminal or a log.
"""

import difflib
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from config.lines import lines_of
from config.settings import Settings

Key = tuple[str | int, ...]

_TOML_PLACE = re.compile(r" \(at (?:line (\d+), column \d+|end of document)\)$")
_SHOULD = re.compile(r"^[A-Z]\w+ should ")
_NOT_A_NETWORK = "must be a network, for example 192.0.2.0/24, with no bits set behind the prefix"
_WORDS = {
    "missing": "is required",
    "bool_parsing": "must be true or false",
    "bool_type": "must be true or false",
    "dict_type": "must be a table",
    "model_type": "must be a table",
    "list_type": "must be a list",
    "tuple_type": "must be a list",
    "string_type": "must be a text in quotes",
    "path_type": "must be a path in quotes",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "ip_v4_address": "must be an IPv4 address, for example 192.0.2.1",
    "ip_v4_network": _NOT_A_NETWORK,
    "ip_v6_network": _NOT_A_NETWORK,
}
"""What pydantic's error types mean to somebody who writes TOML; the others speak for themselves."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake. `line` is None when the file could not be read; `key` is empty when it is no key's mistake."""

    file: Path
    line: int | None
    key: str
    message: str

    def __str__(self) -> str:
        place = str(self.file) if self.line is None else f"{self.file}:{self.line}"
        return f"{place}: {self.key}: {self.message}" if self.key else f"{place}: {self.message}"


class ConfigProblems(Exception):
    """A file has mistakes: all of them, in the order of their lines."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = sorted(problems, key=lambda problem: (str(problem.file), problem.line or 0))
        super().__init__("\n".join(map(str, self.problems)))


@dataclass(frozen=True, slots=True)
class Document:
    """A TOML file that was read: its data, and where each key stands."""

    file: Path
    data: dict[str, Any]
    lines: Mapping[Key, int]

    def line_of(self, key: Key) -> int:
        """The line of `key`, or of the nearest table around it."""
        while key not in self.lines:
            key = key[:-1]
        return self.lines[key]

    def problem(self, key: Key, message: str) -> Problem:
        """A mistake at `key`."""
        return Problem(self.file, self.line_of(key), spell(key), message)


def spell(key: Key) -> str:
    """A key as people write it: `tenant[0].domain[1].name`, list items counted from 0."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{_quoted(part)}" for part in key)
    return text.removeprefix(".")


def _quoted(part: str) -> str:
    return part if re.fullmatch(r"[A-Za-z0-9_-]+", part) else ascii(part)


def read_toml(file: Path) -> Document:
    """Read `file`. Raises ConfigProblems when it cannot be read or is not TOML."""
    try:
        text = file.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise ConfigProblems([Problem(file, None, "", f"cannot be read: {error.strerror}")]) from None
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise ConfigProblems([Problem(file, line, "", "is not UTF-8")]) from None
    try:
        return Document(file, tomllib.loads(text), lines_of(text))
    except RecursionError:
        raise ConfigProblems([Problem(file, 1, "", "is nested too deeply")]) from None
    except ValueError as error:
        raise ConfigProblems([_syntax_problem(file, text, str(error))]) from None


def _syntax_problem(file: Path, text: str, message: str) -> Problem:
    place = _TOML_PLACE.search(message)
    if place is None:
        return Problem(file, 1, "", f"is not TOML: {message}")
    line = int(place.group(1) or text.rstrip().count("\n") + 1)
    return Problem(file, line, "", f"is not TOML: {message[: place.start()]}")


def load(file: Path) -> Settings:
    """The settings in `file`; relative paths start at its folder. Raises ConfigProblems with all mistakes."""
    tables, problems = read_tables(read_toml(file))
    if problems:
        raise ConfigProblems(problems)
    return Settings(**tables)


def read_tables(document: Document) -> tuple[dict[str, Any], list[Problem]]:
    """The values of those top-level keys of Settings that have no mistake, by name, and all mistakes of the others."""
    wrong: set[int | str] = set()
    problems: list[Problem] = []
    try:
        Settings.model_validate(document.data)
    except ValidationError as error:
        wrong = {mistake["loc"][0] for mistake in error.errors(include_url=False, include_input=False)}
        problems = explain(error, document, Settings)
    folder = document.file.parent.absolute()
    right = Settings.model_fields.keys() - wrong
    return {name: _anchored(_table(name, document.data), folder) for name in right}, problems


def _table(name: str, data: Mapping[str, Any]) -> Any:
    field = Settings.model_fields[name]
    annotation: Any = field.annotation
    return TypeAdapter(annotation).validate_python(data[name]) if name in data else field.get_default()


def _anchored(value: Any, folder: Path) -> Any:
    """`value` with the relative paths in it made to start at `folder`."""
    if isinstance(value, Path):
        return folder / value
    if isinstance(value, BaseModel):
        return value.model_copy(update={name: _anchored(item, folder) for name, item in value})
    return value


def explain(error: ValidationError, document: Document, model: type[BaseModel]) -> list[Problem]:
    """All mistakes that `model` found in the document's data, by key and line. Input is not repeated."""
    found = []
    for mistake in error.errors(include_url=False, include_input=False, include_context=False):
        key = _key(mistake, document.data)
        found.append(document.problem(key, _message(mistake, key, model)))
    return list(dict.fromkeys(found))


def _key(mistake: ErrorDetails, data: Any) -> Key:
    """Where the mistake is in the data, without what pydantic adds for the branches of a union."""
    key: Key = ()
    for part in mistake["loc"]:
        if not _has(data, part):
            return (*key, part) if mistake["type"] == "missing" else key
        key = (*key, part)
        data = data[part]
    return key


def _has(data: Any, part: str | int) -> bool:
    if isinstance(data, dict):
        return part in data
    return isinstance(data, list) and isinstance(part, int) and part < len(data)


def _message(mistake: ErrorDetails, key: Key, model: type[BaseModel]) -> str:
    if mistake["type"] == "extra_forbidden":
        return f"unknown key{did_you_mean(str(key[-1]), _known(model, key[:-1]))}"
    said = mistake["msg"].removeprefix("Value error, ").replace(" after validation", "")
    return _WORDS.get(mistake["type"]) or _SHOULD.sub("must ", said)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """The end of a message about an unknown `word`: the nearest known one, or nothing."""
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=0.5)
    return f"; did you mean {near[0]}?" if near else ""


def _known(model: type[BaseModel], key: Key) -> Iterable[str]:
    """The keys that the table at `key` may have."""
    for part in key:
        field = model.model_fields.get(part) if isinstance(part, str) else None
        if field is not None:  # else the number of a table in a list, or the name of one that has a name of its own
            inner = _model_in(field.annotation)
            if inner is None:
                return ()
            model = inner
    return model.model_fields


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """The table's model in an annotation such as `list[Domain]` or `Policy | None`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next(filter(None, map(_model_in, get_args(annotation))), None)

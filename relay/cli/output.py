"""Text for people and JSON for programs. What outsiders wrote may hold anything: it is cleaned."""

import json
import sys
from collections.abc import Collection, Iterable, Sequence
from typing import Any

import typer

_PIPED_WIDTH = 100_000
"""Columns when nobody looks: one row stays one line."""
_LONGEST_CELL = 60
_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"


def clean(text: str) -> str:
    """`text` without control and format characters, which a terminal would obey."""
    return text if text.isprintable() else "".join(char if char.isprintable() else _REPLACEMENT for char in text)


def print_json(value: object) -> None:
    """`value` as JSON on stdout, in ASCII."""
    typer.echo(json.dumps(value, indent=2))


def print_object(value: dict[str, Any], *, as_json: bool) -> None:
    """One object: a line for each key, or JSON."""
    if as_json:
        print_json(value)
        return
    width = max(map(len, value), default=0)
    for key, item in value.items():
        typer.echo(f"{key:<{width}}  {cell(item)}")


def cell(value: object) -> str:
    """`value` on one clean line: lists by commas, nothing for nothing."""
    if value is None:
        return ""
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return clean(", ".join(value))
    return json.dumps(value)


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST_CELL else text[: _LONGEST_CELL - 1] + "…"


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, keep: Collection[str] = ()) -> None:
    """A table on stdout, a line for a row. Long cells are cut, on a narrow terminal more; those in `keep` never."""
    from rich.console import Console  # noqa: PLC0415 - slow to import, and not needed for JSON
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(Text(column, no_wrap=True), no_wrap=column in keep)
    for row in rows:
        table.add_row(*(Text(_short(cell(value)), no_wrap=True, overflow="ellipsis") for value in row))
    if sys.stdout.isatty():
        Console().print(table)
        return
    console = Console(width=_PIPED_WIDTH, color_system=None)
    with console.capture() as captured:
        console.print(table)
    for line in captured.get().splitlines():
        typer.echo(line.rstrip())


def complaint(error: Exception) -> str | None:
    """What to tell people of an error that is not a mistake in the program; None for one that is."""
    from config.load import ConfigProblems  # noqa: PLC0415
    from relay.control import NotFound, Unusable  # noqa: PLC0415
    from relay.errors import ConfigurationError, SluiceError  # noqa: PLC0415

    if isinstance(error, ConfigProblems | ConfigurationError):
        return clean_lines(str(error))
    if isinstance(error, NotFound | Unusable | SluiceError | OSError):
        return f"sluice: {clean_lines(str(error))}"
    return None


def clean_lines(text: str) -> str:
    """`text` cleaned line by line."""
    return "\n".join(map(clean, text.splitlines()))

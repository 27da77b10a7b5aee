"""The options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

Config = Annotated[
    Path,
    typer.Option(
        "--config", "-c", envvar="SLUICE_CONFIG", metavar="FILE", readable=False, help="The configuration file."
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
Limit = Annotated[int, typer.Option("--limit", "-n", min=1, max=10_000, help="At most so many, newest first.")]
Id = Annotated[str, typer.Argument(metavar="ID", help="The identifier, as a list shows it.")]

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
TenantName = Annotated[str, typer.Argument(metavar="TENANT", help="The tenant's name.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


def confirm(yes: bool, question: str) -> None:
    """Ask the person at the terminal, unless `yes` was given; ends the command when the answer is no."""
    if not yes:
        typer.confirm(question, abort=True)

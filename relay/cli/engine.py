"""sluice engine: new."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="Verdict engines of your own.", no_args_is_help=True)


@app.command()
def new(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What the engine is called, for example early_bird.")],
    into: Annotated[
        Path | None, typer.Option("--into", metavar="FOLDER", help="A new folder; sluice-NAME when not given.")
    ] = None,
) -> None:
    """Write a package of a new engine: the engine, its tests, and what installs it."""
    from relay import control  # noqa: PLC0415

    folder = into or Path(f"sluice-{name.replace('_', '-')}")
    for path in control.engine_new(name, folder):
        typer.echo(f"written: {path}")
    typer.echo(f"next: cd {folder} && pip install '.[test]' && pytest")

"""sluice quarantine: list, show, release and delete."""

import sys
from typing import Annotated

import typer

from relay.cli import output
from relay.cli.options import Config, Id, Json, Limit

app = typer.Typer(help="Mail that is withheld.", no_args_is_help=True)


@app.command("list")
def list_(config: Config, limit: Limit = 50, json: Json = False) -> None:
    """Show what lies in quarantine, newest first."""
    from relay import control  # noqa: PLC0415

    entries = control.quarantine_list(config, limit)
    if json:
        output.print_json(entries)
        return
    columns = ["id", "at", "tenant", "sender", "recipients", "subject", "size", "reason"]
    output.print_table(columns, [[entry[column] for column in columns] for entry in entries], keep={"id", "at"})


@app.command()
def show(
    entry: Id,
    config: Config,
    json: Json = False,
    raw: Annotated[bool, typer.Option("--raw", help="Write the message itself, to a file or a pipe.")] = False,
) -> None:
    """Show one entry: the envelope and the evidence, or the message itself."""
    from relay import control  # noqa: PLC0415

    if not raw:
        output.print_object(control.quarantine_show(config, entry), as_json=json)
        return
    if sys.stdout.isatty():
        raise typer.BadParameter("a withheld message is not for a terminal: redirect it", param_hint="--raw")
    for piece in control.quarantine_message(config, entry):
        sys.stdout.buffer.write(piece)


@app.command()
def release(entry: Id, config: Config) -> None:
    """Hand one entry to its next hop, and tell the replies; it stays until it is deleted or has expired."""
    from relay import control  # noqa: PLC0415

    release = control.quarantine_release(config, entry)
    for recipient, reply in release.replies.items():
        typer.echo(output.clean(f"{recipient}: {reply}"))
    if release.unmarked:
        typer.echo(output.clean(f"sluice: released, but not marked as such: {release.unmarked}"), err=True)
    raise typer.Exit(0 if release.taken else 1)


@app.command()
def delete(entry: Id, config: Config) -> None:
    """Delete one entry for good."""
    from relay import control  # noqa: PLC0415

    control.quarantine_delete(config, entry)
    typer.echo(f"deleted {output.clean(entry)}")

"""sluice ranges: show and update."""

from typing import Annotated, Any

import typer

from relay.cli import output
from relay.cli.options import Config, Json

app = typer.Typer(help="Microsoft's address ranges: who may bring mail.", no_args_is_help=True)

TAKE = "`sluice ranges update --accept` takes it"


@app.command()
def show(config: Config, json: Json = False) -> None:
    """Show the ranges that count, where they are from, and a changed list that is held back."""
    from relay import control  # noqa: PLC0415

    told = control.ranges_show(config)
    if json:
        output.print_json(told)
        return
    if not told["admitted"]:
        typer.echo("admission.microsoft is false: none of these is admitted")
    elif not told["refresh"]:
        typer.echo("admission.refresh is false: only `sluice ranges update` asks Microsoft")
    if told["problem"]:
        typer.echo(f"what was fetched is lost: {output.clean(told['problem'])}")
    for cloud in told["clouds"]:
        _show_cloud(cloud)


def _show_cloud(cloud: dict[str, Any]) -> None:
    typer.echo(f"{cloud['cloud']}: version {cloud['version']}, {cloud['source']}")
    typer.echo(f"  Microsoft was asked: {cloud['asked'] or 'never'}; answered: {cloud['checked'] or 'never'}")
    if cloud["problem"]:
        typer.echo(f"  the last try failed: {output.clean(cloud['problem'])}")
    for network in cloud["networks"]:
        typer.echo(f"  {network['network']:<24}  {network['label']}")
    if held := cloud["held"]:
        typer.echo(f"  held back since {held['since']}: version {held['version']}, as {held['why']}; {TAKE}")
        _show_change(held)


@app.command()
def update(
    config: Config,
    accept: Annotated[
        bool, typer.Option("--accept", help="Take the lists that are held back; Microsoft is not asked.")
    ] = False,
    json: Json = False,
) -> None:
    """Ask Microsoft now, once an hour at most; the status is 1 without an answer, or when a list is held back."""
    from relay import control  # noqa: PLC0415

    outcomes = control.ranges_update(config, accept=accept)
    if json:
        output.print_json(outcomes)
    else:
        for one in outcomes:
            _show_outcome(one)
    raise typer.Exit(1 if any(one["problem"] or one["held"] for one in outcomes) else 0)


def _show_outcome(one: dict[str, Any]) -> None:
    told = {
        "changed": "changed",
        "unchanged": "nothing new",
        "held": "changed too much",
        "failed": "not refreshed",
        "early": f"asked at {one['asked']}, not again",
    }[one["outcome"]]
    typer.echo(f"{one['cloud']}: {told}; version {one['version']} counts")
    if one["problem"]:
        typer.echo(f"  the last try failed: {output.clean(one['problem'])}")
    if one["held"]:
        typer.echo(f"  held back: version {one['held']}, as {one['why']}; {TAKE}")
    if one["outcome"] in ("failed", "early") and one["next"]:
        typer.echo(f"  Microsoft may be asked again at {one['next']}")
    _show_change(one)


def _show_change(change: dict[str, Any]) -> None:
    for sign, kind in (("+", "added"), ("-", "removed")):
        for network in change[kind]:
            typer.echo(f"  {sign} {network}")

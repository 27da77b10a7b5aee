"""The commands at the top (serve, check, doctor, judge, demo), and the groups."""

from pathlib import Path
from typing import Annotated

import typer

from relay import __version__
from relay.cli import doctor, domain, engine, judge, quarantine, ranges, scans, tenant
from relay.cli.options import Config

app = typer.Typer(
    help="An inline SMTP scanning relay for Microsoft 365.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(tenant.app, name="tenant")
app.add_typer(domain.app, name="domain")
app.add_typer(ranges.app, name="ranges")
app.add_typer(scans.app, name="scans")
app.add_typer(quarantine.app, name="quarantine")
app.add_typer(engine.app, name="engine")


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"sluice {__version__}")
        raise typer.Exit


@app.callback()
def root(
    _: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Tell the version and leave.")
    ] = False,
) -> None:
    """An inline SMTP scanning relay for Microsoft 365."""


@app.command()
def serve(config: Config) -> None:
    """Serve mail until SIGTERM; SIGHUP reads configuration, tenants and certificates again."""
    from relay.serve import serve as serve_mail  # noqa: PLC0415

    raise typer.Exit(serve_mail(config))


@app.command()
def check(
    config: Config,
    tenants: Annotated[
        list[Path] | None,
        typer.Argument(metavar="TENANTS.toml", readable=False, help="Tenant files to check as well."),
    ] = None,
) -> None:
    """Tell all mistakes of the configuration, by file, line and key; nothing is changed."""
    from relay import control  # noqa: PLC0415

    report = control.check(config, tenants or [])
    for line in [*report.mistakes, *(f"note: {note}" for note in report.notes)]:
        typer.echo(line)
    count = len(report.mistakes) or "no"
    typer.echo("1 mistake" if count == 1 else f"{count} mistakes")
    raise typer.Exit(1 if report.mistakes else 0)


app.command("judge")(judge.judge)
app.command("doctor")(doctor.doctor)


@app.command()
def demo(
    keep: Annotated[bool, typer.Option("--keep", help="Keep running after the table, until Ctrl-C.")] = False,
) -> None:
    """Start a relay on this machine, send it five messages, and show what came of each."""
    from relay.cli.demo import run  # noqa: PLC0415

    raise typer.Exit(run(keep))

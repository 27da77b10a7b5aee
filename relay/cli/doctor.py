"""sluice doctor: everything that can be checked from here, with what is wrong and what to do."""

from pathlib import Path
from typing import Annotated, Any

import typer

from relay.cli import output
from relay.cli.options import Config, Json


def doctor(
    config: Config,
    tenant: Annotated[
        str | None, typer.Option("--tenant", metavar="NAME", help="Only this tenant, and what its mail depends on.")
    ] = None,
    timeout: Annotated[
        float, typer.Option("--timeout", metavar="SECONDS", min=1, max=3600,
            help="Whatever is not known by then is told to be so.")
    ] = 60.0,
    roots: Annotated[
        Path | None,
        typer.Option(
            "--roots", metavar="FILE", readable=False,
            help="PEM file of the roots that our certificate must lead to; the system's when not given.",
        ),
    ] = None,
    json: Json = False,
) -> None:  # fmt: skip
    """Tell what is wrong with this node and its tenants, and what to do. No mail is sent, and nothing is changed.

    Next hops are opened and left again, engines are asked about a harmless letter. The exit status is 0 when nothing
    failed (warnings are no failures), 1 when something did.
    """
    from relay import control  # noqa: PLC0415

    told = control.doctor(config, tenant=tenant, seconds=timeout, roots=roots)
    if json:
        output.print_json(told)
    else:
        _print(told)
    raise typer.Exit(1 if told["state"] == "failed" else 0)


def _print(told: dict[str, Any]) -> None:
    rows = [(one["state"], one["id"], _whose(one), one) for one in told["results"]]
    widths = [max((len(row[column]) for row in rows), default=0) for column in range(3)]
    for *cells, one in rows:
        start = "  ".join(f"{cell:<{width}}" for cell, width in zip(cells, widths, strict=True))
        typer.echo(f"{start}  {output.cell(one['found'])}")
        if one["remedy"]:
            typer.echo(f"{'':{widths[0]}}  -> {output.cell(one['remedy'])}")
    typer.echo(", ".join(f"{count} {state}" for state, count in told["counts"].items() if count))


def _whose(one: dict[str, Any]) -> str:
    tenant, subject = output.cell(one["tenant"]), output.cell(one["subject"])
    return f"{tenant}: {subject}" if tenant and tenant != subject else subject

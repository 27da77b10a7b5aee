"""sluice scans: list and show."""

from typing import Annotated

import typer

from relay.cli import output
from relay.cli.evidence import print_evidence
from relay.cli.options import Config, Id, Json, Limit

app = typer.Typer(help="Records of the messages that were scanned.", no_args_is_help=True)


@app.command("list")
def list_(
    config: Config,
    limit: Limit = 50,
    tenant: Annotated[str | None, typer.Option("--tenant", metavar="NAME", help="Only this tenant's.")] = None,
    outcome: Annotated[
        str | None, typer.Option("--outcome", metavar="OUTCOME", help="Only these: delivered, quarantined, ...")
    ] = None,
    json: Json = False,
) -> None:
    """Show the latest messages, newest first."""
    from relay import control  # noqa: PLC0415

    scans = control.scans_list(config, limit, tenant=tenant, outcome=outcome)
    if json:
        output.print_json(scans)
        return
    columns = ["id", "at", "tenant", "sender", "recipients", "subject", "size", "outcome", "category", "reply"]
    rows = [[scan[column] for column in columns] for scan in scans]
    output.print_table(columns, rows, keep={"id", "at", "outcome"})


@app.command()
def show(record: Id, config: Config, json: Json = False) -> None:
    """Show all that is remembered of one message: what came of it, and which finding of which engine led there."""
    from relay import control  # noqa: PLC0415

    scan = control.scan_show(config, record)
    if json:
        output.print_json(scan)
    else:
        print_evidence(scan)

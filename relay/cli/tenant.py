"""sluice tenant: apply and list."""

from pathlib import Path
from typing import Annotated

import typer

from relay.cli import output
from relay.cli.options import Config, Json

app = typer.Typer(help="Tenants: who is protected, and where their mail goes on to.", no_args_is_help=True)


@app.command()
def apply(
    file: Annotated[Path, typer.Argument(metavar="TENANTS.toml", readable=False, help="The file with all tenants.")],
    config: Config,
) -> None:
    """Make the stored tenants equal to the file; a file with a mistake changes nothing. Running nodes notice."""
    from relay import control  # noqa: PLC0415

    changes = control.tenant_apply(config, file)
    for kind in ("added", "changed", "removed", "unchanged"):
        for name in getattr(changes, kind):
            typer.echo(f"{kind}: {output.clean(name)}")
    if not any((changes.added, changes.changed, changes.removed, changes.unchanged)):
        typer.echo("no tenants")


@app.command("list")
def list_(config: Config, json: Json = False) -> None:
    """Show the stored tenants; secrets are only counted."""
    from relay import control  # noqa: PLC0415

    tenants = control.tenant_list(config)
    if json:
        output.print_json(tenants)
        return
    rows = [
        (
            tenant["name"],
            domain["name"],
            domain["next_hop"],
            "yes" if domain["verified"] else "no",
            tenant["proof"],
            "observe" if tenant["policy"]["observe"] else "act",
        )
        for tenant in tenants
        for domain in tenant["domain"]
    ]
    output.print_table(["tenant", "domain", "next hop", "verified", "proof", "policy"], rows, keep={"tenant"})

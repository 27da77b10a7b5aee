"""sluice domain: what is protected, and what proves it."""

from typing import Annotated, Any

import typer

from relay.cli import output
from relay.cli.options import Config, Json, TenantName, Yes, confirm

app = typer.Typer(help="Domains: what is protected, and the DNS records that prove it.", no_args_is_help=True)

DomainName = Annotated[str, typer.Argument(metavar="DOMAIN", help="The domain, for example acme.example.")]


@app.command()
def add(
    tenant: TenantName,
    domain: DomainName,
    config: Config,
    next_hop: Annotated[
        str, typer.Option("--next-hop", metavar="HOST", help="Where its mail goes on to: the host of its MX record.")
    ],
    vouch: Annotated[
        bool, typer.Option("--vouch", help="You know that it is the tenant's: no record is asked for.")
    ] = False,
    json: Json = False,
) -> None:
    """Give a tenant a domain, and tell the DNS records that prove it."""
    from relay import control  # noqa: PLC0415

    records = control.domain_add(config, tenant, domain, next_hop, vouched=vouch)
    if json:
        output.print_json(records)
    else:
        print_records(records)


@app.command("list")
def list_(
    config: Config,
    tenant: Annotated[str | None, typer.Option("--tenant", metavar="NAME", help="Only those of this tenant.")] = None,
    json: Json = False,
) -> None:
    """Show the domains, and how far their proof is."""
    from relay import control  # noqa: PLC0415

    domains = control.domain_list(config, tenant)
    if json:
        output.print_json(domains)
        return
    rows = [
        (one["domain"], one["tenant"], one["next_hop"], "yes" if one["protected"] else "no", _proof(one))
        for one in domains
    ]
    output.print_table(["domain", "tenant", "next hop", "protected", "proof"], rows, keep={"domain", "tenant"})


def _proof(domain: dict[str, Any]) -> str:
    states = ", ".join(f"{record['region']} {record['state']}" for record in domain["records"])
    return "vouched for" if domain["vouched"] else states


@app.command("set")
def set_(
    tenant: TenantName,
    domain: DomainName,
    config: Config,
    next_hop: Annotated[
        str | None, typer.Option("--next-hop", metavar="HOST", help="Where its mail goes on to.")
    ] = None,
    vouch: Annotated[
        bool | None,
        typer.Option("--vouch/--no-vouch", help="Whether no record is asked for."),
    ] = None,
) -> None:
    """Change a domain. Running nodes take it over within seconds."""
    from relay import control  # noqa: PLC0415

    control.domain_set(config, tenant, domain, next_hop=next_hop, vouched=vouch)
    typer.echo(f"changed: {output.clean(domain)}")


@app.command()
def remove(tenant: TenantName, domain: DomainName, config: Config, yes: Yes = False) -> None:
    """Take a domain from a tenant: mail for it is refused from then on."""
    from relay import control  # noqa: PLC0415

    confirm(yes, f"Mail for {domain} will be refused. Remove it?")
    control.domain_remove(config, tenant, domain)
    typer.echo(f"removed: {output.clean(domain)}")


def print_records(records: list[dict[str, Any]]) -> None:
    """The TXT records that DNS should have, each as one copies it."""
    for record in records:
        typer.echo(f"{record['region']}: {record['state']}")
        typer.echo(f"  name   {output.clean(record['name'])}")
        typer.echo("  type   TXT")
        typer.echo(f"  value  {output.clean(record['value'])}")

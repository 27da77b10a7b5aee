"""sluice domain: what is protected, and what proves it."""

from typing import Annotated, Any

import typer

from relay.cli import output
from relay.cli.options import Config, Json, TenantName, Yes, confirm

app = typer.Typer(help="Domains: what is protected, and the DNS records that prove it.", no_args_is_help=True)

DomainName = Annotated[str, typer.Argument(metavar="DOMAIN", help="The domain, for example acme.example.")]

_SEEN = {"yes": "yes", "no": "no", "unknown": "nobody can tell"}


@app.command()
def add(
    tenant: TenantName,
    domain: DomainName,
    config: Config,
    next_hop: Annotated[
        str | None,
        typer.Option("--next-hop", metavar="HOST", help="Where its mail goes on to; by its MX records if not given."),
    ] = None,
    vouch: Annotated[
        bool, typer.Option("--vouch", help="You know that it is the tenant's: no record is asked for.")
    ] = False,
    json: Json = False,
) -> None:
    """Give a tenant a domain, and tell the DNS records that prove it."""
    from relay import control  # noqa: PLC0415

    added = control.domain_add(config, tenant, domain, next_hop, vouched=vouch)
    if json:
        output.print_json(added)
    else:
        _print_added(added)


def _print_added(added: dict[str, Any]) -> None:
    name = added["domain"]
    typer.echo(output.clean(f"{name}: its mail goes on to {added['next_hop']}"))
    _print_records(added["records"])
    if added["records"]:
        typer.echo(f"next: publish that in the DNS of {name}, then sluice domain verify '{added['tenant']}' {name}")


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

    if next_hop is None and vouch is None:
        raise typer.BadParameter("tell what to change: --next-hop, --vouch or --no-vouch")
    told = control.domain_set(config, tenant, domain, next_hop=next_hop, vouched=vouch)
    typer.echo(f"changed: {output.clean(domain)}")
    if not told["protected"]:
        typer.echo("no mail is relayed for it until the DNS has its record")
        _print_records(told["records"])


@app.command()
def remove(tenant: TenantName, domain: DomainName, config: Config, yes: Yes = False) -> None:
    """Take a domain from a tenant: mail for it is refused from then on."""
    from relay import control  # noqa: PLC0415

    confirm(yes, f"Mail for {domain} will be refused. Remove it?")
    control.domain_remove(config, tenant, domain)
    typer.echo(f"removed: {output.clean(domain)}")


@app.command("find-smtp")
def find_smtp(
    domain: DomainName,
    config: Config,
    next_hop: Annotated[
        str | None, typer.Option("--next-hop", metavar="HOST", help="Look whether this host would do instead.")
    ] = None,
    json: Json = False,
) -> None:
    """Find the host that takes a domain's mail, by its MX records. The status is 0 only when it can be the next hop."""
    from relay import control  # noqa: PLC0415

    found = control.host_judge(config, next_hop) if next_hop else control.domain_find_smtp(config, domain)
    if json:
        output.print_json(found)
    else:
        _print_found(next_hop or found["domain"], found)
    raise typer.Exit(0 if found["usable"] else 1)


def _print_found(what: str, found: dict[str, Any]) -> None:
    typer.echo(output.clean(f"{what}: {found['outcome']}"))
    for text in (found["explanation"], found["next_step"]):
        typer.echo(f"  {output.clean(text)}")
    rows = [
        (host["preference"], host["name"] or ".", host["kind"], host["what"], ", ".join(host["addresses"]))
        for host in found["hosts"]
    ]
    if rows:
        typer.echo()
        output.print_table(["preference", "host", "is", "which is", "addresses"], rows, keep={"host"})


@app.command()
def verify(
    words: Annotated[
        list[str], typer.Argument(metavar="[TENANT] DOMAIN", help="The domain, and whose it is if you like.")
    ],
    config: Config,
    json: Json = False,
) -> None:
    """Look for a domain's records now. The status is 0 only when they prove it, all of them.

    The running service looks by itself: every five minutes for a new domain, and daily from then on.
    """
    from relay import control  # noqa: PLC0415

    if len(words) > 2:
        raise typer.BadParameter("one tenant and one domain at most")
    told = control.domain_verify(config, words[-1], words[0] if len(words) == 2 else None)
    if json:
        output.print_json(told)
    else:
        _print_verified(told)
    raise typer.Exit(0 if told["proven"] else 1)


def _print_verified(told: dict[str, Any]) -> None:
    how = "vouched for, no record is asked for" if told["vouched"] else "proven" if told["proven"] else "not proven"
    kept = "its mail is relayed" if told["protected"] else "no mail is relayed for it"
    typer.echo(output.clean(f"{told['domain']} ({told['tenant']}): {how}; {kept}"))
    for record in told["records"]:
        _print_records([record])
        typer.echo(f"  found  {_SEEN[record['seen']]}")
        for server in record["servers"]:
            said = f"{server['said']} ({server['records']})" if server["records"] else server["said"]
            typer.echo(output.clean(f"         {server['server']}: {said}"))
        if record["problem"]:
            typer.echo(f"  note   {output.clean(record['problem'])}")


def _print_records(records: list[dict[str, Any]]) -> None:
    """The TXT records that DNS should have, each as one copies it."""
    for record in records:
        typer.echo(f"{record['region']}: {record['state']}")
        typer.echo(f"  name   {output.clean(record['name'])}")
        typer.echo("  type   TXT")
        typer.echo(f"  value  {output.clean(record['value'])}")

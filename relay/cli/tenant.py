"""sluice tenant: who is protected."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from relay.cli import output
from relay.cli.options import Config, Json, TenantName, Yes, confirm

if TYPE_CHECKING:
    from relay.control import Handout

app = typer.Typer(help="Tenants: who is protected, and where their mail goes on to.", no_args_is_help=True)


_NO_DOMAIN = {"name": "(none)", "next_hop": "", "protected": False}


@app.command()
def add(
    name: TenantName,
    config: Config,
    environment: Annotated[
        str, typer.Option("--environment", metavar="NAME", help="Which environment its mail is sent to.")
    ] = "",
    multi_region: Annotated[
        bool, typer.Option("--multi-region", help="The environment's second region serves it as well.")
    ] = False,
    contact: Annotated[
        list[str] | None,
        typer.Option(
            "--contact", metavar="ADDRESS", help="Who is told when something has to be done; may be repeated."
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Store a new tenant, with a random loop value that nobody needs to know."""
    from relay import control  # noqa: PLC0415

    values = {"environment": environment, "multi_region": multi_region, "contacts": contact or []}
    _print(control.tenant_add(config, name, values), as_json=json)
    if not json:
        typer.echo(f"next: sluice domain add '{name}' DOMAIN")


@app.command()
def show(name: TenantName, config: Config, json: Json = False) -> None:
    """Show one tenant: its values, its domains and how far their proof is, its rotation."""
    from relay import control  # noqa: PLC0415

    _print(control.tenant_show(config, name), as_json=json)


@app.command("set")
def set_(
    name: TenantName,
    pairs: Annotated[
        list[str],
        typer.Argument(
            metavar="KEY=VALUE...",
            help="What to set, as in the tenant file: environment=eu, policy.spam=quarantine, contacts=a@x.example,b@x."
            "example; nothing behind the = for the default.",
        ),
    ],
    config: Config,
    json: Json = False,
) -> None:
    """Set values of a tenant. Running nodes take them over within seconds."""
    from relay import control  # noqa: PLC0415

    split = [pair.partition("=") for pair in pairs]
    if not all(equals for _, equals, _ in split):
        raise typer.BadParameter("must be KEY=VALUE")
    _print(control.tenant_set(config, name, {key: value for key, _, value in split}), as_json=json)


@app.command()
def remove(name: TenantName, config: Config, yes: Yes = False) -> None:
    """Forget a tenant: mail for its domains is refused from then on. Undo its Exchange Online first."""
    from relay import control  # noqa: PLC0415

    confirm(yes, f"Mail for the domains of {name} will be refused. Remove it?")
    control.tenant_remove(config, name)
    typer.echo(f"removed: {output.clean(name)}")


@app.command()
def rotate(
    name: TenantName,
    config: Config,
    end: Annotated[bool, typer.Option("--end", help="Take the old value away.")] = False,
    force: Annotated[bool, typer.Option("--force", help="With --end: although it may still be in use.")] = False,
    json: Json = False,
) -> None:
    """Give a tenant a new loop value beside its old one; both are valid until the old one is ended or unused."""
    from relay import control  # noqa: PLC0415

    if force and not end:
        raise typer.BadParameter("--force goes with --end")
    shown = control.tenant_rotate_end(config, name, force=force) if end else control.tenant_rotate(config, name)
    _print(shown, as_json=json)
    if not json:
        how = "run it: its rules forget the old value" if end else "run it with -Rotate: its rules take the new value"
        typer.echo(f"next: sluice tenant script '{name}', and {how}")


@app.command()
def script(name: TenantName, config: Config) -> None:
    """Write the PowerShell script that sets up the tenant's Exchange Online. It has the tenant's loop value."""
    from relay import control  # noqa: PLC0415

    _hand_out(control.tenant_script(config, name))


@app.command()
def guide(
    name: TenantName,
    config: Config,
    as_in_article: Annotated[
        bool, typer.Option("--as-in-article", help="The plain form of the onboarding article, not the hardened one.")
    ] = False,
) -> None:
    """Write how to set up the tenant's Exchange Online by hand, as Markdown. It has the tenant's loop value."""
    from relay import control  # noqa: PLC0415

    _hand_out(control.tenant_guide(config, name, as_in_article=as_in_article))


def _hand_out(handout: "Handout") -> None:
    """The text on stdout, which one keeps; what to know about it on stderr."""
    typer.echo(handout.text, nl=False)
    for note in handout.notes:
        typer.echo(f"note: {output.clean(note)}", err=True)


@app.command()
def notices(
    name: TenantName,
    config: Config,
    test: Annotated[
        bool, typer.Option("--test", help="Send a test notice now, by every way, and tell how it went.")
    ] = False,
    json: Json = False,
) -> None:
    """Show what a tenant was told, and how many messages have been counted since; or test the ways to it."""
    from relay import control  # noqa: PLC0415

    rows = control.tenant_notice_test(config, name) if test else control.tenant_notices(config, name)
    columns = ["way", "kind", "subject", "sent", "held"]
    if json:
        output.print_json(rows)
    elif test:
        typer.echo("\n".join(output.clean(f"{row['way']}: {row['result']}: {row['detail']}") for row in rows))
    elif rows:
        output.print_table(columns, [[row[column] for column in columns] for row in rows])
    else:
        typer.echo("nothing was told yet")
    if test and any(row["result"] != "sent" for row in rows):
        raise typer.Exit(1)


def _print(shown: dict[str, Any], *, as_json: bool) -> None:
    """One tenant; a line for each value that it has, under the name by which it is set, and for each domain."""
    if as_json:
        output.print_json(shown)
        return
    values = {key: value for key, value in shown.items() if key not in ("domain", "records", "person", "list")}
    counts = {"people": len(shown["person"]), "list entries": len(shown["list"])}
    output.print_object(dict(_flat(values)) | counts, as_json=False)
    for domain in shown["domain"]:
        states = [f"{one['region']} {one['state']}" for one in shown["records"] if one["domain"] == domain["name"]]
        proof = "vouched for" if domain["verified"] else ", ".join(states)
        typer.echo(f"domain  {output.clean(domain['name'])}  to {output.clean(domain['next_hop'])}  {proof}")


def _flat(values: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The values of tables within tables by their dotted names; what is not set has no line."""
    for key, value in values.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}.")
        elif value not in (None, "", []):
            yield prefix + key, value


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
    for domain in changes.suspended:
        typer.echo(f"not protected any more: {output.clean(domain)}: no mail is relayed until the DNS has its record")


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
            "yes" if domain["protected"] else "no",
            tenant["proof"],
            "observe" if tenant["policy"]["observe"] else "act",
        )
        for tenant in tenants
        for domain in tenant["domain"] or [_NO_DOMAIN]
    ]
    output.print_table(["tenant", "domain", "next hop", "protected", "proof", "policy"], rows, keep={"tenant"})

"""sluice judge: what the engines and the policy would say of a message in a file."""

import ipaddress
import sys
from pathlib import Path
from typing import Annotated

import typer

from relay.cli import output
from relay.cli.evidence import print_evidence
from relay.cli.options import Json

STATUSES = {"clean": 0, "suspicious": 11, "spam": 12, "malicious": 13, "unscanned": 20}
"""The exit status by category: what the `command` engine takes for an answer, so that it can ask another Sluice."""


def _address(value: str | None) -> str | None:
    if value is None:
        return None
    try:
        return str(ipaddress.ip_address(value))
    except ValueError:
        raise typer.BadParameter("must be an IP address") from None


def judge(
    file: Annotated[Path, typer.Argument(metavar="FILE.eml", readable=False, help="The message; - for stdin.")],
    config: Annotated[
        Path | None,
        typer.Option(
            "--config", "-c", envvar="SLUICE_CONFIG", metavar="FILE", readable=False,
            help="The configuration file; without it the default engines judge.",
        ),
    ] = None,
    tenant: Annotated[
        str | None, typer.Option("--tenant", metavar="NAME", help="Whose policy decides; else the default one.")
    ] = None,
    sender: Annotated[
        str | None,
        typer.Option("--sender", metavar="ADDRESS", help="The envelope's sender; else Return-Path's or From's."),
    ] = None,
    recipient: Annotated[
        list[str] | None,
        typer.Option("--recipient", metavar="ADDRESS", help="The envelope's recipients; else those of the header."),
    ] = None,
    peer: Annotated[
        str | None,
        typer.Option("--peer", metavar="IP", callback=_address, help="Who handed it to Microsoft; else as it says."),
    ] = None,
    json: Json = False,
) -> None:  # fmt: skip
    """Tell what the engines and the policy say of a message in a file. Nothing is sent, kept or changed.

    The exit status tells the category: 0 clean, 11 suspicious, 12 spam, 13 malicious, 20 unscanned; 1 is an error.
    """
    from relay import control  # noqa: PLC0415

    content = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
    told = control.judge(config, content, tenant=tenant, sender=sender, recipients=recipient or (), peer=peer)
    if json:
        output.print_json(told)
    else:
        print_evidence({"rule": told["rule"]} | told)  # the first line is the detail that the `command` engine tells
    raise typer.Exit(STATUSES.get(told["category"], 1))

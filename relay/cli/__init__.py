"""The command line: arguments in, relay.control called, text out. Heavy imports wait until a command needs them."""

import sys


def main() -> None:
    """The program `sluice`. Leaves with 0, with 1 when something is wrong, with 2 when it was called wrongly."""
    import typer  # noqa: PLC0415

    from relay.cli.app import app  # noqa: PLC0415
    from relay.cli.output import complaint  # noqa: PLC0415

    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]  # a terminal may not know a character
    try:
        app()
    except Exception as error:
        message = complaint(error)
        if message is None:
            raise
        typer.echo(message, err=True)
        sys.exit(1)

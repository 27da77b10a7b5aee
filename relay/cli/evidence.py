"""A judged message for people: what was decided and why, what each engine said, and how long all of it took."""

from collections.abc import Iterator, Mapping
from typing import Any

import typer

from relay.cli import output

_TABLES = ("verdicts", "seconds", "explanation", "notes")
_SEVERITIES = ("note", "suspicious", "spam", "malicious")
_COLUMNS = ("engine", "outcome", "seconds", "finding", "severity", "weight", "counts", "detail")


def print_evidence(record: Mapping[str, Any]) -> None:
    """The facts of `record` (of `control.scan_show` or `control.judge`) by lines, the verdicts as a table."""
    output.print_object({key: value for key, value in record.items() if key not in _TABLES}, as_json=False)
    for line in _decision(record):
        typer.echo(line)
    if record["verdicts"]:
        typer.echo("")
        output.print_table(_COLUMNS, list(_rows(record)), keep={"engine", "outcome", "finding"})
    if record["seconds"]:
        typer.echo("")
        output.print_table(["stage", "seconds"], [[name, _number(value)] for name, value in record["seconds"].items()])
    for note in record.get("notes", ()):
        typer.echo(output.clean(f"note: {note}"))


def _decision(record: Mapping[str, Any]) -> Iterator[str]:
    """What led to the decision, in a few lines; nothing for a message that was not judged."""
    explained = record["explanation"]
    if not record["rule"]:
        return
    yield ""
    taken = f"{record['action']} (observing; else {record['would']})" if record["would"] else record["action"]
    yield output.clean(f"decision: {taken}, because {record['rule']}")
    whose = f"of tenant {explained['tenant']}" if explained["tenant"] else "of the default policy"
    if explained["settings"]:
        yield output.clean(f"settings: {', '.join(explained['settings'])} {whose}")


def _rows(record: Mapping[str, Any]) -> Iterator[list[object]]:
    """A row for each finding, the decisive and the worst ones of an engine first; one for an engine without any."""
    from relay.evidence import weight_of  # noqa: PLC0415

    decisive = {(one["engine"], one["finding"]) for one in record["explanation"]["because"]}
    for verdict in record["verdicts"]:
        begin = [verdict["engine"], verdict["outcome"], _number(verdict["seconds"])]
        silent = (verdict["engine"], "") in decisive
        if silent or not verdict["findings"]:
            yield [*begin, "", "", "", _counts(verdict, silent), verdict["reason"]]
            begin = ["", "", ""]
        rows = [
            ((verdict["engine"], finding["name"]) in decisive, _SEVERITIES.index(finding["severity"]), finding)
            for finding in verdict["findings"]
        ]
        for led, _, finding in sorted(rows, key=lambda row: row[:2], reverse=True):
            weight = _number(weight_of(finding, verdict))
            told = [finding["name"], finding["severity"], weight, _counts(verdict, led), finding["detail"]]
            yield [*begin, *told]
            begin = ["", "", ""]


def _counts(verdict: Mapping[str, Any], led: bool) -> str:
    """What it did to the decision."""
    if led:
        return "led to it"
    handling = verdict.get("handling", "counts")
    if handling in ("shadow", "ignored"):
        return f"no: {handling}"
    return "no" if verdict["outcome"] == "skipped" else "yes"


def _number(value: float) -> str:
    return f"{value:.6g}"

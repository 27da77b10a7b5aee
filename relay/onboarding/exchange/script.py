"""The plan as a PowerShell script: data in single-quoted literals, and an engine that is the same for every tenant.

Literals and not an encoded lump, since whoever runs the script should be able to read it. Nothing of a tenant's stands
anywhere but in such a literal, also not in a comment. The script is pure ASCII: Windows PowerShell 5.1 reads a file
without byte order mark in the machine's code page, in which other characters may become quotes.
"""

import re
import unicodedata
from collections.abc import Iterable, Mapping
from importlib import resources

from relay.errors import Unusable
from relay.onboarding.exchange.plan import Form, Kind, Plan, Property, Step

_PARTS = ("values", "objects", "entries", "ways", "run")
_READS: Mapping[str, tuple[Mapping[str, object], ...]] = {
    # https://learn.microsoft.com/powershell/module/exchangepowershell/get-outboundconnector: without parameters those
    # that belong to rules or are in test mode are left out.
    "OutboundConnector": tuple(
        {"IsTransportRuleScoped": scoped, "IncludeTestModeConnectors": test}
        for scoped in (True, False)
        for test in (False, True)
    ),
    "TransportRule": ({"ResultSize": "Unlimited"},),
}
_RUNS = re.compile(r"[ -~]+|[^ -~]+")


def script(hardened: Plan, article: Plan) -> str:
    """The whole script, for both variants. Raises Unusable when a value has characters that cannot be written."""
    parts = [_part("head"), _plan(hardened, article), *map(_part, _PARTS)]
    return "\n".join(parts)


def _part(name: str) -> str:
    return resources.files("relay.onboarding.exchange").joinpath(f"engine/{name}.ps1").read_text(encoding="ascii")


def _plan(hardened: Plan, article: Plan) -> str:
    lines = [
        "#region plan",
        *_assigned("Tenant", hardened.tenant),
        *_assigned("Organisation", hardened.organisation),
        *_assigned("Mark", hardened.mark),
        *_assigned("Secrets", hardened.secrets),
        *_assigned("Notes", hardened.notes),
        *_assigned("Hardened", [_step(step) for step in hardened.steps]),
        *_assigned("AsArticle", [_step(step) for step in article.steps]),
        "#endregion",
        "",
    ]
    return "\n".join(lines)


def _assigned(name: str, value: object) -> Iterable[str]:
    first, *others = _lines(value)
    return (f"${name} = {first}", *others)


def _step(step: Step) -> Mapping[str, object]:
    """What the engine reads of a step; what is missing there is nothing, or no."""
    told = {
        "Id": step.id,
        "Title": step.title,
        "Kind": step.kind.value,
        "Noun": step.noun,
        "Name": step.name,
        "Mark": step.mark if step.kind in (Kind.CONNECTOR, Kind.RULE) else "",
        "Absent": step.absent,
        "Rotates": step.rotates,
        "Redirects": step.redirects,
        "Needs": step.needs,
        "Hint": step.hint,
        "Reads": _READS.get(step.noun, ()),
        "Properties": [_property(one) for one in step.properties],
    }
    place = {} if step.place is None else {"Place": step.place}
    return {key: value for key, value in told.items() if value} | place


def _property(one: Property) -> Mapping[str, object]:
    told: dict[str, object] = {"Name": one.name, "Form": one.form.value, "Value": one.value}
    if one.form is Form.SIZE and isinstance(one.value, int):
        told |= {"Value": f"{one.value}KB", "Bytes": str(one.value * 1024)}
    return told


def _lines(value: object) -> list[str]:
    """A value as PowerShell writes it, line by line."""
    if isinstance(value, Mapping):
        return _table(value)
    if not isinstance(value, list | tuple):
        return [_word(value)]
    if all(isinstance(item, str) for item in value):
        return [f"@({', '.join(map(literal, value))})"]
    return ["@(", *(f"    {line}" for item in value for line in _lines(item)), ")"]


def _word(value: object) -> str:
    if isinstance(value, str):
        return literal(value)
    if value is None:
        return "$null"
    return f"${value}".lower() if isinstance(value, bool) else str(value)


def _table(table: Mapping[str, object]) -> list[str]:
    entries = [(name, _lines(value)) for name, value in table.items()]
    if all(len(lines) == 1 for _, lines in entries) and len(entries) < 5:
        inside = "; ".join(f"{name} = {lines[0]}" for name, lines in entries)
        return [f"@{{ {inside} }}" if inside else "@{}"]
    told = []
    for name, (first, *others) in entries:
        told += [f"    {name} = {first}", *(f"    {line}" for line in others)]
    return ["@{", *told, "}"]


def literal(text: str) -> str:
    """A text as a single-quoted literal: nothing in it is expanded, and a quote is written twice.

    PowerShell takes U+2018 to U+201B for single quotes too; like all that is not ASCII they are written by their
    numbers. Raises Unusable for control characters, which no name and no value has.
    """
    if any(unicodedata.category(char) in ("Cc", "Cs") for char in text):
        raise Unusable(f"a value has control characters: {text[:50]!a}")
    first, *others = _RUNS.findall(text) or [""]
    pieces = [_quoted(first)] if first.isascii() else ["''", *_numbers(first)]
    for run in others:
        pieces += [_quoted(run)] if run.isascii() else _numbers(run)
    return pieces[0] if len(pieces) == 1 else f"({' + '.join(pieces)})"


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _numbers(text: str) -> Iterable[str]:
    """Each UTF-16 unit of a text as a character."""
    units = text.encode("utf-16-be")
    return [f"[char]0x{units[at : at + 2].hex()}" for at in range(0, len(units), 2)]

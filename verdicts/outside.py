"""What a program of the operator's is told of a message, and what it may answer: for `command` and `webhook`.

Whatever a stranger wrote comes without characters that cannot be printed (NUL and line ends among them) and is cut.
"""

from collections.abc import Iterator
from itertools import islice
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from verdicts.contract import Finding, Severity, Unscanned
from verdicts.mail import Mail

ANSWER_BYTES = 256_000
"""The longest answer that is read."""
_FACT_CHARACTERS = 1_000
_ADDRESS_CHARACTERS = 320  # RFC 5321 section 4.5.3.1: 64 and "@" and 255


class Told(BaseModel):
    """One finding in an answer."""

    model_config = ConfigDict(extra="forbid", strict=True)

    name: Annotated[str, Field(pattern="^[!-~]{1,100}$")]
    """A stable identifier: printable ASCII without spaces."""
    severity: Literal["note", "suspicious", "spam", "malicious"]
    weight: Annotated[float, Field(ge=-1000, le=1000, allow_inf_nan=False)] = 0.0
    """Added up over all engines and held against the tenant's thresholds."""
    detail: Annotated[str, Field(max_length=500)] = ""
    """For people; no secrets."""


class Answer(BaseModel):
    """A whole answer. `findings` has no default and unknown keys are mistakes, lest a misspelt word reads "clean"."""

    model_config = ConfigDict(extra="forbid", strict=True)

    findings: Annotated[list[Told], Field(max_length=500)]
    """Empty means: looked at everything, saw nothing."""
    unscanned: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    """Why not all of the message could be looked at."""


def answer_schema() -> dict[str, Any]:
    """The JSON schema of an answer, without our words on it."""
    schema: dict[str, Any] = _plain(Answer.model_json_schema())
    return schema


def findings_of(answer: bytes) -> list[Finding]:
    """The findings in an answer. Raises ValueError when it is none, Unscanned (with the findings) when it says so."""
    try:
        read = Answer.model_validate_json(answer)
    except ValidationError as error:
        raise ValueError(f"the answer makes no sense: {_first(error)}") from None
    findings = [_finding(told) for told in read.findings]
    if read.unscanned is not None:
        raise Unscanned(clean(read.unscanned) or "no reason given", findings)
    return findings


def facts(mail: Mail) -> dict[str, str | int]:
    """Who sent the message, by Microsoft's evidence where it is about the connection, and how large it is, in bytes."""
    origin = mail.origin
    told = {
        "id": mail.session.id,
        "tenant": mail.tenant,
        "sender": mail.envelope.sender,
        "origin_address": origin.address,
        "origin_name": origin.ptr,
        "helo": origin.helo,
    }
    return {**{name: clean(value or "") for name, value in told.items()}, "size": mail.content.size}


def recipients(mail: Mail, most: int) -> Iterator[str]:
    """The addresses of the first `most` recipients."""
    return (clean(recipient.address)[:_ADDRESS_CHARACTERS] for recipient in islice(mail.envelope.recipients, most))


def clean(text: str) -> str:
    """What may stand anywhere: printable, and of limited length."""
    return "".join(filter(str.isprintable, text[:_FACT_CHARACTERS]))


def _finding(told: Told) -> Finding:
    return Finding(told.name, Severity[told.severity.upper()], told.weight, clean(" ".join(told.detail.split())))


def _first(error: ValidationError) -> str:
    """The first mistake and its place; not the value, which may be anything."""
    mistake = error.errors(include_url=False, include_context=False, include_input=False)[0]
    return clean(f"{'.'.join(map(str, mistake['loc'])) or 'answer'}: {mistake['msg']}"[:200])


def _plain(schema: Any) -> Any:
    if isinstance(schema, dict):
        return {key: _plain(value) for key, value in schema.items() if key not in ("title", "description")}
    return [_plain(value) for value in schema] if isinstance(schema, list) else schema

"""Authentication-Results fields (RFC 8601), and what Microsoft's own one says: how a message was when it arrived there.

Source: Microsoft's page "Anti-spam message headers in Microsoft 365". Exchange Online renames the fields of that name
that a message brings along, so that the topmost one is its own.
"""

import re
from typing import NamedTuple

from verdicts.fields import Fields

_MAX_CHARACTERS = 8_192
_COMMENT = re.compile(r"\([^()]*+\)")
_STATEMENT = re.compile(r"\s*+([a-z-]++)\s*+=\s*+([a-z]++)(.*)", re.IGNORECASE | re.DOTALL)
_PROPERTY = re.compile(r"(header\.(?:d|from))\s*+=\s*+([^\s;]++)", re.IGNORECASE)


class Statement(NamedTuple):
    """One result."""

    method: str
    """"spf", "dkim", ..., in lower case."""
    result: str
    """In lower case."""
    rest: str
    """The properties."""


class Microsoft(NamedTuple):
    """Microsoft's results, words of RFC 8601; empty is what it does not say, or says in two ways."""

    spf: str = ""
    dmarc: str = ""
    compauth: str = ""
    """Composite authentication: "pass", "fail", "softpass" or "none"."""
    signers: tuple[str, ...] = ()
    """The domains whose DKIM signatures it saw pass, in lower case."""


def statements(text: str) -> list[Statement]:
    """The results in a field, comments left out."""
    found = map(_STATEMENT.match, _COMMENT.sub(" ", text[:_MAX_CHARACTERS]).split(";"))
    return [Statement(one[1].lower(), one[2].lower(), one[3]) for one in found if one]


def only(found: list[Statement], method: str) -> str:
    """The result of `method`; empty when there is none, or more than one."""
    results = {one.result for one in found if one.method == method}
    return results.pop() if len(results) == 1 else ""


def passed_author(text: str) -> str:
    """The author's domain for which a field says that DMARC passed; empty when it does not, or not only."""
    found = statements(text)
    if only(found, "dmarc") != "pass":
        return ""
    return next((_property(one, "header.from") for one in found if one.method == "dmarc"), "")


def microsoft_of(fields: Fields) -> Microsoft:
    """By the topmost field, if it has the result "compauth", which nobody else gives.

    Whether it is Microsoft's is for the caller to know (`Mail.proven`): anybody can write these fields.
    """
    found = statements(fields.text("Authentication-Results"))
    composite = only(found, "compauth")
    if not composite:
        return Microsoft()
    signed = (_property(one, "header.d") for one in found if (one.method, one.result) == ("dkim", "pass"))
    return Microsoft(only(found, "spf"), only(found, "dmarc"), composite, tuple(filter(None, signed)))


def _property(statement: Statement, name: str) -> str:
    """A property's value in lower case; empty when it is not given."""
    found = {one[1].lower(): one[2].lower() for one in _PROPERTY.finditer(statement.rest)}
    return found.get(name, "")

"""Authentication-Results: ours written, and those taken off that claim to be ours (RFC 8601)."""

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from verdicts.fields import Fields

if TYPE_CHECKING:  # it needs what is installed with the extra "engines" only
    from verdicts.identity.authentication import Authentication

NAME = "Authentication-Results"

_MOST_FIELDS = 30  # an honest message has one of each administration that it passed
_MOST_BYTES = 500  # before the first result
_MOST_SIGNATURES = 5
_COMMENT = rb"\([^()\\]*+\)"  # readers disagree on where one ends that has a comment or a backslash in it
_QUOTED = rb'"(?:[^"\\]|\\.)*+"'
_BEFORE_RESULTS = re.compile(rb'(?:[^\\()";=]++|' + _COMMENT + rb"|" + _QUOTED + rb")*+(?=[;=]|\Z)", re.DOTALL)
_COMMENT_OR_QUOTED = re.compile(rb"(" + _QUOTED + rb")|" + _COMMENT, re.DOTALL)
_BETWEEN_WORDS = re.compile(rb"[^a-z0-9._-]+")
_SAFE = re.compile(r"[A-Za-z0-9._-]{1,253}")


def claiming(fields: Fields, authserv_id: str) -> list[tuple[int, int]]:
    """Where the fields lie that `claims` finds (RFC 8601 section 5); all of them where there are more than 30."""
    if fields.more_than(_MOST_FIELDS, NAME):
        return list(fields.spans(NAME))
    return [(field.start, field.end) for field in fields.each(NAME) if claims(field.value, authserv_id)]


def claims(value: bytes, authserv_id: str) -> bool:
    """Whether a field of this value could be read as one of ours, by a reader however lenient.

    So it is when the identifier stands anywhere before the first result, quoted or broken up by comments or not, in any
    case; and when readers could disagree on what stands there, as beyond ASCII, where characters count as others.
    """
    before = _BEFORE_RESULTS.match(value, 0, _MOST_BYTES + 1)
    if before is None or before.end() > _MOST_BYTES:
        return True
    text = _uncommented(before[0])
    if not text.isascii():
        return True
    ours = authserv_id.lower().strip(".").encode("ascii")
    joined = b"".join(text.replace(b'"', b"").split())
    if joined.startswith(ours) and joined[len(ours) :].strip(b".0123456789") == b"":  # a version may follow
        return True
    return any(word.strip(b".") == ours for word in _BETWEEN_WORDS.split(text))


def _uncommented(value: bytes) -> bytes:
    """`value` in lower case with a space for each comment, and without backslashes."""
    return _COMMENT_OR_QUOTED.sub(rb"\1 ", value).replace(b"\\", b"").lower()


def payload(authserv_id: str, found: "Authentication") -> str:
    """What was found, folded, as it stands in Authentication-Results and in ARC-Authentication-Results."""
    return ";\r\n\t".join([authserv_id, *_results(found)])


def field(text: str) -> bytes:
    """The whole Authentication-Results field around a payload."""
    return f"{NAME}: {text}\r\n".encode("ascii")


def _results(found: "Authentication") -> Iterator[str]:
    """RFC 8601 section 2.7.1 (DKIM) and 2.7.2 (SPF), RFC 7489 section 11.1 (DMARC), RFC 8617 section 10.1 (ARC)."""
    spf, dmarc = found.spf, found.dmarc
    yield f"spf={spf.result}{_property('smtp.helo' if spf.scope == 'helo' else 'smtp.mailfrom', spf.domain)}"
    for signature in found.dkim[:_MOST_SIGNATURES]:
        key = _property("header.d", signature.domain) + _property("header.s", signature.selector)
        yield f"dkim={signature.result}{key}"
    if not found.dkim:
        yield "dkim=none"
    yield f"dmarc={dmarc.result}{_property('header.from', dmarc.domain)}"
    yield f"arc={found.arc.result}"


def _property(name: str, value: str) -> str:
    """Left out where an outsider's value is more than a plain name: nothing of it may be read as a result."""
    return f" {name}={value}" if _SAFE.fullmatch(value) else ""

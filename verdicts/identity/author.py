"""The author of a message: the domain in From, which is the one that people see (RFC 5322 section 3.6.2)."""

import re
from typing import NamedTuple

from verdicts.domains import a_label
from verdicts.fields import Fields

_MAX_FROM = 8_192  # bytes of a From field; an honest one has under a hundred
_MAX_ADDRESSES = 20
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*+"?+', re.DOTALL)
_COMMENT = re.compile(r"\((?:[^()\\]|\\.)*+\)", re.DOTALL)
_ANGLED = re.compile(r"<([^<>]*+)>")
_GROUP = re.compile(r"[^:;,<>@]*+:([^;]*+);?")
_LOCAL = re.compile(r'[^\s@()<>\[\],:;"\\\x00-\x1f]+')  # more would be what readers take for a second address
_DOMAIN = re.compile(r"[a-z0-9_-]+(?:\.[a-z0-9_-]+)*")


class Author(NamedTuple):
    """Whom From names."""

    domain: str = ""
    """The one domain of all addresses, as A-labels in lower case; empty when there is none, or more than one."""
    fault: str = ""
    """"missing", "several fields", "several addresses" (of one domain or of many) or "unreadable"."""


def author_of(fields: Fields) -> Author:
    """The author of the message with these header fields."""
    found = list(fields.texts("From"))[:2] if not fields.more_than(1, "From") else None
    if found is None:
        return Author(fault="several fields")
    if not found:
        return Author(fault="missing")
    addresses = _addresses(found[0]) if len(found[0]) <= _MAX_FROM else [""]
    if len(addresses) > _MAX_ADDRESSES:
        return Author(fault="several addresses")
    domains = {_domain(address) for address in addresses}
    if not domains or "" in domains:
        return Author(fault="unreadable" if found[0] else "missing")
    return Author(domains.pop() if len(domains) == 1 else "", "several addresses" if len(addresses) > 1 else "")


def _addresses(text: str) -> list[str]:
    """The addresses in a From field, however it is written; a quoted local part becomes "q"."""
    text = _without_comments(_QUOTED.sub("q", text))
    group = _GROUP.fullmatch(text.strip())
    found: list[str] = []
    for mailbox in (group[1] if group else text).split(","):
        angled = _ANGLED.findall(mailbox)
        found += angled or ([mailbox] if mailbox.strip() else [])
    return [address.strip() for address in found]


def _without_comments(text: str) -> str:
    """Three levels of comments, which is more than anybody writes."""
    for _ in range(3):
        text = _COMMENT.sub(" ", text)
    return text


def _domain(address: str) -> str:
    local, _, domain = address.rpartition("@")
    name = a_label(domain.strip())
    return name if _LOCAL.fullmatch(local.strip()) and _DOMAIN.fullmatch(name) else ""

"""The author of a message: the domain in From, which is the one that people see (RFC 5322 section 3.6.2)."""

from typing import NamedTuple

from verdicts.fields import Fields
from verdicts.identity.mailboxes import MAX_CHARACTERS, read

_MAX_ADDRESSES = 20


class Author(NamedTuple):
    """Whom From names."""

    domain: str = ""
    """The one domain of all addresses, as A-labels in lower case; empty when there is none, or more than one."""
    fault: str = ""
    """"missing", "several fields", "several addresses" (of one domain or of many) or "unreadable"."""


def author_of(fields: Fields) -> Author:
    """The author of the message with these header fields: who it is to every reader, or nobody."""
    found = list(fields.texts("From"))[:2] if not fields.more_than(1, "From") else None
    if found is None:
        return Author(fault="several fields")
    if not found or not found[0]:
        return Author(fault="missing")
    if len(found[0]) > MAX_CHARACTERS:
        return Author(fault="unreadable")
    told = read(found[0])
    if len(told.domains) > _MAX_ADDRESSES:
        return Author(fault="several addresses")
    domains = set(told.domains)
    if told.doubtful or not domains or "" in domains:
        return Author(fault="unreadable")
    return Author(domains.pop() if len(domains) == 1 else "", "several addresses" if len(told.domains) > 1 else "")

"""Domain names in the one form in which they are compared: lower-case A-labels (RFC 5890), without a trailing dot."""

import re
from functools import lru_cache

import idna

_LONGEST = 253
_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")


@lru_cache(maxsize=4096)
def a_label(name: str) -> str:
    """`name` as lower-case A-labels. Raises ValueError when it is not a domain name (RFC 1035, RFC 5891).

    Domain literals, wildcards, empty labels and a trailing dot are not domain names here. Unicode names are mapped by
    UTS 46. The length is checked first, for IDNA's work grows faster than its input.
    """
    if len(name) > _LONGEST:
        raise ValueError("a domain name has at most 253 characters")
    if not name.isascii():
        name = _encoded(name)
    name = name.lower()
    if len(name) > _LONGEST or not all(_LABEL.fullmatch(label) for label in name.split(".")):
        raise ValueError("not a domain name")
    return name


def _encoded(name: str) -> str:
    try:
        return idna.encode(name, uts46=True).decode("ascii")
    except UnicodeError as error:
        raise ValueError("not an internationalised domain name") from error

"""Domain names in the form in which they are compared: lower-case A-labels (RFC 5890), without the dot at the end.

Not all who read a name agree on what is one. `a_label` is for what must be proven, and takes what IDNA 2008 takes;
`host_of` is for what people see and what is only compared, and takes anything; `mapped` is how browsers do it, which go
where IDNA 2008 forbids, too.
"""

import re
import unicodedata

import idna

MAX_NAME = 253
"""Characters of a name (RFC 1035 section 2.3.4)."""
MAX_LABEL = 63
_PLAIN = re.compile(r"[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*")
_LABEL = re.compile(rf"[^.\s\x00-\x20\x7f]{{1,{MAX_LABEL}}}")


def a_label(name: str) -> str:
    """`name` as mail servers take it; empty when it can be none."""
    name = name.removesuffix(".").lower()
    if len(name) > MAX_NAME:
        return ""
    if not name.isascii():
        try:
            name = idna.encode(name, uts46=True).decode()
        except idna.IDNAError:
            return ""
    return name if all(map(_LABEL.fullmatch, name.split("."))) else ""


def host_of(name: str) -> str:
    """`name` as it is compared; garbage stays garbage, and what is too long for a name stays too long."""
    name = name.strip()
    return name.lower()[: MAX_NAME + 1] if len(name) > MAX_NAME + 1 else mapped(name)


def mapped(name: str) -> str:
    """`name` as browsers map it (UTS 46, not transitional), without any dots at the end. It may still be none."""
    plain = name.lower().rstrip(".")
    if _PLAIN.fullmatch(plain):
        return plain
    if not plain.isascii():
        plain = _compatible(name).rstrip(".")
    return ".".join(map(_punycode, plain.split(".")))


def _compatible(name: str) -> str:
    """By UTS 46; what it forbids is only folded, as registries and browsers differ on it."""
    try:
        return idna.uts46_remap(name, std3_rules=False, transitional=False)
    except (idna.IDNAError, ValueError):
        return unicodedata.normalize("NFKC", name).lower().replace("\u3002", ".")


def _punycode(label: str) -> str:
    if label.isascii() or len(label) > MAX_LABEL:
        return label
    try:
        return "xn--" + label.encode("punycode").decode("ascii")
    except UnicodeError:  # half a surrogate pair
        return ""

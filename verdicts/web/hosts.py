"""Host names of URLs, as browsers read them, and the domain that somebody registered.

Sources: WHATWG URL Standard, sections 3.5 (host parsing), 3.6 (IPv4 in every spelling) and 4.4; UTS 46 (mapping of
names that are not ASCII); the public suffix list, private section included, as the wheel of publicsuffixlist brings it.
What somebody registered is for URLs what DMARC calls the organizational domain: `registered` is the one who says so.
"""

import ipaddress
import re
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote

from publicsuffixlist import PSLFILE, PublicSuffixList

from verdicts.domains import MAX_LABEL, MAX_NAME, mapped

_MAX_TEXT = 1_024  # percent-encoding makes names longer
_FORBIDDEN = re.compile(r"[\x00-\x20\"#%/:<>?@\[\\\]^`{|}\x7f]")
_NUMBER = re.compile(r"0x[0-9a-f]{0,60}|[0-9]{1,60}")
_DOTTED = re.compile(r"(?:[1-9]?\d|1\d\d|2[0-4]\d|25[0-5])(?:\.(?:[1-9]?\d|1\d\d|2[0-4]\d|25[0-5])){3}")
_MICROSOFT = (
    "onmicrosoft.com", "mail.onmicrosoft.com", "onmicrosoft.us", "mail.onmicrosoft.us", "onmicrosoft.de",
    "partner.onmschina.cn", "partner.mail.onmschina.cn",
)  # fmt: skip
"""Below these each customer of Microsoft has a domain ("mail" is for hybrid organizations; Microsoft, "Microsoft 365
endpoints", the rows "autodiscover.<tenant>..."); the public suffix list does not tell of them."""


def _known_suffixes() -> PublicSuffixList:
    with Path(PSLFILE).open(encoding="utf-8") as listed:
        return PublicSuffixList([*listed, *_MICROSOFT])


_SUFFIXES = _known_suffixes()  # takes some 60 ms, so before there is mail


class Host(NamedTuple):
    """Where a URL leads."""

    name: str
    """Lower-case A-labels without a dot at the end; or an IP address in its one canonical spelling."""
    address: bool = False
    """Whether it is an IP address."""
    odd: bool = False
    """Whether it was spelled to hide what it is: percent-encoded, wide or invisible letters, an address
    that is not in its usual form."""


@lru_cache(maxsize=4_096)
def read_host(text: str) -> Host | None:
    """The host that a browser goes to for `text`, the part of a URL between "@" and port; None when it is none."""
    if not text or len(text) > _MAX_TEXT:
        return None
    encoded = "%" in text
    if encoded:
        text = unquote(text, errors="replace")
    if text.startswith("["):
        return _ipv6(text, encoded)
    name = mapped(text)
    if not name or len(name) > MAX_NAME or _FORBIDDEN.search(name):
        return None
    last = name.rpartition(".")[2]
    if _NUMBER.fullmatch(last):
        return _ipv4(name, encoded or not text.isascii())
    hidden = encoded or (not text.isascii() and "xn--" not in name)
    return Host(name, odd=hidden) if all(0 < len(label) <= MAX_LABEL for label in name.split(".")) else None


def unicode_name(name: str) -> str:
    """A-labels as people see them; a label that is none stays."""
    return ".".join(map(_u_label, name.split("."))) if "xn--" in name else name


def _u_label(label: str) -> str:
    if not label.startswith("xn--") or len(label) > MAX_LABEL:
        return label
    try:
        return label[4:].encode("ascii").decode("punycode")
    except ValueError:
        return label


def _ipv6(text: str, odd: bool) -> Host | None:
    try:
        address = ipaddress.IPv6Address(text.strip("[]").partition("%")[0])
    except ValueError:
        return None
    inner = address.ipv4_mapped
    return Host(str(inner), address=True, odd=True) if inner else Host(str(address), address=True, odd=odd)


def _ipv4(name: str, odd: bool) -> Host | None:
    """Up to four numbers, each decimal, octal ("017") or hexadecimal ("0xf"), the last of which fills the rest."""
    parts = name.split(".")
    if len(parts) > 4 or not all(map(_NUMBER.fullmatch, parts)):
        return None
    try:
        *leading, last = map(_number, parts)
    except ValueError:
        return None
    if any(number > 255 for number in leading) or last >= 256 ** (4 - len(leading)):
        return None
    value = last + sum(number << 8 * (3 - place) for place, number in enumerate(leading))
    return Host(str(ipaddress.IPv4Address(value)), address=True, odd=odd or not _DOTTED.fullmatch(name))


def _number(text: str) -> int:
    if text.startswith("0x"):
        return int(text[2:] or "0", 16)
    return int(text, 8 if text.startswith("0") else 10)


@lru_cache(maxsize=4_096)
def registered(name: str) -> str:
    """The part of a name, in A-labels, that somebody registered: "acme.co.uk" of "www.acme.co.uk"; the organizational
    domain (RFC 7489 section 3.2).

    A name that is a public suffix itself, or an IP address, stays as it is.
    """
    if ":" in name or _DOTTED.fullmatch(name):
        return name
    return _SUFFIXES.privatesuffix(name) or name


def owned_with(name: str) -> str:
    """`registered`, but for a customer of Microsoft one domain for both that are his: "acme.onmicrosoft.com" of
    "acme.mail.onmicrosoft.com", which is his own although DMARC knows nothing of it.
    """
    found = registered(name)
    return found.replace(".mail.", ".") if found.partition(".")[2] in _MICROSOFT else found


@lru_cache(maxsize=4_096)
def core(name: str) -> str:
    """The label that was chosen: "acme" of "www.acme.co.uk"."""
    return registered(name).partition(".")[0]


@lru_cache(maxsize=4_096)
def has_known_suffix(name: str) -> bool:
    """Whether a name ends in a suffix of the public suffix list, and is longer."""
    return _SUFFIXES.privatesuffix(name, accept_unknown=False) is not None

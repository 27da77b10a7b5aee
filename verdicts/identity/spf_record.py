"""SPF records as terms, and the macros in them (RFC 7208 sections 4.6.1, 5, 6, 7 and 12)."""

import ipaddress
import re
from collections.abc import Mapping
from contextlib import suppress
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import quote

MAX_RECORD = 4_096
"""Characters of a record; honest ones have some hundred."""

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_QUALIFIERS = {"+": "pass", "-": "fail", "~": "softfail", "?": "neutral"}
_DOMAIN_NEEDED = ("include", "exists")
_MACRO = re.compile(r"%(?:\{([slodiphv])(\d{0,3})(r?)([.+,/_=-]*+)\}|([%_-]))", re.IGNORECASE)
_MACRO_STRING = re.compile(r"(?:[!-$&-~]|%\{[slodiphv]\d{0,3}r?[.+,/_=-]*+\}|%[%_-])*+", re.IGNORECASE)
_ANY_MACRO_STRING = re.compile(r"(?:[!-$&-~]|%\{[slodiphcrtv]\d{0,3}r?[.+,/_=-]*+\}|%[%_-])*+", re.IGNORECASE)
_TOP_LABEL = re.compile(r"(?![0-9]+\Z)[0-9a-z](?:[0-9a-z-]{0,61}[0-9a-z])?", re.IGNORECASE)
_MODIFIER = re.compile(r"([a-z][a-z0-9_.-]*+)=(.*)", re.IGNORECASE | re.DOTALL)
_DIRECTIVE = re.compile(r"([+?~-]?)([a-z][a-z0-9]*+)(?![^:/])", re.IGNORECASE)
_LENGTHS = re.compile(r"(?:/(0|[1-9]\d?))?(?://(0|[1-9]\d{0,2}))?")
_LENGTH = re.compile(r"0|[1-9]\d{0,2}")
_LENGTHS_BEHIND = re.compile(r"(?:/\d{1,9})?(?://\d{1,9})?\Z")


class SyntaxFault(ValueError):
    """A record that RFC 7208 does not allow: the result is "permerror". Its text names the term."""


class Term(NamedTuple):
    """One directive."""

    result: str
    """What SPF says where it matches: "pass", "fail", "softfail" or "neutral"."""
    mechanism: str
    """In lower case."""
    domain: str = ""
    """With its macros; empty for the current domain."""
    lengths: tuple[int, int] = (32, 128)
    """Bits of an IPv4 and of an IPv6 address that count, for "a" and "mx"."""
    network: Network | None = None
    """For "ip4" and "ip6"."""


class Record(NamedTuple):
    """A whole record."""

    terms: tuple[Term, ...]
    redirect: str = ""
    """The domain of "redirect=", with its macros."""


def is_record(text: str) -> bool:
    """Whether a TXT record is one of SPF (section 4.5)."""
    return text[:7].lower() == "v=spf1 " or text.lower() == "v=spf1"


@lru_cache(maxsize=256)
def parse(text: str) -> Record:
    """Raises `SyntaxFault`, whatever is wrong and wherever (section 4.6)."""
    if len(text) > MAX_RECORD:
        raise SyntaxFault(f"the record has more than {MAX_RECORD} characters")
    terms: list[Term] = []
    modifiers: dict[str, str] = {}
    for word in filter(None, text[6:].split(" ")):
        modifier = _MODIFIER.fullmatch(word)
        if modifier:
            _add_modifier(modifiers, modifier[1].lower(), modifier[2])
        else:
            terms.append(_term(word))
    return Record(tuple(terms), modifiers.get("redirect", ""))


def expand(spec: str, facts: Mapping[str, str]) -> str:
    """The text that a domain-spec stands for (section 7); `facts` by macro letter in lower case.

    What is longer than a domain name can be loses labels on its left (section 7.3).
    """
    name = _MACRO.sub(lambda found: _expanded(found, facts), spec).removesuffix(".")
    while len(name) > 253 and "." in name:
        name = name.partition(".")[2]
    return name


def uses(spec: str, letter: str) -> bool:
    """Whether a domain-spec has the macro."""
    return f"%{{{letter}" in spec.lower()


def _add_modifier(modifiers: dict[str, str], name: str, value: str) -> None:
    """Section 6: "redirect" and "exp" are domains, and given once; others are only looked at for their syntax."""
    if name not in ("redirect", "exp"):
        if not _ANY_MACRO_STRING.fullmatch(value):
            raise SyntaxFault(f"{name}= has a bad macro")
        return
    if name in modifiers:
        raise SyntaxFault(f"{name}= is given twice")
    modifiers[name] = _domain_spec(name, value)


def _term(word: str) -> Term:
    found = _DIRECTIVE.match(word)
    if not found:
        raise SyntaxFault(f"{_short(word)} is no term")
    result, name = _QUALIFIERS[found[1] or "+"], found[2].lower()
    argument = word[found.end(2) :]
    if name in ("ip4", "ip6"):
        return Term(result, name, network=_network(name, argument))
    if name == "all" and not argument:
        return Term(result, name)
    if name in ("a", "mx"):
        domain = _LENGTHS_BEHIND.sub("", argument, 1)
        return Term(result, name, _optional_domain(name, domain), _lengths(name, argument[len(domain) :]))
    if name in (*_DOMAIN_NEEDED, "ptr") and (argument or name == "ptr"):
        return Term(result, name, _optional_domain(name, argument))
    raise SyntaxFault(f"{_short(word)} is no term")


def _optional_domain(name: str, argument: str) -> str:
    """What stands behind the colon, if anything stands behind the name."""
    if not argument:
        return ""
    if not argument.startswith(":"):
        raise SyntaxFault(f"{name}{_short(argument)} is no term")
    return _domain_spec(name, argument[1:])


def _domain_spec(name: str, text: str) -> str:
    """Section 7.1: visible ASCII and macros, with a top label or a macro at the end."""
    macros = list(_MACRO.finditer(text))
    ends_well = macros and macros[-1].end() == len(text)
    _, dot, top = text.removesuffix(".").rpartition(".")
    if not _MACRO_STRING.fullmatch(text) or not (ends_well or (dot and _TOP_LABEL.fullmatch(top))):
        raise SyntaxFault(f"{name} has the bad domain {_short(text)}")
    if any(macro[2] and not int(macro[2]) for macro in macros):
        raise SyntaxFault(f"{name} has a macro that keeps no part")
    return text


def _lengths(name: str, text: str) -> tuple[int, int]:
    found = _LENGTHS.fullmatch(text)
    lengths = (int(found[1] or 32), int(found[2] or 128)) if found else (99, 999)
    if lengths[0] > 32 or lengths[1] > 128:
        raise SyntaxFault(f"{name} has the bad length {_short(text)}")
    return lengths


def _network(name: str, argument: str) -> Network:
    """Section 5.6: an address, and perhaps how many bits of it count."""
    address, slash, length = argument[1:].partition("/")
    version, bits = (ipaddress.IPv4Address, 32) if name == "ip4" else (ipaddress.IPv6Address, 128)
    if argument[:1] == ":" and "%" not in address and (_LENGTH.fullmatch(length) if slash else True):
        with suppress(ValueError):
            return ipaddress.ip_network((version(address).packed, int(length or bits)), strict=False)
    raise SyntaxFault(f"{name}{_short(argument)} is no address")


def _expanded(found: re.Match[str], facts: Mapping[str, str]) -> str:
    if found[5]:
        return {"%": "%", "_": " ", "-": "%20"}[found[5]]
    parts = re.split("[" + re.escape(found[4] or ".") + "]", facts[found[1].lower()])
    if found[3]:
        parts.reverse()
    text = ".".join(parts[-int(found[2] or 0) :])
    return quote(text, safe="-._~") if found[1].isupper() else text


def _short(text: str) -> str:
    return "".join(filter(str.isprintable, text[:60]))

"""Domains that are made to be taken for another one.

`likeness` compares what people see: letters of other scripts, digits and pairs that look like a letter are read as
that letter (after the idea of UTS 39 section 4, "skeleton"; the table is short and holds what lower-case domains need).
"""

import asyncio
import unicodedata
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from verdicts.web.hosts import core, owned_with, registered, unicode_name

_TURN = 100  # domains compared in one step: under a millisecond
_LEAST_SAME = 3
"""Characters of a name that is worth imitating under another top-level domain."""
_LEAST_PART = 4
"""Of one that is searched for among words."""
_LEAST_EDITED = 5
"""Of one that is compared by distance: shorter ones have too many neighbours."""
_LURES = (
    "account accounts admin alert auth billing center cloud corp docs email file files group help helpdesk hr id info "
    "invoice it login mail mailbox my office online pay payment payments payroll portal reset secure security service "
    "services share shared sign signin sso support team update verify vpn web webmail"
)
_LOOKING_LIKE = {
    ".": "\u2044\u2215",
    "a": "\u0430\u03b1\u0251\u1d00",
    "b": "\u0432\u044c\u03b2\u0180\u0253",
    "c": "\u0441\u1d04",
    "d": "\u0501\u1d05\u0111\u0257",
    "e": "\u0435\u0454\u03b5\u1d07",
    "g": "\u0581\u0261\u0260",
    "h": "\u04bb\u043d\u0570\u0127",
    "i": "\u0456\u03b9\u0131\u0269\u026a",
    "j": "\u0458\u0575",
    "k": "\u043a\u03ba\u0199",
    "l": "\u04cf\u029f\u0142\u2113",
    "m": "\u043c\u1d0d",
    "n": "\u043f\u03b7\u0578\u0274",
    "o": "\u043e\u03bf\u0585\u1d0f\u00f8",
    "p": "\u0440\u03c1\u01a5",
    "q": "\u051b\u0566",
    "r": "\u0433\u0491\u0280",
    "s": "\u0455",
    "t": "\u0442\u03c4\u1d1b\u0167",
    "u": "\u057d\u1d1c",
    "v": "\u03bd\u1d20\u028b",
    "w": "\u051d\u03c9\u0561\u1d21",
    "x": "\u0445\u03c7",
    "y": "\u0443\u04af\u03c5\u03b3\u01b4",
    "z": "\u1d22",
}
"""Letters of other scripts, and slashes that are none, by what they are taken for."""
_CONFUSABLE = {ord(mark): letter for letter, marks in _LOOKING_LIKE.items() for mark in marks}
_SAME = str.maketrans("01i|3458", "ollleasb")
_PAIRS = (("rn", "m"), ("vv", "w"), ("cl", "d"))


class Likeness(NamedTuple):
    """What a domain is to some that are protected."""

    same: bool = False
    """Whether it is one of them, or of the same owner."""
    like: str = ""
    """The first one that it is made to be taken for; empty when it is like none."""


async def likeness(domain: str, protected: Sequence[str]) -> Likeness:
    """What `domain` is to those `protected`; all are host names in lower-case A-labels.

    Seen through are: confusable letters, one edit, another top-level domain, added words ("acme-login.example",
    "acmelogin.example"), and the whole name as labels of another one ("acme.example.evil.example",
    "acme-example.evil.example").
    """
    like = ""
    for start in range(0, len(protected), _TURN):
        some = protected[start : start + _TURN]
        if any(_is_of(domain, one) for one in some):
            return Likeness(same=True)
        like = like or next((one for one in some if _is_like(domain, one)), "")
        await asyncio.sleep(0)
    return Likeness(like=like)


def _is_of(domain: str, one: str) -> bool:
    return domain == one or domain.endswith(f".{one}") or owned_with(one) == owned_with(domain)


def _is_like(domain: str, one: str) -> bool:
    own = registered(one)
    labels = f".{skeleton(domain)}."
    if f".{skeleton(own)}." in labels or f"-{skeleton(own).replace('.', '-')}-" in labels.replace(".", "-"):
        return len(core(own)) >= _LEAST_SAME
    theirs, ours = skeleton(core(domain)), skeleton(core(own))
    if theirs == ours:
        return len(ours) >= _LEAST_SAME
    return _has_word(theirs, ours) or (len(ours) >= _LEAST_EDITED and one_edit_apart(theirs, ours))


def _has_word(theirs: str, ours: str) -> bool:
    """Whether `ours` is a word of `theirs`, or all of it but a word that lures."""
    if len(ours) < _LEAST_PART or ours not in theirs:
        return False
    rest = theirs.replace(ours, "", 1)
    return f"-{ours}-" in f"-{theirs}-" or rest.strip("-") in _lures()


@lru_cache(maxsize=1)
def _lures() -> frozenset[str]:
    return frozenset(map(skeleton, _LURES.split()))


@lru_cache(maxsize=4_096)
def skeleton(name: str) -> str:
    """What people take a name for: names of the same skeleton look alike."""
    text = seen_as(unicode_name(name)).translate(_SAME)
    for pair, letter in _PAIRS:
        text = text.replace(pair, letter)
    return text


def seen_as(text: str) -> str:
    """Without accents, and with the letters of other scripts that look like Latin ones as those."""
    if text.isascii():
        return text
    plain = unicodedata.normalize("NFKD", text.lower().translate(_CONFUSABLE))
    return "".join(mark for mark in plain if not unicodedata.combining(mark)).translate(_CONFUSABLE)


@lru_cache(maxsize=4_096)
def disguised(name: str) -> bool:
    """Whether a label under a Latin top-level domain has letters of another script that can be taken for Latin ones.

    Names of one script that cannot be read as Latin, and accents, are honest.
    """
    labels = unicode_name(name).split(".")
    return labels[-1].isascii() and any(map(_is_disguised, labels))


def _is_disguised(label: str) -> bool:
    foreign = [mark for mark in label if not mark.isascii() and mark.isalpha() and not _is_latin(mark)]
    return bool(foreign) and (seen_as(label).isascii() or _mixes(label))


def _mixes(label: str) -> bool:
    """Latin with Cyrillic, Greek, Armenian or Cherokee; Chinese or Japanese with Latin is common."""
    scripts = {unicodedata.name(mark, "").partition(" ")[0] for mark in label if mark.isalpha()}
    return "LATIN" in scripts and not scripts.isdisjoint(("CYRILLIC", "GREEK", "ARMENIAN", "CHEROKEE"))


def _is_latin(mark: str) -> bool:
    return unicodedata.name(mark, "").startswith("LATIN ")


def one_edit_apart(one: str, other: str) -> bool:
    """Whether one insertion, deletion, replacement or swap of neighbours makes `other` of `one`."""
    if one == other or abs(len(one) - len(other)) > 1:
        return False
    begin = _common(one, other)
    one, other = one[begin:], other[begin:]
    end = _common(one[::-1], other[::-1])
    one, other = one[: len(one) - end], other[: len(other) - end]
    return max(len(one), len(other)) == 1 or (len(one) == 2 and one == other[::-1])


def _common(one: str, other: str) -> int:
    """Characters at the beginning that are the same."""
    return next(
        (at for at, (left, right) in enumerate(zip(one, other, strict=False)) if left != right),
        min(len(one), len(other)),
    )

"""The mailboxes of From, Reply-To and their like, as mail clients show them (RFC 5322 section 3.4, RFC 2047).

Tolerant, as clients are: who wants to be taken for somebody else does not keep to the syntax. Where readers may differ
on what they see, that is told. Nothing here raises on garbage, and nothing costs more than a few passes over a bounded
text.
"""

import re
from itertools import islice
from typing import NamedTuple

from verdicts.domains import a_label
from verdicts.fields import Fields
from verdicts.parameters import ENCODED_WORDS, words

MAX_CHARACTERS = 4_096
"""Of one field; names are short, and whoever hides one behind so many characters has a reason."""
MAX_FIELDS = 4
"""Of one name; more than one From is a fault already (RFC 5322 section 3.6)."""
MAX_MAILBOXES = 50
_MAX_BUILT = 200  # with those of which nothing is left

_WITHIN = r"[^()\\]|\\."
_COMMENT = rf"\((?:{_WITHIN}|\((?:{_WITHIN}|\((?:{_WITHIN})*+\))*+\))*+"  # three levels, more than anybody writes
_TOKEN = re.compile(rf'"(?:[^"\\]|\\.)*+("?+)|{_COMMENT}(\)?+)|<[^<>]*+>?+|[,;]|[^",;()<]++|.', re.DOTALL)
_OPEN = {'"': {ord('"'): " "}, "(": {ord("("): "["}}
"""What becomes of quotes, and of comments, from one on that nothing closes: as little as can stand in an address."""
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*+("?+)', re.DOTALL)
_QUOTES = '""'
"""Stands for a quoted text where it does not matter what is in it."""
_BETWEEN = " \t,;"
_GROUP = re.compile(r"[^:;,<>@]*+:[^;]*+;?+\s*+")
_LOCAL = re.compile(r'(?:""|[^\s@()<>\[\],:;"\\\x00-\x1f])+')  # more would be what readers take for a second address
_DOMAIN = re.compile(r"[a-z0-9_-]+(?:\.[a-z0-9_-]+)*")


class Mailbox(NamedTuple):
    """One mailbox."""

    name: str
    """What people see before the address, decoded; empty when there is nothing."""
    address: str
    """As it stands in the field; empty when there is none."""

    @property
    def domain(self) -> str:
        """What stands behind the last "@", as it is written."""
        return self.address.rpartition("@")[2]


class Mailboxes(NamedTuple):
    """The mailboxes of all fields of one name."""

    boxes: tuple[Mailbox, ...]
    truncated: bool
    """Whether there is more than is read."""


def mailboxes(fields: Fields, name: str) -> Mailboxes:
    """The mailboxes in the fields called `name`, from the top."""
    texts = list(islice(fields.texts(name), MAX_FIELDS + 1))
    told = [read(text[:MAX_CHARACTERS]) for text in texts[:MAX_FIELDS]]
    boxes = [box for one in told for box in one.boxes]
    truncated = len(texts) > MAX_FIELDS or len(boxes) > MAX_MAILBOXES or any(map(_beyond, texts))
    truncated |= any(one.truncated for one in told)
    return Mailboxes(tuple(boxes[:MAX_MAILBOXES]), truncated)


def _beyond(text: str) -> bool:
    return len(text) > MAX_CHARACTERS or text.count("=?") > ENCODED_WORDS


class Reading(NamedTuple):
    """The mailboxes in the value of one field, and what no reader doubts of them."""

    boxes: list[Mailbox]
    domains: list[str]
    """Of each box as A-labels; empty where readers may see another address."""
    doubtful: bool
    """Whether readers may differ on what is a mailbox."""
    truncated: bool
    """Whether there is more than is read."""


def parse(text: str) -> list[Mailbox]:
    """The mailboxes in the value of one field.

    A comma behind what has no address yet is taken for a part of the name: "Archer, Ann <ann@acme.example>" without
    the quotes that it needs.
    """
    return read(text).boxes


def read(text: str) -> Reading:
    """What `parse` does, and what others may make of it."""
    tokens, doubtful = _tokens(text)
    in_group = bool(_GROUP.fullmatch("".join(map(_plain, tokens))))
    found = [_Building(in_group)]
    for token in tokens:
        if found[-1].ends_before(token[0]):
            if len(found) > _MAX_BUILT:
                break
            found.append(_Building())
        found[-1].take(token)
    truncated = len(found) > _MAX_BUILT
    told = [(box, building.domain()) for building in found if (box := building.mailbox())]
    doubtful |= truncated or (";" in tokens and not in_group and len(told) > 1)
    doubtful |= any(building.doubtful for building in found)
    return Reading([box for box, _ in told], [domain for _, domain in told], doubtful, truncated)


def _tokens(text: str) -> tuple[list[str], bool]:
    """The tokens, and whether a quote is open that may hold an address. What nothing closes is no quote or comment."""
    tokens: list[str] = []
    at, doubtful = 0, False
    while at < len(text):
        token = _TOKEN.match(text, at)
        assert token
        mark = text[at]
        if mark in _OPEN and not token[1 if mark == '"' else 2]:
            doubtful |= mark == '"' and ("@" in text[at:] or ">" not in text[:at])
            text = text[:at] + text[at:].translate(_OPEN[mark])
        else:
            tokens.append(token[0])
            at = token.end()
    return tokens, doubtful


def _plain(token: str) -> str:
    """A token without what nobody reads an address in."""
    if token[0] in _OPEN:
        return _QUOTES if token[0] == '"' else " "
    return f"<{_QUOTED.sub(_unread, token.strip('<>'))}>" if token[0] == "<" else token


def _unread(quoted: re.Match[str]) -> str:
    return _QUOTES if quoted[1] else '"'


class _Building:
    """One mailbox, token by token."""

    def __init__(self, in_group: bool = False) -> None:
        self.doubtful = False
        self._in_group = in_group  # the first one of a group has the group's name in front
        self._words: list[str] = []
        self._plain: list[str] = []
        self._comments: list[str] = []
        self._angle: str | None = None
        self._has_address = self._has_words = False

    def ends_before(self, mark: str) -> bool:
        """Whether what begins with `mark` is none of it any more."""
        return mark == ";" or (mark == "," and self._has_address) or (mark == "<" and bool(self._angle))

    def take(self, piece: str) -> None:
        if piece[0] == "<":
            self._angle = piece.strip("<>")
            self._has_address = True
            self.doubtful |= bool(self._angle) != piece.endswith(">")  # "<<" is often written, and is no address
            self._plain = [_plain(piece)[1:-1]]
            return
        if self._angle is None:
            self._plain.append(_plain(piece))
        if piece[0] == "(":
            self._comments.append(piece.strip("()"))
        elif piece[0] == '"':
            self._say(_ESCAPED.sub(r"\1", piece[1:-1]))
        else:
            self.doubtful |= piece == "," and self._has_words
            self._has_address |= "@" in piece
            self._say(piece)

    def _say(self, text: str) -> None:
        self._words.append(text)
        self._has_words |= bool(text.strip(_BETWEEN))

    def mailbox(self) -> Mailbox | None:
        """The mailbox, if there is anything."""
        name, address = "".join(self._words).strip(_BETWEEN), self._angle or ""
        if not address and "@" in name:
            name, address = "", self._behind_group(name)
        name = words(name or " ".join(self._comments).strip())
        address = "".join(address.split())
        return Mailbox(name, address) if name or address else None

    def domain(self) -> str:
        """The address's domain, if nobody doubts that it is its."""
        plain = "".join(self._plain)
        address = plain if self._angle is not None else self._behind_group(plain).strip(_BETWEEN)
        local, _, domain = address.rpartition("@")
        name = a_label(domain.strip())
        return name if _LOCAL.fullmatch(local.strip()) and _DOMAIN.fullmatch(name) else ""

    def _behind_group(self, text: str) -> str:
        return text.partition(":")[2] if self._in_group else text

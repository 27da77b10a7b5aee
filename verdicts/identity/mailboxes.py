"""The mailboxes of From, Reply-To and their like, as mail clients show them (RFC 5322 section 3.4, RFC 2047).

Tolerant, as clients are: who wants to be taken for somebody else does not keep to the syntax. Nothing here raises on
garbage, and nothing costs more than one pass over a bounded text.
"""

import re
from itertools import islice
from typing import NamedTuple

from verdicts.fields import Fields
from verdicts.parameters import ENCODED_WORDS, words

MAX_CHARACTERS = 4_096
"""Of one field; names are short, and whoever hides one behind so many characters has a reason."""
MAX_FIELDS = 4
"""Of one name; more than one From is a fault already (RFC 5322 section 3.6)."""
MAX_MAILBOXES = 50

_TOKEN = re.compile(
    r'"(?:[^"\\]|\\.)*+"?+|\((?:[^()\\]|\\.)*+\)?+|<[^<>]*+>?+|[,;]|[^",;()<]++|.',
    re.DOTALL,
)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)


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
    boxes = [box for text in texts[:MAX_FIELDS] for box in parse(text[:MAX_CHARACTERS])]
    truncated = len(texts) > MAX_FIELDS or len(boxes) > MAX_MAILBOXES or any(map(_beyond, texts))
    return Mailboxes(tuple(boxes[:MAX_MAILBOXES]), truncated)


def _beyond(text: str) -> bool:
    return len(text) > MAX_CHARACTERS or text.count("=?") > ENCODED_WORDS


def parse(text: str) -> list[Mailbox]:
    """The mailboxes in the value of one field.

    A comma behind what has no address yet is taken for a part of the name: "Archer, Ann <ann@acme.example>" without
    the quotes that it needs.
    """
    found: list[Mailbox] = []
    building = _Building()
    for token in _tokens(text):
        if building.ends_before(token[0]):
            found += building.done()
            building = _Building()
        building.take(token)
    return found + building.done()


def _tokens(text: str) -> list[str]:
    """A quote that nothing closes is none."""
    tokens = _TOKEN.findall(text)
    if tokens and tokens[-1][0] == '"' and not _is_closed(tokens[-1]):
        last = tokens.pop()
        tokens += _TOKEN.findall(last.replace('"', " "))
    return tokens


def _is_closed(quoted: str) -> bool:
    return len(quoted) > 1 and quoted.endswith('"') and not quoted.endswith('\\"')


class _Building:
    """One mailbox, token by token."""

    def __init__(self) -> None:
        self.words: list[str] = []
        self.comments: list[str] = []
        self.angle = ""
        self.has_address = False

    def ends_before(self, mark: str) -> bool:
        """Whether what begins with `mark` is none of it any more."""
        return mark == ";" or (mark == "," and self.has_address) or (mark == "<" and self.angle != "")

    def take(self, token: str) -> None:
        if token[0] == '"':
            self.words.append(_ESCAPED.sub(r"\1", token[1:-1]))
        elif token[0] == "(":
            self.comments.append(token.strip("()"))
        elif token[0] == "<":
            self.angle = token.strip("<>")
            self.has_address = True
        else:
            self.words.append(token)
            self.has_address |= "@" in token

    def done(self) -> list[Mailbox]:
        """One mailbox, or none when there is nothing."""
        name, address = "".join(self.words).strip(" \t,;"), self.angle
        if not address and "@" in name:
            name, address = "", name
        name = words(name or " ".join(self.comments).strip())
        address = "".join(address.split())
        return [Mailbox(name, address)] if name or address else []

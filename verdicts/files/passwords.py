"""Words of a message that may be the password of its attachment, as attackers write it beside what they encrypted."""

import re
from collections.abc import Iterable

MOST = 20
_TEXT_CHARACTERS = 20_000
_NEAR = re.compile(
    r"\b(?:pass(?:word|wort|code|phrase|e)?|passwd|pwd|pw|pin|code|key|kennwort|contrase.a|mot de passe|senha|has.o)\b"
    r"([^\n]{1,120}(?:\n[^\n]{0,60})?)",
    re.IGNORECASE,
)
_TAG = re.compile(r"<[^<>]{0,1000}>")
_WORD = re.compile(r"[^\s:=<>\"'()\[\]]{3,40}")


def candidates(texts: Iterable[str]) -> tuple[str, ...]:
    """At most 20 words that stand behind a word for "password"."""
    found: dict[str, None] = {}
    for text in texts:
        for near in _NEAR.finditer(_TAG.sub(" ", text[:_TEXT_CHARACTERS])):
            for word in _WORD.findall(near[1])[:6]:
                found[word] = None
                found[word.rstrip(".,;!?")] = None
    return tuple(found)[:MOST]

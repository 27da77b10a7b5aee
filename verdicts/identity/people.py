"""Protected people by name, however it is written: case, accents, letters of other scripts, order, invisible marks."""

import re
import unicodedata
from collections.abc import Iterator

from verdicts.mail import Person
from verdicts.web.lookalikes import seen_as, skeleton

_WORD = re.compile(r"[^\W_]++")
_INVISIBLE = frozenset(("Cf", "Cc", "Mn", "Me"))  # zero-width and direction marks, controls, marks on letters
_READ_WORDS = 50  # of a name; what stands behind so many nobody sees
_READ_CHARACTERS = 500
_LONGEST_NAME = 10  # words


class People:
    """Who is protected; looked up by some keys of a dict for each name."""

    def __init__(self) -> None:
        self._by_words: dict[tuple[str, ...], Person] = {}
        self._together: dict[str, Person] = {}
        self._lengths: set[int] = set()

    def add(self, person: Person) -> None:
        """Protect one more; of two who are called the same the first one counts."""
        words = name_words(person.name)[:_LONGEST_NAME]
        if not words:
            return
        self._by_words.setdefault(tuple(sorted(words)), person)
        self._lengths.add(len(words))
        if len(words) > 1:  # "AnnArcher", "ArcherAnn"
            for order in (words, [*words[-1:], *words[:-1]]):
                self._together.setdefault("".join(order), person)

    def find(self, name: str) -> Person | None:
        """Who is called so, or so among other words ("Ann Archer, CEO"); a name of one word must be all of it."""
        words = name_words(name)
        keys = (tuple(sorted(window)) for window in self._windows(words))
        found = next((self._by_words[key] for key in keys if key in self._by_words), None)
        return found or self._together.get("".join(words))

    def _windows(self, words: list[str]) -> Iterator[list[str]]:
        for length in self._lengths:
            if length == 1 and len(words) > 1:
                continue
            for start in range(len(words) - length + 1):
                yield words[start : start + length]


def name_words(name: str) -> list[str]:
    """The first words of a name as people take them: names of the same words look alike."""
    visible = "".join(mark for mark in name if unicodedata.category(mark) not in _INVISIBLE)[:_READ_CHARACTERS]
    plain = seen_as(unicodedata.normalize("NFKC", visible).casefold())
    return [skeleton(word) for word in _WORD.findall(plain)[:_READ_WORDS]]

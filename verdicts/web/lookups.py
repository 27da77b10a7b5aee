"""Asking lists of bad domains about the links of one message: each name once, some at a time, and not without end.

What a list says of a name is kept for a while, whoever sends the name to whom, so that a campaign is asked about once.
"""

import asyncio
from collections import Counter, deque
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from verdicts.contract import Dns
from verdicts.kept import Kept
from verdicts.web.domainlists import Code, DomainList
from verdicts.web.links import Link

_FAILURES = 3
"""Questions that a list leaves without an answer before it is asked no more about a message."""
_TURN = 20  # links looked at in one step

Key = tuple[int, str]
"""Which list, and the name that it is asked for, which may hold the list's key."""
Answers = Kept[Key, tuple[Code, ...]]
"""What lists have said; no codes when a name is on none. Where one could not tell, there is no answer."""


class _Question(NamedTuple):
    asked: DomainList
    key: Key
    link: Link


class LookUps:
    """The lists that are asked. `most`: names for one message; `parallel`: questions of it at a time; `seconds`: for
    which an answer is kept.
    """

    def __init__(
        self, lists: Sequence[DomainList], dns: Dns, most: int, parallel: int, answers: Answers, seconds: float
    ) -> None:
        self._lists = tuple(lists)
        self._dns = dns
        self._most = most
        self._parallel = parallel
        self._answers = answers
        self._seconds = seconds

    async def of(self, judged: Iterable[Link]) -> tuple[list[tuple[Link, Code]], list[str]]:
        """The links that are listed, and why that may not be all. Reasons name a list, never a question."""
        if not self._lists:
            return [], []
        asking = _Asking(self._dns, self._most, self._answers, self._seconds)
        if not await self._take_all(judged, asking):
            asking.trouble.append(f"it has more names to ask lists about than {self._most}")
        async with asyncio.TaskGroup() as group:
            for _ in range(min(self._parallel, len(asking.open))):
                group.create_task(asking.go_on())
        return asking.listed, asking.trouble

    async def _take_all(self, judged: Iterable[Link], asking: "_Asking") -> bool:
        """All questions, in the order of the links; whether there are not too many."""
        for number, link in enumerate(judged):
            if number % _TURN == _TURN - 1:
                await asyncio.sleep(0)
            if not all(map(asking.take, self._questions(link))):
                return False
        return True

    def _questions(self, link: Link) -> list[_Question]:
        """What is asked about a link, by its host alone."""
        named = ((place, asked, asked.question(link.url)) for place, asked in enumerate(self._lists))
        return [_Question(asked, (place, name), link) for place, asked, name in named if name]


class _Asking:
    """The questions about one message, which some tasks go through together."""

    def __init__(self, dns: Dns, most: int, answers: Answers, seconds: float) -> None:
        self.open: deque[_Question] = deque()
        """What is not answered by what is kept."""
        self.listed: list[tuple[Link, Code]] = []
        self.trouble: list[str] = []
        self._dns = dns
        self._most = most
        self._answers = answers
        self._seconds = seconds
        self._taken: set[Key] = set()
        self._failures: Counter[int] = Counter()

    def take(self, question: _Question) -> bool:
        """Take one more, if it is one; False when there are too many."""
        if question.key in self._taken:
            return True
        if len(self._taken) >= self._most:
            return False
        self._taken.add(question.key)
        codes = self._answers.get(question.key)
        if codes is None:
            self.open.append(question)
        else:
            self._listed(question, codes)
        return True

    async def go_on(self) -> None:
        """Ask until there is nothing open."""
        while self.open:
            question = self.open.popleft()
            await asyncio.sleep(0)  # an answer that the resolver has kept comes without waiting
            if self._failures[question.key[0]] < _FAILURES:
                await self._ask(question)

    async def _ask(self, question: _Question) -> None:
        title, (place, name) = question.asked.title, question.key
        try:
            addresses = await self._dns.records(name, "A")
        except OSError:  # its text would tell the key
            self._failures[place] += 1
            self._trouble(f"the list {title} gave no answer")
            return
        answer = question.asked.answer(addresses)
        if answer.trouble:
            self._trouble(f"the list {title} {answer.trouble}")
        else:
            self._answers.put(question.key, answer.codes, self._seconds)
        self._listed(question, answer.codes)

    def _listed(self, question: _Question, codes: Iterable[Code]) -> None:
        self.listed.extend((question.link, code) for code in codes)

    def _trouble(self, reason: str) -> None:
        if reason not in self.trouble:
            self.trouble.append(reason)

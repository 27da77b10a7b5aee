"""Asking lists of bad domains about the links of one message: each name once, some at a time, and not without end."""

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from verdicts.contract import Dns
from verdicts.web.domainlists import Code, DomainList
from verdicts.web.links import Link

_FAILURES = 3
"""Questions that a list leaves without an answer before it is asked no more about a message."""


class _Question(NamedTuple):
    asked: DomainList
    name: str
    """It may hold a key."""
    link: Link


class LookUps:
    """The lists that are asked. `most`: questions about one message; `parallel`: of those at a time."""

    def __init__(self, lists: Sequence[DomainList], dns: Dns, most: int, parallel: int) -> None:
        self._lists = tuple(lists)
        self._dns = dns
        self._most = most
        self._parallel = parallel

    async def of(self, judged: Iterable[Link]) -> tuple[list[tuple[Link, Code]], list[str]]:
        """The links that are listed, and why that may not be all. Reasons name a list, never a question."""
        if not self._lists:
            return [], []
        questions = await self._questions(judged)
        asking = _Asking(self._dns, questions[: self._most])
        async with asyncio.TaskGroup() as group:
            for _ in range(min(self._parallel, len(questions))):
                group.create_task(asking.go_on())
        if len(questions) > self._most:
            asking.trouble.append(f"it has more names to ask lists about than {self._most}")
        return asking.listed, asking.trouble

    async def _questions(self, judged: Iterable[Link]) -> list[_Question]:
        """Each once, in the order of the links; one more than are asked, so that it is known whether those are all."""
        found: dict[str, _Question] = {}
        for number, link in enumerate(judged):
            if number % 20 == 19:
                await asyncio.sleep(0)
            for asked in self._lists:
                name = asked.question(link.url)
                if name:
                    found.setdefault(name, _Question(asked, name, link))
            if len(found) > self._most:
                break
        return list(found.values())


class _Asking:
    """The questions about one message, which some tasks go through together."""

    def __init__(self, dns: Dns, questions: Iterable[_Question]) -> None:
        self.listed: list[tuple[Link, Code]] = []
        self.trouble: list[str] = []
        self._dns = dns
        self._questions: Iterator[_Question] = iter(questions)
        self._failures: dict[str, int] = {}

    async def go_on(self) -> None:
        for question in self._questions:
            await asyncio.sleep(0)  # an answer that the resolver has kept comes without waiting
            if self._failures.get(question.asked.title, 0) < _FAILURES:
                await self._ask(question)

    async def _ask(self, question: _Question) -> None:
        title = question.asked.title
        try:
            addresses = await self._dns.records(question.name, "A")
        except OSError:  # its text would tell the key
            self._failures[title] = self._failures.get(title, 0) + 1
            self._trouble(f"the list {title} gave no answer")
            return
        answer = question.asked.answer(addresses)
        if answer.trouble:
            self._trouble(f"the list {title} {answer.trouble}")
        self.listed.extend((question.link, code) for code in answer.codes)

    def _trouble(self, reason: str) -> None:
        if reason not in self.trouble:
            self.trouble.append(reason)

"""Domains that an operator protects in every tenant's mail, besides the tenant's own."""

from collections.abc import Sequence
from typing import Annotated

from pydantic import AfterValidator

from verdicts.contract import Clock
from verdicts.kept import Kept
from verdicts.web.hosts import read_host
from verdicts.web.lookalikes import Likeness, likeness

_KEPT = 10_000


def _domain(text: str) -> str:
    host = read_host(text)
    if host is None or host.address or "." not in host.name:
        raise ValueError(f"{text!r} is no domain")
    return host.name


Domain = Annotated[str, AfterValidator(_domain)]
"""An option: a domain, as lower-case A-labels."""


class Protected:
    """Compares names with all protected domains, whose number may be a thousand; what came of it is kept by name."""

    def __init__(self, domains: Sequence[str], clock: Clock) -> None:
        self._domains = tuple(domains)
        self._kept = Kept[str, Likeness](clock, _KEPT)

    async def lookalike(self, name: str, own: Sequence[str]) -> str | None:
        """The protected domain, or the one of the tenant's `own`, that `name` is made to be taken for; None when it is
        like none, or is one of them. All are lower-case A-labels.
        """
        likenesses = await likeness(name, own), await self._ours(name)
        if any(found.same for found in likenesses):
            return None
        return next((found.like for found in likenesses if found.like), None)

    async def _ours(self, name: str) -> Likeness:
        found = self._kept.get(name) if self._domains else Likeness()
        if found is None:
            found = await likeness(name, self._domains)
            self._kept.put(name, found)
        return found

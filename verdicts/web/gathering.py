"""What is gathered while a message is searched for links: each URL once, and where redirectors lead on to."""

from collections import deque
from collections.abc import Iterator
from typing import NamedTuple

from verdicts.web.redirectors import targets
from verdicts.web.urls import MAX_URL, Url, read_url

MAX_NESTING = 5
"""Redirectors behind redirectors that are followed."""
HARMLESS = frozenset(("defanged",))
"""The tricks after which nobody gets to where a URL leads without putting it right."""
TURN = 60
"""Events of HTML in one step of a millisecond; reading a URL costs as much as `_URL_COST` of them."""

_URL_COST = 3
_UNREADABLE = 10  # strings that are no URL, for each URL that may be


class Limits(NamedTuple):
    """How much is looked at."""

    bytes: int = 5_000_000
    """Of decoded text and HTML in one message."""
    urls: int = 2_000
    """Different ones."""


DEFAULT = Limits()


class LimitError(Exception):
    """There is more than is looked at; the text says what."""


class Link(NamedTuple):
    """One URL of a message."""

    url: Url
    place: str
    """"subject", "text", "html", or what an engine that looks into files says: "qr", "pdf"."""
    shown: str = ""
    """The host that people see in its stead, where that is of another domain."""
    behind: str = ""
    """The host of the redirector that names it as its target."""


class Links(NamedTuple):
    """What was found, and why that may not be all."""

    links: tuple[Link, ...]
    unread: tuple[str, ...] = ()


class Found:
    """URLs as they come in: read in turns, each once, and their targets behind them."""

    def __init__(self, limits: Limits) -> None:
        self._most = limits.urls
        self._seen: set[tuple[str, str]] = set()
        self._waiting: deque[tuple[str, str, Url | None, str, tuple[str, ...]]] = deque()
        self._links: dict[tuple[str, str], Link] = {}
        self._unread: dict[str, None] = {}

    def add(self, text: str, place: str, base: Url | None = None, shown: str = "") -> None:
        """A string that may be a URL. Raises LimitError."""
        self._add(text, place, base, shown, ())

    def _add(self, text: str, place: str, base: Url | None, shown: str, through: tuple[str, ...]) -> None:
        if (text, shown) in self._seen:
            return
        if len(self._seen) >= self._most * _UNREADABLE:
            raise LimitError(f"it has more than {self._most * _UNREADABLE} strings that may be links")
        self._seen.add((text, shown))
        self._waiting.append((text, place, base, shown, through))

    def read(self) -> Iterator[None]:
        """Read what is waiting; yields when it is others' turn. Raises LimitError."""
        count = 0
        while self._waiting:
            self._read_one(*self._waiting.popleft())
            count += _URL_COST
            if count >= TURN:
                count = 0
                yield

    def _read_one(self, text: str, place: str, base: Url | None, shown: str, through: tuple[str, ...]) -> None:
        url = read_url(text, base)
        if url is None:
            return
        onward = targets(url)
        shown = _other_host(shown, url, onward)
        key = (url.text, shown)
        if key in self._links:
            known = self._links[key]
            self._links[key] = known._replace(url=url._replace(tricks=_both(url.tricks, known.url.tricks)))
            return
        if len(self._links) >= self._most:
            raise LimitError(f"it has more than {self._most} links")
        self._links[key] = Link(url, place, shown, through[-1] if through else "")
        if len(text) >= MAX_URL and url.host:
            self._unread[f"it has a link of more than {MAX_URL} characters"] = None
        if onward and len(through) >= MAX_NESTING:
            self._unread[f"it has a link through more than {MAX_NESTING} redirectors"] = None
            return
        for target in onward:
            self._add(target, place, None, "", (*through, url.host))

    def links(self, unread: tuple[str, ...] = ()) -> Links:
        """What was found so far."""
        return Links(tuple(self._links.values()), (*self._unread, *unread))


def _both(tricks: frozenset[str], others: frozenset[str]) -> frozenset[str]:
    """The tricks of a URL that is written in two ways; it is harmless only where both are."""
    return (tricks | others) - (HARMLESS - (tricks & others))


def _other_host(shown: str, url: Url, onward: list[str]) -> str:
    """The host that `shown` names, if neither the URL nor what it leads on to is of that host's domain."""
    claimed = read_url(shown) if shown and not any(map(str.isspace, shown)) else None
    if claimed is None or not claimed.host or not url.host:
        return ""
    domains = {url.domain, *(target.domain for target in map(read_url, onward) if target)}
    return "" if claimed.domain in domains else claimed.host

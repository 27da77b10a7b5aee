"""The links of HTML: attributes that lead somewhere, what people see, and what is written out anywhere else."""

import re
from collections.abc import Iterator

from verdicts.web.gathering import TURN, Found
from verdicts.web.markup import Kind, Markup, resolved, uncut
from verdicts.web.prose import READABLE, WRITTEN_OUT, Prose
from verdicts.web.urls import Url, read_url

_SHOWN = 300  # characters of an anchor's text
_LEADING = frozenset(
    (
        "action", "background", "cite", "data", "data-saferedirecturl", "formaction", "href", "imagesrcset", "longdesc",
        "manifest", "originalsrc", "ping", "poster", "src", "srcset", "xlink:href",
    )
)  # fmt: skip
_REFRESH = re.compile(r"\s*+[\d.]++\s*+[;,](.*)", re.DOTALL)  # "0;https://...": "url=" may be left out
_INLINE = frozenset(
    (
        "b", "big", "code", "em", "font", "i", "ins", "mark", "s", "small", "span", "strike", "strong", "sub", "sup",
        "u", "wbr",
    )
)  # fmt: skip


class Page:
    """HTML that comes in pieces.

    It is read twice: by its markup, and for URLs that are written out anywhere: in scripts, comments and broken tags,
    references resolved, as readers differ on what is a comment and what is raw.
    """

    def __init__(self, found: Found) -> None:
        self._found = found
        self._anywhere = Prose(WRITTEN_OUT)
        self._held = ""
        self._seen = _Seen(found)

    def feed(self, piece: str, over: bool = False) -> Iterator[None]:
        """Read on; yields when it is others' turn. Raises LimitError."""
        text = self._held + piece
        end = len(text) if over else uncut(text)
        self._held = text[end:]
        for url in self._anywhere.feed(resolved(text[:end]), over):
            self._found.add(url, "html")
        yield from self._seen.feed(piece, over)


class _Seen:
    """What the markup says: attributes that lead somewhere, and text that claims to.

    What stands in comments is read too, each by itself: Outlook shows the conditional ones ("<!--[if mso]>").
    """

    def __init__(self, found: Found, *, within_comment: bool = False) -> None:
        self._found = found
        self._within_comment = within_comment
        self._comment: _Seen | None = None
        self._markup = Markup()
        self._prose = Prose(READABLE)
        self._visible: list[str] = []
        self._base: Url | None = None
        self._targets: list[str] = []
        self._anchor: list[str] = []
        self._shown = ""

    def feed(self, piece: str, over: bool) -> Iterator[None]:
        for number, (kind, name, text) in enumerate(self._markup.feed(piece, over)):
            if kind is Kind.COMMENT:
                yield from self._commented(text)
            else:
                self._hear(kind, name, text)
            if number % TURN == TURN - 1:
                yield
        if over:
            self._leave()
            yield from self._commented("")
        for text in self._prose.feed("".join(self._visible), over):
            self._found.add(text, "html")
        self._visible.clear()

    def _hear(self, kind: Kind, name: str, text: str) -> None:
        if kind is Kind.TEXT:
            self._visible.append(text)
            self._shown += text[: _SHOWN - len(self._shown)] if self._anchor else ""
        elif kind is Kind.ATTRIBUTE:
            self._attribute(name, text)
        elif kind is not Kind.END:
            self._tag = name
            self._targets = []
        if kind in (Kind.OPEN, Kind.CLOSE) and name not in _INLINE:
            self._visible.append("\n")
            if name == "a":
                self._leave()
        if kind is Kind.END and name == "a":
            self._anchor = self._targets

    def _commented(self, text: str) -> Iterator[None]:
        """A piece of a comment; an empty one in front of the first, and behind all."""
        if self._within_comment:
            return
        if text:
            self._comment = self._comment or _Seen(self._found, within_comment=True)
            yield from self._comment.feed(text, over=False)
        elif self._comment:
            over, self._comment = self._comment, None
            yield from over.feed("", over=True)

    def _attribute(self, name: str, value: str) -> None:
        if name == "content":
            refreshed = _REFRESH.match(value)
            self._found.add(refreshed[1].strip(" '\"") if refreshed else "", "html", self._base)
            value = value.partition("=")[2].strip(" '\"")
        elif name not in _LEADING:
            return
        if name.endswith("srcset"):
            for candidate in value.split(","):
                self._found.add(candidate.split()[0] if candidate.split() else "", "html", self._base)
            return
        if self._tag == "base" and name == "href":
            self._base = self._base or read_url(value)
        self._found.add(value, "html", self._base)
        if self._tag == "a" and name.endswith("href"):
            self._targets.append(value)

    def _leave(self) -> None:
        """The end of an anchor's text."""
        for target in self._anchor:
            shown = self._shown.strip()
            if shown and "." in shown:
                self._found.add(target, "html", self._base, shown)
        self._anchor, self._shown = [], ""

"""URLs that people can see in text: written out, with "www." in front, or as a mere host name.

What mail clients turn into links, and what people put right and type: "hxxps://evil[.]example".
"""

import re
from collections.abc import Iterator

from verdicts.web.urls import MAX_URL

_DOT = r"(?:\.|\u3002|\uff0e|[\[({]\s?(?:\.|dot)\s?[\])}])"
_SCHEME = r"(?i:h(?:tt|xx|\*\*|tx|xt)ps?|f[tx]ps?|wss?|meow|file)(?::|\[:/*\])"
_TAIL = r"[^\s<>\"`]"
WRITTEN_OUT = re.compile(rf"{_SCHEME}[/\\\[\]]++{_TAIL}{{1,{MAX_URL}}}+")
"""Those with a scheme."""
READABLE = re.compile(
    rf"{WRITTEN_OUT.pattern}|(?<![\w@.%/=&\\\u3002\uff0e-])(?<![.tT][\])}}])(?:[\w-]{{1,63}}+{_DOT}(?=\w)){{1,30}}+[^\W\d][\w-]{{1,62}}+(?!@)"
    rf"(?:[/?#:\\]{_TAIL}{{0,{MAX_URL}}}+)?+"
)
"""Those without one too."""

_BETWEEN = (" ", "\n", "\t", "<", ">", '"')
_CARRIED = 512  # of text without any blank, which is no prose: enough for a host name
_BEHIND = ".,;:!?'*_)]}|\u00bb\u201d\u2019\u2026"
_ASCII = re.compile(r"[!-~]+")


class Prose:
    """Finds what `pattern` finds in text that comes in pieces."""

    def __init__(self, pattern: re.Pattern[str]) -> None:
        self._pattern = pattern
        self._rest = ""

    def feed(self, text: str, over: bool = False) -> Iterator[str]:
        """The URLs that end in `text`; `over`: no more follows."""
        text = self._rest + text
        end = len(text) if over else max(map(text.rfind, _BETWEEN)) + 1
        self._rest = text[end:]
        if len(self._rest) > MAX_URL:
            end, self._rest = len(text), text[-_CARRIED:]
        for match in self._pattern.finditer(text, 0, end):
            yield from _readings(match[0])


def _readings(text: str) -> Iterator[str]:
    """Without the punctuation behind it; and as far as it is ASCII, as text may go on without a blank."""
    bare = text.rstrip(_BEHIND)
    yield text if "]" in text[len(bare) :] and "//[" in bare else bare
    if not bare.isascii() and (plain := _ASCII.match(bare)):
        yield plain[0].rstrip(_BEHIND)

"""HTML as a stream of events, for whoever cares about attributes and visible text.

A reading of WHATWG HTML, section 13.2.5 (tokenization), that never fails, keeps next to nothing between two pieces, and
looks at each character once: the standard library's parser needs quadratic time for some of what strangers send.
"""

import html
import re
from collections.abc import Callable, Iterator
from enum import Enum

MAX_VALUE = 8_192
"""Characters of an attribute's value that are kept."""

_MARK = re.compile(r"<(?=[a-zA-Z/!?]|\Z)")
_TAG = re.compile(r"<(/?)([a-zA-Z][^\s/>]{0,30}+)")
_BLANKS = re.compile(r"[\s/]*+")
_WHOLE = re.compile(
    r"[\s/]*+([^\s/>=][^\s/>=]{0,99}+)\s*+=\s*+"
    rf"(?:\"([^\"]{{0,{MAX_VALUE}}}+)\"|'([^']{{0,{MAX_VALUE}}}+)'|([^\s>\"'][^\s>]{{0,{MAX_VALUE - 1}}}+)(?=[\s>]))"
)
"""An attribute that is whole, as most are; what is not is read step by step."""
_NAME = re.compile(r"[^\s/>][^\s/>=]{0,99}+")
_SPACE = re.compile(r"\s*+")
_BARE = re.compile(r"[^\s>]*+")
_COMMENT_END = re.compile(r"--!?>")
_COMMENT_BEGIN = re.compile(r"<!--(?:-?>)?")
_RAW = ("iframe", "noembed", "noframes", "script", "style", "textarea", "title", "xmp")
"""Elements whose content is text, whatever it looks like."""
_RAW_ENDS = {name: re.compile(rf"(?i)</{name}(?=[\s/>])") for name in _RAW}
_LONGEST_END = len("</noframes>")
_LONG_NUMBER = re.compile(r"(&#[xX])0*+([0-9a-fA-F]{0,8})[0-9a-fA-F]*+|(&#)0*+([0-9]{0,8})[0-9]*+")
_REFERENCE = 40  # characters of a reference, with some zeros in it


class Kind(Enum):
    """What an event tells of."""

    TEXT = 1
    OPEN = 2
    CLOSE = 3
    ATTRIBUTE = 4
    END = 5  # of a tag: all its attributes were told
    COMMENT = 6  # it begins where the text is empty; then pieces of what stands in it, as it is written


Event = tuple[Kind, str, str]
"""The kind; the name of the tag or the attribute in lower case; the text or the value, references resolved."""


class Markup:
    """Tokens of HTML that comes in pieces, of which each should have some thousand characters."""

    def __init__(self) -> None:
        self._text = ""
        self._at = 0
        self._over = False
        self._mode: Callable[[Markup], Event | None] = Markup._in_text  # not bound: it would refer to itself
        self._tag = ""
        self._name = ""
        self._quote = ""
        self._value: list[str] = []
        self._room = 0
        self._raw_end: re.Pattern[str] | None = None

    def feed(self, piece: str, over: bool = False) -> Iterator[Event]:
        """What `piece` tells; `over`: no more follows."""
        self._text, self._at, self._over = self._text[self._at :] + piece, 0, over
        while self._at < len(self._text):
            before = self._at, self._mode
            event = self._mode(self)
            if event is not None:
                yield event
            elif before == (self._at, self._mode):
                break  # more is needed
        if over and self._value:
            yield self._told()

    def _in_text(self) -> Event | None:
        mark = _MARK.search(self._text, self._at)
        end = mark.start() if mark else len(self._text) if self._over else uncut(self._text, self._at)
        if end > self._at:
            return self._text_to(end)
        if mark is None or (len(self._text) - end < len("<!-->") and not self._over):
            return None
        return self._opened(end)

    def _text_to(self, end: int) -> Event:
        begun, self._at = self._at, end
        return Kind.TEXT, "", resolved(self._text[begun:end])

    def _opened(self, at: int) -> Event | None:
        """What begins with "<"."""
        if self._text.startswith("<!--", at):
            begin = _COMMENT_BEGIN.match(self._text, at)
            assert begin
            self._at = begin.end()
            self._mode = Markup._in_text if begin[0].endswith(">") else Markup._in_comment
            return Kind.COMMENT, "", ""
        tag = _TAG.match(self._text, at)
        if tag is None:
            self._at, self._mode = min(at + 2, len(self._text)), Markup._in_declaration
            return None
        if tag.end() == len(self._text) and not self._over:
            return None
        self._at, self._mode, self._tag = tag.end(), Markup._in_tag, tag[2].lower()
        closes = bool(tag[1])
        self._raw_end = None if closes else _RAW_ENDS.get(self._tag)
        return Kind.CLOSE if closes else Kind.OPEN, self._tag, ""

    def _in_declaration(self) -> None:
        end = self._text.find(">", self._at)
        self._at = len(self._text) if end < 0 else end + 1
        if end >= 0:
            self._mode = Markup._in_text

    def _in_comment(self) -> Event | None:
        begun = self._at
        end = self._skip_to(_COMMENT_END, len("--!"), behind=True)
        text = self._text[begun:end]
        return (Kind.COMMENT, "", text) if text else None

    def _in_raw(self) -> None:
        assert self._raw_end
        self._skip_to(self._raw_end, _LONGEST_END, behind=False)

    def _skip_to(self, pattern: re.Pattern[str], held: int, behind: bool) -> int:
        """On to what `pattern` finds; `held`: characters that may be the beginning of it. How far it was skipped."""
        end = pattern.search(self._text, self._at)
        if end:
            self._at, self._mode = end.end() if behind else end.start(), Markup._in_text
            return end.start()
        self._at = len(self._text) if self._over else max(self._at, len(self._text) - held)
        return self._at

    def _in_tag(self) -> Event | None:
        whole = _WHOLE.match(self._text, self._at)
        if whole:
            self._at = whole.end()
            return Kind.ATTRIBUTE, whole[1].lower(), resolved(whole[whole.lastindex or 0])
        at = self._behind(_BLANKS)
        if at == len(self._text):
            return None
        if self._text[at] == ">":
            self._at, self._mode = at + 1, Markup._in_raw if self._raw_end else Markup._in_text
            return Kind.END, self._tag, ""
        name = _NAME.match(self._text, at)
        assert name
        if name.end() < len(self._text) or self._over:
            self._at, self._name, self._mode = name.end(), name[0].lower(), Markup._behind_name
        return None

    def _behind(self, pattern: re.Pattern[str]) -> int:
        match = pattern.match(self._text, self._at)
        assert match
        self._at = match.end()
        return self._at

    def _behind_name(self) -> None:
        at = self._behind(_SPACE)
        if self._text.startswith("=", at):
            self._at, self._mode = at + 1, Markup._before_value
        elif at < len(self._text):
            self._mode = Markup._in_tag

    def _before_value(self) -> None:
        at = self._behind(_SPACE)
        if at < len(self._text):
            self._quote = self._text[at] if self._text[at] in "\"'" else ""
            self._at, self._mode, self._room = at + len(self._quote), Markup._in_value, MAX_VALUE

    def _in_value(self) -> Event | None:
        if self._quote:
            end = self._text.find(self._quote, self._at)
            stop = len(self._text) if end < 0 else end
        else:
            bare = _BARE.match(self._text, self._at)
            assert bare
            stop = bare.end()
        self._value.append(self._text[self._at : min(stop, self._at + self._room)])
        self._room -= len(self._value[-1])
        closed = stop < len(self._text)
        self._at = stop + (closed and len(self._quote))
        return self._told() if closed else None

    def _told(self) -> Event:
        value = "".join(self._value)
        self._value.clear()
        self._mode = Markup._in_tag
        return Kind.ATTRIBUTE, self._name, resolved(value)


def uncut(text: str, start: int = 0) -> int:
    """Where `text` may be cut without cutting a reference, at `start` or behind it."""
    cut = text.rfind("&", max(start, len(text) - _REFERENCE))
    return len(text) if cut < 0 else cut


def resolved(text: str) -> str:
    """With character references resolved; `html.unescape` fails on numbers of many digits."""
    if "&" not in text:
        return text
    return html.unescape(_LONG_NUMBER.sub(r"\1\2\3\4", text) if "&#" in text else text)

"""Where each key of a TOML document stands: `tomllib` tells values but no lines.

Works on text that tomllib has accepted, so it only has to find its way and never to judge (TOML 1.0.0).
"""

import re
from bisect import bisect_right

Path = tuple[str | int, ...]

_BLANK = re.compile(r"[ \t]*")
_BETWEEN = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_SCALAR = re.compile(r"[^,\]}#\r\n]+")
_STRING = re.compile(
    r'"""(?:[^\\]|\\.)*?"{3,5}(?!")'
    r"|'''(?:.)*?'{3,5}(?!')"
    r'|"(?:[^"\\]|\\.)*"'
    r"|'[^']*'",
    re.DOTALL,
)
_ESCAPE = re.compile(r'\\(?:u([0-9A-Fa-f]{4})|U([0-9A-Fa-f]{8})|([btnfr"\\]))')
_ESCAPED = {"b": "\b", "t": "\t", "n": "\n", "f": "\f", "r": "\r", '"': '"', "\\": "\\"}


def lines_of(text: str) -> dict[Path, int]:
    """The line, counted from 1, of each key, table and list item in `text`, by its path.

    An item of a list or of an array of tables has its index in the path. The root, (), is line 1.
    """
    return _Scanner(text).scan()


def _unescape(found: re.Match[str]) -> str:
    short, long, letter = found.groups()
    return _ESCAPED[letter] if letter else chr(int(short or long, 16))


class _Scanner:
    """One walk over the text; `_at` is the place, `_table` the path that keys are relative to."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._starts = [0, *(found.end() for found in re.finditer("\n", text))]
        self._lines: dict[Path, int] = {(): 1}
        self._sizes: dict[Path, int] = {}
        self._table: Path = ()

    def scan(self) -> dict[Path, int]:
        self._skip(_BETWEEN)
        while self._at < len(self._text):
            if self._take("[["):
                self._array_table()
            elif self._take("["):
                self._table_header()
            else:
                self._pair(self._table)
            self._skip(_BETWEEN)
        return self._lines

    def _skip(self, pattern: re.Pattern[str]) -> str:
        found = pattern.match(self._text, self._at)
        self._at = found.end() if found else self._at
        return found.group() if found else ""

    def _take(self, token: str) -> bool:
        taken = self._text.startswith(token, self._at)
        self._at += len(token) if taken else 0
        return taken

    def _line(self, at: int) -> int:
        return bisect_right(self._starts, at)

    def _key(self) -> list[str]:
        """The parts of a dotted key, and stand behind it."""
        parts = []
        while True:
            self._skip(_BLANK)
            parts.append(self._key_part())
            self._skip(_BLANK)
            if not self._take("."):
                return parts

    def _key_part(self) -> str:
        if self._text[self._at] == '"':
            return _ESCAPE.sub(_unescape, self._skip(_STRING)[1:-1])
        if self._text[self._at] == "'":
            return self._skip(_STRING)[1:-1]
        return self._skip(_BARE_KEY)

    def _down(self, base: Path, parts: list[str], at: int) -> Path:
        """The path of `parts` below `base`, through the latest item of each array of tables on the way.

        Tables on the way may be made by this very key; their first place counts until a header of their own is found.
        """
        for part in parts[:-1]:
            base = (*base, part)
            self._lines.setdefault(base, self._line(at))
            if base in self._sizes:
                base = (*base, self._sizes[base] - 1)
        return (*base, parts[-1])

    def _table_header(self) -> None:
        at = self._at
        self._table = self._down((), self._key(), at)
        self._lines[self._table] = self._line(at)
        self._take("]")

    def _array_table(self) -> None:
        at = self._at
        path = self._down((), self._key(), at)
        index = self._sizes.get(path, 0)
        self._sizes[path] = index + 1
        self._table = (*path, index)
        self._lines.setdefault(path, self._line(at))
        self._lines[self._table] = self._line(at)
        self._take("]]")

    def _pair(self, base: Path) -> None:
        at = self._at
        path = self._down(base, self._key(), at)
        self._lines[path] = self._line(at)
        self._take("=")
        self._skip(_BLANK)
        self._value(path)

    def _value(self, path: Path) -> None:
        if self._take("["):
            self._list(path)
        elif self._take("{"):
            self._inline_table(path)
        elif not self._skip(_STRING):
            self._skip(_SCALAR)

    def _list(self, path: Path) -> None:
        self._skip(_BETWEEN)
        index = 0
        while not self._take("]"):
            self._lines[(*path, index)] = self._line(self._at)
            self._value((*path, index))
            index += 1
            self._skip(_BETWEEN)
            self._take(",")
            self._skip(_BETWEEN)

    def _inline_table(self, path: Path) -> None:
        self._skip(_BLANK)
        while not self._take("}"):
            self._pair(path)
            self._skip(_BLANK)
            self._take(",")
            self._skip(_BLANK)

"""Content-Type and Content-Disposition: the word in front and the parameters behind (RFC 2045 section 5.1, RFC 2183).

Tolerant, as mail clients are: comments, missing quotes, continuations and charsets of RFC 2231, and encoded words of
RFC 2047 where they do not belong. Nothing here raises on garbage; a value is cut at 8 KiB before it is read.
"""

import binascii
import re
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

_VALUE_BYTES = 8_192
_FILENAME_CHARACTERS = 255
_SEGMENTS = 100
_PARAMETER = re.compile(rb';\s*+([^\s=;"]++)\s*+=\s*+(?:"((?:[^"\\]|\\.)*+)"?+|([^;]*+))', re.DOTALL)
_QUOTED_OR_COMMENT = re.compile(rb'("(?:[^"\\]|\\.)*+"?+)|\((?:[^()\\]|\\.)*+\)', re.DOTALL)
_ESCAPED = re.compile(rb"\\(.)", re.DOTALL)
_WORD = re.compile(r"=\?([^?\s]{1,64})\?([bBqQ])\?([^?\s]*+)\?=(?:\s++(?==\?))?")


class Parameters(NamedTuple):
    """What a structured field says."""

    word: str
    """"text/plain", "attachment": what stands in front of the first ";", in lower case."""
    values: dict[str, bytes]
    """By lower-case name, unquoted; of a repeated name the first one."""
    repeated: frozenset[str]
    """Names that occur more than once: readers differ on which one counts."""

    def value(self, name: str) -> bytes:
        """One parameter's value, continuations of RFC 2231 joined and their escapes undone; empty without one."""
        return self.values[name] if name in self.values else self._extended(name)[0]

    def text(self, name: str) -> str | None:
        """One parameter's value for people, decoded by RFC 2231 or RFC 2047; control characters are dropped."""
        value, charset = self._extended(name)
        text = _decoded(value, charset or "utf-8") if value else _words(_decoded(self.value(name), "utf-8"))
        return "".join(filter(str.isprintable, text))[:_FILENAME_CHARACTERS] or None

    def ambiguous(self, name: str) -> bool:
        """Whether the parameter is given twice, in the same or in different forms."""
        return name in self.repeated or (name in self.values and bool(self._extended(name)[0]))

    def _extended(self, name: str) -> tuple[bytes, str]:
        """The value in one of RFC 2231's forms, and its charset: name*, or name*0, name*1*, ..."""
        if f"{name}*" in self.values:
            return _unescaped(self.values[f"{name}*"])
        joined, charset = b"", ""
        for number in range(_SEGMENTS):
            plain, escaped = self.values.get(f"{name}*{number}"), self.values.get(f"{name}*{number}*")
            if plain is None and escaped is None:
                break
            if escaped is not None and number == 0:
                escaped, charset = _unescaped(escaped)
                joined += escaped
            else:
                joined += plain if plain is not None else unquote_to_bytes(escaped or b"")
        return joined, charset


def parse(value: bytes) -> Parameters:
    """Read a field's value, as it was sent."""
    value = _without_comments(value[:_VALUE_BYTES])
    word = value.partition(b";")[0].strip().lower().decode("ascii", "replace")
    values: dict[str, bytes] = {}
    repeated: set[str] = set()
    for match in _PARAMETER.finditer(value):
        name = match[1].lower().decode("ascii", "replace")
        if name in values:
            repeated.add(name)
        elif match[2] is not None:
            values[name] = _ESCAPED.sub(rb"\1", match[2])
        else:
            values[name] = match[3].strip()
    return Parameters(word, values, frozenset(repeated))


def _without_comments(value: bytes) -> bytes:
    """Comments (RFC 5322 section 3.2.2) become a space; three levels of them, which is more than anybody writes."""
    for _ in range(3):
        if b"(" not in value:
            break
        value = _QUOTED_OR_COMMENT.sub(lambda match: match[1] or b" ", value)
    return value


def _unescaped(value: bytes) -> tuple[bytes, str]:
    """The value of "charset'language'%41%42", and the charset."""
    charset, _, rest = value.partition(b"'")
    _, quote, text = rest.partition(b"'")
    if not quote:
        return unquote_to_bytes(value), ""
    return unquote_to_bytes(text), charset.decode("ascii", "replace")


def _decoded(value: bytes, charset: str) -> str:
    """As text; what the charset cannot read, and a charset that is none, become U+FFFD or a guess."""
    try:
        return value.decode(charset, "replace")
    except (LookupError, ValueError):  # no such charset, or one that does not know "replace"
        return value.decode("utf-8", "replace")


def _words(text: str) -> str:
    """Encoded words decoded (RFC 2047 section 2), wherever they stand."""
    return _WORD.sub(_word, text) if "=?" in text else text


def _word(match: re.Match[str]) -> str:
    charset, encoding, text = match[1], match[2].lower(), match[3].encode("utf-8")
    if encoding == "q":
        return _decoded(binascii.a2b_qp(text, header=True), charset.partition("*")[0])
    try:
        return _decoded(binascii.a2b_base64(text + b"=="), charset.partition("*")[0])
    except binascii.Error:
        return match[0]

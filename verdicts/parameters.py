"""Content-Type and Content-Disposition: the word in front and the parameters behind (RFC 2045 section 5.1, RFC 2183).

Tolerant, as mail clients are: comments, missing quotes, continuations and charsets of RFC 2231, and encoded words of
RFC 2047 where they do not belong. Nothing here raises on garbage; the caller cuts a value at
`MAX_VALUE_BYTES`.
"""

import binascii
import functools
import re
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

MAX_VALUE_BYTES = 4_096
"""Of one field; a file name of 255 characters in RFC 2231's escapes has under 3,100."""

ENCODED_WORDS = 64
"""That are decoded in one text; a file name of 255 characters has some twenty."""

_FILENAME_CHARACTERS = 255
_SEGMENTS = 100
_PARAMETER = re.compile(rb';\s*+([^\s=;"]++)\s*+=\s*+(?:"((?:[^"\\]|\\.)*+)"?+|([^;]*+))', re.DOTALL)
_QUOTED_OR_COMMENT = re.compile(rb'("(?:[^"\\]|\\.)*+"?+)|\((?:[^()\\]|\\.)*+\)', re.DOTALL)
_ESCAPED = re.compile(rb"\\(.)", re.DOTALL)
_TOKEN = re.compile(rb'[^\s;,"()]++')
_WORD = re.compile(r"=\?([^?\s]{1,64})\?([bBqQ])\?([^?\s]*+)\?=(?:\s++(?==\?))?")


class Parameters(NamedTuple):
    """What a structured field says."""

    word: str
    """"text/plain", "attachment": what stands in front of the first ";", in lower case."""
    values: dict[str, bytes]
    """By lower-case name, unquoted; of a repeated name the first one."""
    repeated: dict[str, bytes]
    """The last other value of names that occur again with another: readers differ on which one counts."""
    extended: bool
    """Whether some are in a form of RFC 2231."""

    def value(self, name: str) -> bytes:
        """One parameter's value, continuations of RFC 2231 joined and their escapes undone; empty without one."""
        return self.values[name] if name in self.values else self._extended(name)[0]

    def text(self, name: str) -> str | None:
        """One parameter's value for people, decoded by RFC 2231 or RFC 2047; control characters are dropped."""
        text = next(iter(self.texts(name)), "")
        return "".join(filter(str.isprintable, text))[-_FILENAME_CHARACTERS:] or None

    def texts(self, name: str) -> tuple[str, ...]:
        """The values for people that readers may take for the parameter's, the most likely first; nothing dropped."""
        value, charset = self._extended(name)
        found = [_decoded(value, charset or "utf-8")] if value else []
        found += [words(_decoded(said, "utf-8")) for said in (self.values.get(name), self.repeated.get(name)) if said]
        return tuple(found)

    def ambiguous(self, name: str) -> bool:
        """Whether the parameter is given two values, in the same or in different forms."""
        return name in self.repeated or (
            name in self.values and self._extended(name)[0] not in (b"", self.values[name])
        )

    def _extended(self, name: str) -> tuple[bytes, str]:
        """The value in one of RFC 2231's forms, and its charset: name*, or name*0, name*1*, ..."""
        if not self.extended:
            return b"", ""
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


@functools.lru_cache(maxsize=256)
def parse(value: bytes) -> Parameters:
    """Read a field's value, as it was sent. Most parts of most messages say the same few, which are remembered."""
    value = _without_comments(value)
    word = value.partition(b";")[0].strip().lower().decode("ascii", "replace")
    values: dict[str, bytes] = {}
    repeated: dict[str, bytes] = {}
    for match in _PARAMETER.finditer(value):
        name = match[1].lower().decode("ascii", "replace")
        said = match[3].strip() if match[2] is None else match[2]
        if b"\\" in said and match[2] is not None:
            said = _ESCAPED.sub(rb"\1", said)
        if values.setdefault(name, said) != said:
            repeated[name] = said
    return Parameters(word, values, repeated, b"*" in value)


@functools.lru_cache(maxsize=256)
def token(value: bytes) -> str:
    """The first word of a field that has only one, in lower case; empty when there is none."""
    found = _TOKEN.search(_without_comments(value))
    return found[0].lower().decode("ascii", "replace") if found else ""


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


def words(text: str) -> str:
    """Encoded words decoded (RFC 2047 section 2), wherever they stand."""
    return _WORD.sub(_word, text, ENCODED_WORDS) if "=?" in text else text


def _word(match: re.Match[str]) -> str:
    charset, encoding, text = match[1], match[2].lower(), match[3].encode("utf-8")
    if encoding == "q":
        return _decoded(binascii.a2b_qp(text, header=True), charset.partition("*")[0])
    try:
        return _decoded(binascii.a2b_base64(text + b"=="), charset.partition("*")[0])
    except binascii.Error:
        return match[0]

"""Tag lists, in which signatures and keys are written (RFC 6376 section 3.2), and what is wrong with a signature."""

import binascii
import re

MAX_TAGS = 100
"""Tags of one list; an honest one has some fifteen."""

Tags = dict[str, str]

_TAG = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_WHITE = re.compile(r"[ \t\r\n]+")
_MAX_BASE64 = 4_096  # characters; a key or a signature of 8192 bits has some 1,400


class Fault(Exception):
    """A signature that does not hold: `result` is a word of RFC 8601, `reason` says why."""

    def __init__(self, result: str, reason: str) -> None:
        super().__init__(reason)
        self.result = result
        self.reason = reason


def tags(text: str) -> Tags:
    """A tag list (RFC 6376 section 3.2) by name, values without white space at their ends. Raises `Fault`."""
    found: Tags = {}
    pairs = text.rstrip(" \t\r\n").removesuffix(";").split(";", MAX_TAGS)
    if len(pairs) > MAX_TAGS:
        raise Fault("permerror", f"it has more than {MAX_TAGS} tags")
    for pair in pairs:
        name, equals, value = pair.partition("=")
        name = name.strip(" \t\r\n")
        if not equals or not _TAG.fullmatch(name) or name in found:
            raise Fault("permerror", "it is no list of tags")
        found[name] = value.strip(" \t\r\n")
    return found


def required(found: Tags, *names: str) -> None:
    """Raises `Fault` when one of the tags is missing or empty."""
    for name in names:
        if not found.get(name):
            raise Fault("permerror", f"{name}= is missing")


def number(found: Tags, name: str) -> int | None:
    """The tag's value; None when it is not given. Raises `Fault` when it is no number of at most 18 digits."""
    text = found.get(name)
    if text is not None and not re.fullmatch(r"[0-9]{1,18}", text):
        raise Fault("permerror", f"{name}= is no number")
    return None if text is None else int(text)


def decoded(found: Tags, name: str) -> bytes:
    """The tag's value out of base64, white space in it allowed. Raises `Fault`."""
    try:
        return binascii.a2b_base64(compact(found[name])[:_MAX_BASE64].encode(), strict_mode=True)
    except (binascii.Error, ValueError):
        raise Fault("permerror", f"{name}= is not base64") from None


def compact(text: str) -> str:
    """Without any white space."""
    return _WHITE.sub("", text)

"""One URL, read as browsers and mail clients read it, and how it hides where it leads.

Sources: WHATWG URL Standard, section 4.4 (white space inside, backslashes, any number of slashes, user names in front
of the host); the habits of people who make URLs harmless ("hxxp", "[.]"), which others undo.
"""

import re
from typing import NamedTuple

from verdicts.web.hosts import Host, has_known_suffix, read_host, registered

MAX_URL = 8_192
"""Characters of a URL that are looked at."""

PLACES = frozenset(("http", "https", "ftp", "ws", "wss", "file"))
"""Schemes that lead to a host."""
SCRIPTS = frozenset(("data", "javascript", "vbscript"))
"""Schemes that bring their content along."""

_EDGE = "".join(map(chr, range(33)))
_BLANKS = re.compile(r"[\t\n\r]+")
_SCHEME = re.compile(r"([a-zA-Z][a-zA-Z0-9+-]{0,30}):")
_DEFANGED_SCHEME = re.compile(r"(?i)(?:h(?:xx|\*\*|tx|xt)p|meow)(s?)(?=:|\[)")
_DEFANGED = re.compile(r"(?i)[\[({]\s?(?:(\.)|dot|(:/*|/+))\s?[\])}]")
_AUTHORITY = re.compile(r"([/\\]*+)([^/\\?#]*+)")
_PORT = re.compile(r":\d*\Z")  # any number of zeros in front of it counts for nothing
_DOTS = re.compile(r"(?i)/(?:\.|%2e){1,2}(?=/|\Z)")


class Url(NamedTuple):
    """A URL. Of one that brings its content along (`SCRIPTS`) `host` is empty."""

    scheme: str
    host: str
    """See `hosts.Host.name`."""
    path: str
    """What stands behind the host, with the slash in front; cut."""
    address: bool = False
    """Whether the host is an IP address."""
    tricks: frozenset[str] = frozenset()
    """How it hides where it leads: "userinfo", "odd-address", "hidden-host", "odd-slashes", "blanks", "defanged"."""

    @property
    def text(self) -> str:
        """The URL as it would be without tricks."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}{self.path}" if self.host else f"{self.scheme}:{self.path}"

    @property
    def domain(self) -> str:
        """What somebody registered, or the IP address."""
        return registered(self.host)


def read_url(text: str, base: Url | None = None) -> Url | None:
    """Where `text` leads; None when it leads nowhere outside of the message, as "mailto:" and "#top" do.

    Relative to `base` where there is one; without one, what begins with a host name is taken for a URL.
    """
    tricks: set[str] = set()
    text = _cleaned(text[:MAX_URL].strip(_EDGE), tricks)
    match = _SCHEME.match(text)
    scheme = match[1].lower() if match else ""
    rest = text[match.end() :] if match else text
    if scheme in SCRIPTS:
        return Url(scheme, "", rest[:MAX_URL], tricks=frozenset(tricks))
    if scheme in PLACES:
        return _leading(scheme, rest, tricks)
    if text[:1] in ("/", "\\") and text[1:2] in ("/", "\\"):
        return _leading(base.scheme if base else "https", text, tricks)
    if base is not None and base.host and not scheme:
        return _relative(base, text, tricks)
    return _guessed(text, tricks)


def _cleaned(text: str, tricks: set[str]) -> str:
    """Without white space inside, and as it was before somebody made it harmless."""
    if _BLANKS.search(text):
        text = _BLANKS.sub("", text)
        tricks.add("blanks")
    harmed = _DEFANGED_SCHEME.sub(r"http\1", text, count=1) if text[:1] in "hHmM" else text
    if "[" in text or "(" in text or "{" in text:
        harmed = _DEFANGED.sub(lambda found: found[2] or ".", harmed)
    if harmed != text:
        tricks.add("defanged")
    return harmed


def _leading(scheme: str, rest: str, tricks: set[str]) -> Url | None:
    """The URL whose scheme is followed by `rest`."""
    match = _AUTHORITY.match(rest)
    slashes, authority = match.groups() if match else ("", "")
    if slashes != "//" and scheme != "file":
        tricks.add("odd-slashes")
    before, at, place = authority.rpartition("@")
    if at and before:
        tricks.add("userinfo")
    host = read_host(_PORT.sub("", place))
    if host is None or (scheme == "file" and ("." not in host.name or slashes == "///")):  # our own files
        return None
    if host.odd:
        tricks.add("odd-address" if host.address else "hidden-host")
    path = rest[len(slashes) + len(authority) :]
    return _url(scheme, host, path, tricks)


def _url(scheme: str, host: Host, path: str, tricks: set[str]) -> Url:
    return Url(scheme, host.name, _walked(path.replace("\\", "/")), host.address, frozenset(tricks))


def _walked(path: str) -> str:
    """A path as browsers ask for it: without the steps "." and ".." (WHATWG URL, section 4.4, path state)."""
    end = min((at for mark in "?#" if (at := path.find(mark)) >= 0), default=len(path))
    if not _DOTS.search(path, 0, end):
        return path
    *steps, last = path[:end].split("/")[1:]
    walked: list[str] = []
    for step in (*steps, last):
        plain = step.lower().replace("%2e", ".")
        if plain == "..":
            del walked[-1:]
        elif plain != ".":
            walked.append(step)
    if last.lower().replace("%2e", ".") in (".", ".."):
        walked.append("")
    return f"/{'/'.join(walked)}{path[end:]}"


def _relative(base: Url, text: str, tricks: set[str]) -> Url | None:
    if not text or text.startswith("#"):
        return None
    path = text if text[:1] in ("/", "\\") else f"{base.path.partition('?')[0].rpartition('/')[0]}/{text}"
    return base._replace(path=_walked(path[:MAX_URL]), tricks=base.tricks | tricks)


def _guessed(text: str, tricks: set[str]) -> Url | None:
    """A host name without a scheme, which mail clients complete."""
    url = _leading("http", f"//{text}", tricks)
    return url if url and "." in url.host and "userinfo" not in tricks and has_known_suffix(url.host) else None

"""Where a URL leads behind the redirector that it names: link protection, search engines, social networks, shorteners.

Sources: the vendors' own formats: Microsoft Defender "Safe Links" (?url=), Proofpoint "URL Defense" v1 to v3, Cisco
"secure-web", Google (/url?q=, AMP, translate.goog), Bing (/ck/a?u=, base64). Nothing is fetched: a shortener's target
is unknown, and only said to be one.
"""

import binascii
import re
from collections.abc import Iterator
from urllib.parse import unquote

from verdicts.web.hosts import core
from verdicts.web.urls import Url

PARAMETERS = {
    "google": ("q", "url", "adurl", "imgurl", "u"),
    "googleadservices": ("adurl",),
    "doubleclick": ("adurl", "url"),
    "outlook": ("url",),
    "urldefense": ("u",),
    "proofpoint": ("u",),
    "facebook": ("u",),
    "instagram": ("u",),
    "youtube": ("q",),
    "linkedin": ("url",),
    "bing": ("u", "url"),
    "duckduckgo": ("uddg",),
    "cudasvc": ("a",),
    "sophos": ("d",),
    "trendmicro": ("url",),
    "fireeye": ("u",),
    "symantec": ("u",),
    "slack-redir": ("url",),
    "steamcommunity": ("url", "u"),
    "umblr": ("z",),
    "vk": ("to",),
    "yandex": ("url",),
}
"""Parameters that hold a target, perhaps without a scheme, by what the redirector registered."""

SHORTENERS = frozenset(
    (
        "adf.ly", "bit.do", "bit.ly", "bitly.com", "bl.ink", "buff.ly", "cutt.ly", "dlvr.it", "goo.gl", "goo.su",
        "is.gd", "j.mp", "lnkd.in", "me-qr.com", "ow.ly", "qr.ae", "qrco.de", "rb.gy", "rebrand.ly", "s.id", "short.io",
        "shorturl.at", "soo.gd", "t.co", "t.ly", "tiny.cc", "tinyurl.com", "tr.im", "u.to", "urlz.fr", "v.gd", "x.gd",
    )
)  # fmt: skip
"""Registered domains whose URLs say nothing of where they lead."""

_UNQUOTED = 4  # a redirector behind a redirector quotes once more
_EMBEDDED = re.compile(r"(?i)https?(?::|%(?:25){0,3}3a)(?:[/\\]|%(?:25){0,3}(?:2f|5c))[^&\s\"'<>]*")
_QUOTED = re.compile(r"(?i)https?(?:%|:%)")
_ENDS = re.compile(r"___?(?:[.;]|$)")  # of a target in a path, as Proofpoint and Check Point mark them
_BASE64 = re.compile(r"aHR0c[A-Za-z0-9+/_-]{6,2000}")
_AMP = re.compile(r"/(?:amp/|[cvi]/)(?:s/)?([^/?#]+\.[^/?#]+.*)")


def is_shortener(url: Url) -> bool:
    """Whether the URL's target is known to its shortener alone."""
    return url.domain in SHORTENERS and len(url.path) > 1


def targets(url: Url) -> list[str]:
    """The URLs that `url` names as where it leads on to, as they are written; not those behind these."""
    return list(dict.fromkeys((*_of_known(url), *_embedded(url.path), *_encoded(url.path))))


def _of_known(url: Url) -> Iterator[str]:
    """Targets in the parameters and the host names of redirectors that are known."""
    if url.host.endswith((".translate.goog", ".cdn.ampproject.org")):
        yield "http://" + _dotted(url.host.partition(".")[0])
    if (url.domain == "ampproject.org" or core(url.host) == "google") and (amp := _AMP.match(url.path)):
        yield f"http://{amp[1]}"
    names = PARAMETERS.get(core(url.host), ())
    if not names:
        return
    _, _, query = url.path.partition("?")
    for parameter in re.split("[&#]", query):
        name, _, value = parameter.partition("=")
        if name.lower() in names:
            yield _proofpoint(value) if "-3A" in value else _unquoted(value)


def _dotted(label: str) -> str:
    """What a label names: "evil--site-example" is "evil-site.example"."""
    return label.replace("--", "\0").replace("-", ".").replace("\0", "-")


def _proofpoint(value: str) -> str:
    """URL Defense v2 writes "_" for "/" and "-" for "%"."""
    return unquote(value.replace("_", "/").replace("-", "%"), errors="replace")


def _embedded(path: str) -> Iterator[str]:
    """Whole URLs within the path or the query, quoted or not, whoever is meant to follow them."""
    for match in _EMBEDDED.finditer(path):
        yield _ENDS.split(_unquoted(match[0]), maxsplit=1)[0]


def _unquoted(text: str) -> str:
    for _ in range(_UNQUOTED):
        text = unquote(text, errors="replace")
        if not _QUOTED.match(text):
            break
    return text


def _encoded(path: str) -> Iterator[str]:
    """URLs in base64, which begin with the same letters."""
    for match in _BASE64.finditer(path):
        text = match[0].replace("-", "+").replace("_", "/")
        text = text[: len(text) - (len(text) % 4 == 1)]
        yield binascii.a2b_base64(text + "=" * (-len(text) % 4)).decode("utf-8", "replace")

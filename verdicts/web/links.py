"""The links of a message: of its subject, its texts and its HTML; read once, in steps, and shared by engines.

    found = await links(mail)
    for link in found.links: link.url.host, link.url.domain, link.shown

A redirector's target is a link too. What is not looked at has a reason in `unread`; an engine raises `Unscanned` for
it.
"""

import asyncio
import codecs
from collections.abc import Callable, Generator, Iterator
from functools import lru_cache

from verdicts.mail import Mail
from verdicts.parameters import words
from verdicts.parts import Part
from verdicts.web.gathering import DEFAULT, Found, LimitError, Limits, Link, Links
from verdicts.web.pages import Page
from verdicts.web.prose import READABLE, Prose

__all__ = ("Limits", "Link", "Links", "links", "links_of")

_WINDOW = 4_096  # characters looked at in one step: a millisecond, or three of the worst HTML
_SUBJECT = 10_000
_PAGES = (".htm", ".html", ".shtml", ".svg", ".xht", ".xhtml", ".xml")
_TEXT_CODECS = ("ascii", "big5", "cp", "euc", "gb", "hz", "iso", "johab", "koi8", "latin", "mac", "shift_jis", "utf")
"""How the names of the codecs begin that are for text, and are not slow."""
_UNMARKED = {"utf-16": "utf-16-le"}  # as browsers take it (WHATWG Encoding, section 4.2)


async def links(mail: Mail, limits: Limits = DEFAULT) -> Links:
    """The links of `mail`: read once, whoever asks, in steps of about a millisecond."""
    structure = await mail.read_structure()
    key = f"links:{limits}"
    reading = mail.cache.get(key)
    if not isinstance(reading, _Reading):
        unread = ("not all parts of the message were found",) if structure.truncated else ()
        reading = mail.cache[key] = _Reading(mail, structure.parts, unread, limits)
    while reading.step():  # noqa: ASYNC110 - it is work, not waiting
        await asyncio.sleep(0)
    return reading.links()


async def links_of(texts: list[tuple[str, str]], limits: Limits = DEFAULT) -> Links:
    """The links that are URLs found elsewhere (text and place of each), their targets included."""
    found = Found(limits)
    try:
        for text, place in texts:
            found.add(text, place)
        for _ in found.read():
            await asyncio.sleep(0)
    except LimitError as limit:
        return found.links((str(limit),))
    return found.links()


class _Reading:
    """The reading of one message, which engines at work at the same time go on with in turn.

    It refers neither to the mail nor to itself, so that it is gone with the mail.
    """

    def __init__(self, mail: Mail, parts: tuple[Part, ...], unread: tuple[str, ...], limits: Limits) -> None:
        self._found = Found(limits)
        self._unread = list(unread)
        self._steps = _read(mail.fields.text("Subject"), parts, self._found, limits.bytes)
        self._over = False

    def step(self) -> bool:
        """Read on a little; False when all is read."""
        try:
            if not self._over:
                next(self._steps)
        except StopIteration:
            self._over = True
        except LimitError as limit:
            self._over = True
            self._unread.append(str(limit))
        return not self._over

    def links(self) -> Links:
        return self._found.links(tuple(self._unread))


class _Text:
    """Text that comes in pieces."""

    def __init__(self, found: Found) -> None:
        self._found = found
        self._prose = Prose(READABLE)

    def feed(self, piece: str, over: bool = False) -> Iterator[None]:
        """Read on."""
        for text in self._prose.feed(piece, over):
            self._found.add(text, "text")
        yield


def _read(subject: str, parts: tuple[Part, ...], found: Found, room: int) -> Generator[None, None, None]:
    for text in Prose(READABLE).feed(words(subject[:_SUBJECT]), over=True):
        found.add(text, "subject")
    yield from found.read()
    for number, part in enumerate(parts):
        if number % 10 == 9:
            yield
        read = _reader(part)
        if read is not None:
            room = yield from _read_part(part, read(found), found, room)
    if len(subject) > _SUBJECT:
        raise LimitError("the subject is too long")


def _reader(part: Part) -> type[Page | _Text] | None:
    """What reads such a part; None when it is no text."""
    kind = part.content_type
    if kind.endswith(("html", "xml")) or (part.filename or "").lower().endswith(_PAGES):
        return Page
    return _Text if kind.startswith(("text/", "message/")) else None


def _read_part(part: Part, reader: Page | _Text, found: Found, room: int) -> Generator[None, None, int]:
    """How much room is left behind it. Raises LimitError."""
    decoder = None
    for piece in part.decoded_pieces():
        yield
        decoder = decoder or _Decoder(part.charset, piece)
        for at in range(0, min(len(piece), room), _WINDOW):
            yield from reader.feed(decoder.decode(piece[at : min(at + _WINDOW, room)]))
            yield from found.read()
            yield
        room -= len(piece)
        if room < 0:
            raise LimitError("it has more text than is looked at")
    yield from reader.feed("", over=True)
    yield from found.read()
    return room


class _Decoder:
    """Text of a charset; a byte order mark is believed more than the charset."""

    def __init__(self, charset: str, beginning: bytes) -> None:
        marked = beginning.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
        self._decoder = _codec("utf-16" if marked else _UNMARKED.get(charset, charset))("replace")

    def decode(self, piece: bytes) -> str:
        try:
            return self._decoder.decode(piece)
        except ValueError:  # some do not know "replace" everywhere
            return piece.decode("latin-1")


@lru_cache(maxsize=64)
def _codec(charset: str) -> Callable[[str], codecs.IncrementalDecoder]:
    """One that is unknown is read as UTF-8."""
    try:
        found = codecs.lookup(charset or "utf-8")
    except (LookupError, ValueError):
        found = codecs.lookup("utf-8")
    if not found.name.startswith(_TEXT_CODECS) or found.incrementaldecoder is None:
        found = codecs.lookup("utf-8")
    return found.incrementaldecoder

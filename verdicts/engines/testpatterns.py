"""The two test patterns of the trade: GTUBE is spam, EICAR is malicious, in the message as sent or in any decoded part.

Sources: spamassassin.apache.org/gtube and eicar.org. The patterns are put together here, so that this file itself does
not set off a scanner.
"""

import asyncio
import base64
from collections.abc import Generator, Iterable, Iterator

from verdicts.contract import Engine, Finding, Severity, Unscanned
from verdicts.decoding import NOT_BASE64, PIECE
from verdicts.fields import Source, searchable
from verdicts.mail import Mail
from verdicts.parts import Part

GTUBE = b"XJS*C4JDBQADN1.NSBN3*2IDNEN*" + b"GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X"
EICAR = rb"X5O!P%@AP[4\PZX54(P^)7CC)7}$" + b"EICAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"

_FINDINGS = {
    GTUBE: Finding("GTUBE", Severity.SPAM, detail="the test pattern for spam filters"),
    EICAR: Finding("EICAR", Severity.MALICIOUS, detail="the test pattern for virus scanners"),
}
_OVERLAP = max(map(len, _FINDINGS)) - 1


def _in_base64(pattern: bytes) -> Iterator[bytes]:
    """The characters that `pattern` becomes when 0, 1 or 2 bytes stand before it in its group of three.

    Those at the ends that depend on its neighbours too are left away.
    """
    for before, first in enumerate((0, 2, 3)):
        text = base64.b64encode(bytes(before) + pattern)
        yield text[first : (before + len(pattern)) * 8 // 6]


_ENCODED = [encoded for pattern in _FINDINGS for encoded in _in_base64(pattern)]
_SIGNS = (b"=", *_ENCODED)  # that a body in base64 has to be decoded, once the padding at its end is off
_ENCODED_OVERLAP = max(map(len, _ENCODED)) - 1

_WINDOW = 524_288  # bytes searched at a time: half a millisecond, and five times that for text made to be slow
_TURN = 262_144  # bytes decoded and searched before other messages get their turn: about a millisecond
_SEARCH_IS_CHEAPER = 2  # at least so many times than to decode, byte by byte
_PART_COST = 2_048  # what a part costs besides its bytes, as bytes


class TestPatterns(Engine):
    """Looks for GTUBE and EICAR. Needs no server."""

    __test__ = False  # pytest takes what is called Test... for tests

    async def judge(self, mail: Mail) -> Iterable[Finding]:
        """Raises `Unscanned` when there is more than is read. What readers take in different ways the panel tells."""
        source = searchable(mail.content.view())
        found: set[bytes] = set()
        await _in_turns(_search_raw(source, found))
        structure = await mail.read_structure()
        # A part that lies in the message as it is was searched with the message.
        parts = [part for part in structure.parts if part.encoded or part.source is not source]
        await _in_turns(_search_parts(parts, found))
        findings = [finding for pattern, finding in _FINDINGS.items() if pattern in found]
        if structure.truncated:
            raise Unscanned("more parts, deeper ones or longer fields than are read", findings)
        return findings


async def _in_turns(search: Iterator[int]) -> None:
    """Run `search`, which tells what each step cost, as bytes decoded; others get their turn after `_TURN` of them."""
    spent = 0
    for cost in search:
        spent += cost
        if spent >= _TURN:
            spent = 0
            await asyncio.sleep(0)


def _search_raw(source: Source, found: set[bytes]) -> Iterator[int]:
    for start in range(0, len(source), _WINDOW):
        found.update(_patterns_in(source, start, start + _WINDOW + _OVERLAP))
        yield min(_WINDOW, len(source) - start) // _SEARCH_IS_CHEAPER


def _patterns_in(source: Source, start: int, end: int) -> Iterable[bytes]:
    """Both have a "*", which is found ten times as fast as they, and which a body in base64 does not have."""
    star = source.find(b"*", start, end)
    if star < 0:
        return ()
    start = max(start, star - _OVERLAP)
    return [pattern for pattern in _FINDINGS if source.find(pattern, start, end) >= 0]


def _search_parts(parts: Iterable[Part], found: set[bytes]) -> Iterator[int]:
    for part in parts:
        yield _PART_COST
        if part.encoding == "base64" and not (yield from _worth_decoding(part)):
            continue
        tail, cost = b"", min(PIECE, part.end - part.start)  # by what is read: it may decode to nothing
        for piece in part.decoded_pieces():
            if len(found) == len(_FINDINGS):
                return
            window = tail + piece
            found.update(_patterns_in(window, 0, len(window)))
            tail = window[-_OVERLAP:]
            yield cost


def _worth_decoding(part: Part) -> Generator[int, None, bool]:
    """Whether a part in base64 may hold a pattern: whether its characters hold one as it is encoded.

    That it does is no proof, but that it does not is, as long as there is padding nowhere but at the end.
    """
    text = b""
    for start in range(part.start, part.end, _WINDOW):
        end = min(start + _WINDOW, part.end)
        text += part.source[start:end].translate(None, NOT_BASE64)
        if end == part.end:
            text = text.removesuffix(b"=").removesuffix(b"=")
        for sign in _SIGNS:  # a loop, as any() would make a generator
            if sign in text:
                return True
        text = text[-_ENCODED_OVERLAP:]
        yield (end - start) // _SEARCH_IS_CHEAPER
    return False

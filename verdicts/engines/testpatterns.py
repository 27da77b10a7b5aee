"""The two test patterns of the trade: GTUBE is spam, EICAR is malicious, in the message as sent or in any decoded part.

Sources: spamassassin.apache.org/gtube and eicar.org. The patterns are put together here, so that this file itself does
not set off a scanner.
"""

import asyncio
from collections.abc import Iterable, Iterator

from verdicts.contract import Engine, Finding, Severity, Unscanned
from verdicts.decoding import PIECE
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
_WINDOW = 1_048_576  # bytes of the raw message searched at a time
_TURN = 262_144  # bytes decoded and searched before other messages get their turn: about a millisecond
_PART_COST = 2_048  # what a part costs besides its bytes, as bytes


class TestPatterns(Engine):
    """Looks for GTUBE and EICAR. Needs no server."""

    __test__ = False  # pytest takes what is called Test... for tests

    async def judge(self, mail: Mail) -> Iterable[Finding]:
        """Raises `Unscanned` when there is more than is read, or what readers take in different ways."""
        source = searchable(mail.content.view())
        found = {pattern for pattern in _FINDINGS if source.find(pattern, 0, _WINDOW) >= 0}
        if len(source) > _WINDOW:
            await _in_turns(_search_raw(source, found), _WINDOW)
        structure = await mail.read_structure()
        # A part that lies in the message as it is was searched with the message.
        parts = (part for part in structure.parts if part.encoded or part.source is not source)
        await _in_turns(_search_parts(parts, found), _TURN)
        findings = [finding for pattern, finding in _FINDINGS.items() if pattern in found]
        if structure.truncated:
            raise Unscanned("more parts, deeper ones or longer fields than are read", findings)
        if structure.ambiguous:
            raise Unscanned(f"can be read in different ways: {', '.join(structure.defects)}", findings)
        return findings


async def _in_turns(search: Iterator[int], turn: int) -> None:
    """Run `search`, which tells how many bytes each step took, and let others run after each `turn` bytes."""
    spent = 0
    for cost in search:
        spent += cost
        if spent >= turn:
            spent = 0
            await asyncio.sleep(0)


def _search_raw(source: Source, found: set[bytes]) -> Iterator[int]:
    for start in range(_WINDOW - _OVERLAP, len(source), _WINDOW):
        found.update(p for p in _FINDINGS if source.find(p, start, start + _WINDOW + _OVERLAP) >= 0)
        yield _WINDOW


def _search_parts(parts: Iterable[Part], found: set[bytes]) -> Iterator[int]:
    for part in parts:
        yield _PART_COST
        tail, cost = b"", min(PIECE, part.end - part.start)  # by what is read: it may decode to nothing
        for piece in part.decoded_pieces():
            if len(found) == len(_FINDINGS):
                return
            window = tail + piece
            found.update(pattern for pattern in _FINDINGS if pattern in window)
            tail = window[-_OVERLAP:]
            yield cost

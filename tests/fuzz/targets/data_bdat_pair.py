"""A letter by DATA and the same by BDAT are the same Mail: bytes, fields, parts, origin, and what is wrong with it."""

import ipaddress
from collections.abc import Coroutine, Iterable
from pathlib import Path
from typing import Any

from fuzz.cutting import cut, seeds

from relay.intake.budget import Budget
from relay.intake.draft import Draft
from relay.intake.options import IntakeOptions
from relay.intake.reader import ChunkReader, DataReader
from verdicts.mail import Envelope, Mail, Session

LARGE = 1 << 24
OPTIONS = IntakeOptions(
    name="mx.relay.example", drafts=Path(), require_tls=False, client_certificate_names=(),
    proxy_networks=(ipaddress.ip_network("192.0.2.0/24"),), max_message_bytes=LARGE, max_recipients=1, max_sessions=1,
    max_sessions_per_peer=1, max_errors=1, max_command_bytes=1024, max_bytes_in_flight=LARGE, memory_bytes=LARGE,
    idle_timeout=1.0, data_timeout=1.0, transfer_timeout=1.0, reply_timeout=1.0,
)  # fmt: skip
_MULTIPART = (
    b'Subject: x\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary="b"\r\n\r\n'
    b"--b\r\nContent-Type: text/plain\r\n\r\n.\r\n..\r\n--b\r\nContent-Type: application/zip; name=a.zip\r\n"
    b"Content-Transfer-Encoding: base64\r\n\r\nUEsDBA==\r\n--b--\r\n"
)
_REPORT = b"X-Forefront-Antispam-Report: CIP:192.0.2.7;SCL:9;\r\n H:mail.example;\r\n\r\n"
SEEDS = seeds(_MULTIPART, _REPORT, b"", b".", b"a\r\n.\r\nb", b"a\n.\nb\r.\rc\0\r\n")


def at_once(work: Coroutine[Any, Any, None]) -> None:
    """Run what has nothing to wait for."""
    try:
        work.send(None)
    except StopIteration:
        return
    raise AssertionError("a small draft had to wait")


def draft_of(pieces: Iterable[bytes], *, strict: bool) -> Draft:
    draft = Draft(OPTIONS, Budget(LARGE, LARGE), None)
    for piece in pieces:
        at_once(draft.append(piece))
    at_once(draft.finish(strict=strict))
    return draft


def by_data(letter: bytes, cuts: list[bytes]) -> Draft:
    """The wire is cut where `cuts`, the pieces of the letter, would be cut."""
    lines = letter.split(b"\r\n")
    wire = b"\r\n".join(b"." + line if line.startswith(b".") else line for line in lines) + b".\r\n"
    places, reader, content = [len(piece) for piece in cuts], DataReader(), []
    for size in [*places, len(wire)]:
        piece, wire = wire[:size], wire[size:]
        if piece:
            content.append(reader.feed(piece))
    assert reader.done
    return draft_of(content, strict=True)


def by_bdat(cuts: list[bytes]) -> Draft:
    return draft_of([ChunkReader(len(piece)).feed(piece) for piece in cuts], strict=False)


def facts(draft: Draft) -> dict[str, object]:
    """All that engines can see of it."""
    content = bytes(draft.view())
    assert b"".join(draft.pieces()) == content
    mail = Mail(Session("id", "192.0.2.1"), Envelope(), draft)
    structure = mail.structure
    return {
        "content": content,
        "bare": draft.bare,
        "nul": draft.nul,
        "fields": [tuple(field) for field in mail.fields],
        "end": (mail.fields.end, mail.fields.closed),
        "origin": mail.origin,
        "parts": [
            (part.content_type, part.filename, part.encoding, part.depth, b"".join(part.decoded_pieces()))
            for part in structure.parts
        ],
        "structure": (structure.truncated, structure.ambiguous, structure.defects),
    }


def check(data: bytes) -> None:
    letter, cuts = cut(data)
    if letter and not letter.endswith(b"\r\n"):  # DATA cannot say otherwise
        letter, cuts = letter + b"\r\n", [*cuts, b"\r\n"]
    data_draft, bdat_draft = by_data(letter, cuts), by_bdat(cuts)
    without = letter.replace(b"\r\n", b"")
    bare, nul = b"\r" in without or b"\n" in without, b"\0" in letter
    assert bool(data_draft.fault) == (bare or nul)
    assert bool(bdat_draft.fault) == nul
    seen = facts(data_draft)
    assert seen == facts(bdat_draft)
    assert seen["content"] == letter
    assert (seen["bare"], seen["nul"]) == (bare, nul)
    for draft in (data_draft, bdat_draft):
        draft.close()

"""Commands and BDAT chunks in any pieces: each chunk has exactly its bytes, and they never become commands."""

from fuzz.cutting import cut, each_byte, seeds

from relay.errors import Refused
from relay.intake.commands import read_bdat
from relay.intake.reader import ChunkReader
from relay.intake.wire import Inbox

LINE = 64
SEEDS = seeds(
    b"BDAT 3\r\nabcBDAT 0 LAST\r\nQUIT\r\n",
    b"BDAT 8\r\nQUIT\r\n\r\nBDAT 1 last\r\n\nNOOP\r\n",
    b"BDAT 4 LAST\r\n\r\n.\r\nx\ny\r\0\r\nNOOP\r\n",
    b"BDAT 99999999999999999999 LAST\r\n",
    b"BDAT -1\r\nBDAT 1 x\r\n" + b"x" * 2 * LINE + b"\r\nBDAT 2\r\nabRSET\r\n",
)


def talk(pieces: list[bytes]) -> list[tuple[str, bytes]]:
    """What a session takes of the wire: lines, chunks and refusals, and what is left at the end."""
    inbox, taken, coming = Inbox(), [], iter(pieces)
    reader: ChunkReader | None = None
    chunk = b""
    while True:
        if reader is not None and reader.done:
            taken.append(("chunk", chunk))
            inbox.unread(reader.rest)
            reader, chunk = None, b""
        step = take_line(inbox) if reader is None else inbox.chunk(reader.wanted)
        if step is None:
            piece = next(coming, None)
            if piece is None:
                return [*taken, ("rest of a chunk", chunk)] if reader is not None else taken
            inbox.put(piece)
        elif isinstance(step, tuple):
            taken.append(step)
            reader = chunk_reader(step)
        elif reader is not None:
            assert 0 < len(step) <= reader.wanted
            chunk += reader.feed(step)


def take_line(inbox: Inbox) -> tuple[str, bytes] | None:
    try:
        line = inbox.line(LINE)
    except Refused as error:
        return "refused", str(error.reply).encode()
    return None if line is None else ("line", line)


def chunk_reader(step: tuple[str, bytes]) -> ChunkReader | None:
    kind, line = step
    if kind != "line" or not line.upper().startswith(b"BDAT "):
        return None
    try:
        return ChunkReader(read_bdat(line[5:].decode("ascii"))[0])
    except (Refused, UnicodeDecodeError):
        return None


def check(data: bytes) -> None:
    wire, pieces = cut(data)
    taken = talk([wire] if wire else [])
    assert talk(pieces) == taken
    assert talk(each_byte(wire)) == taken
    at = 0
    for kind, content in taken:
        if kind == "line":
            assert not set(content) & {0, 10, 13}
            assert len(content) <= LINE
        if kind != "refused":  # in their order, they are what came
            at = wire.index(content, at) + len(content)

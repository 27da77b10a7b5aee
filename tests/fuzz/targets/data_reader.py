"""A DATA body in any pieces is read as by the letter of RFC 5321, one byte after the other."""

from fuzz.cutting import cut, each_byte, seeds

from relay.intake.reader import DataReader

SEEDS = seeds(
    b".\r\n",
    b"Hello.\r\n.\r\nQUIT\r\n",
    b"..\r\n.\r\n",
    b"a\r\n..b\r\n...\r\n.\r\nMAIL FROM:<>\r\n",
    b"a\n.\nb\r.\rc\r\n.\rd\r\n.\n\r\n\0.\r\n.\r\n",
)


def by_the_letter(wire: bytes) -> tuple[bytes, bytes | None]:
    """Content, and what is behind the end; None when there is no end."""
    content, line_start = bytearray(), True
    for at, byte in enumerate(wire):
        if line_start and wire.startswith(b".\r\n", at):
            return bytes(content), wire[at + 3 :]
        if not (line_start and byte == ord(".")):
            content.append(byte)
        line_start = byte == ord("\n") and at > 0 and wire[at - 1] == ord("\r")
    return bytes(content), None


def read(pieces: list[bytes]) -> tuple[bytes, bytes | None]:
    reader, content = DataReader(), b""
    for number, piece in enumerate(pieces):
        content += reader.feed(piece)
        if reader.done:
            return content, reader.rest + b"".join(pieces[number + 1 :])
    return content, None


def check(data: bytes) -> None:
    wire, pieces = cut(data)
    expected, rest = by_the_letter(wire)
    for cuts in (pieces, [wire], each_byte(wire)):
        content, behind = read(cuts)
        assert behind == rest
        held = expected.removeprefix(content) if rest is None else b""  # a dot, or dot and CR: may be the end
        assert content + held == expected
        assert held in {b"", b"\r"}

"""A next hop's replies in any pieces are the same replies, or the same refusal; nothing hides in them."""

from fuzz.cutting import cut, each_byte, seeds

from relay.delivery import replying
from relay.replies import Reply

SMALL = {"MAX_LINE": 24, "MAX_LINES": 4, "MAX_REPLY": 48}
"""Limits that short inputs reach."""
SEEDS = seeds(
    b"250 ok\r\n",
    b"250-a\r\n250-b\r\n250 c\r\n354 go\r\n",
    b"550 5.1.1 gr\xc3\xbc\xdf\r\n250\r\n",
    b"250-a\r\n251 b\r\n",
    b"250 ok\n250 ok\r\n",
    b"250-" + b"x" * 18 + b"\r\n250 " + b"x" * 20 + b"\r\n",
    b"250 " + b"x" * 21 + b"\r\n",
    b"250-x\r\n" * 4 + b"250 x\r\n",
)


def heard(pieces: list[bytes]) -> tuple[list[Reply], bool]:
    """The replies, and whether all of it was acceptable."""
    parser, replies = replying.ReplyParser(), []
    try:
        for piece in pieces:
            replies += parser.feed(piece)
    except replying.BadReplyError:
        return replies, False
    return replies, True


def check(data: bytes) -> None:
    usual = {name: getattr(replying, name) for name in SMALL}
    vars(replying).update(SMALL)
    try:
        compare(*cut(data))
    finally:
        vars(replying).update(usual)


def compare(wire: bytes, pieces: list[bytes]) -> None:
    replies, good = heard(each_byte(wire))
    for cuts in (pieces, [wire]):
        found, accepted = heard(cuts)
        assert accepted == good
        assert found == replies if good else found == replies[: len(found)]  # what comes with nonsense may be dropped
    said = b"".join(reply.wire() for reply in replies)
    assert len(said) <= len(wire) + len(wire.split(b"\r\n"))  # "250" is repeated as "250 "
    for reply in replies:
        assert 200 <= reply.code < 600
        assert 0 < len(reply.lines) <= SMALL["MAX_LINES"]
        assert all(len(line) <= SMALL["MAX_LINE"] and not set(line) & set("\r\n\0") for line in reply.lines)
        assert heard([reply.wire()]) == ([reply], True) or any(len(line) < 1 for line in reply.lines)

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.delivery.replying import MAX_LINE, MAX_LINES, BadReplyError, ReplyParser
from relay.replies import Reply

TEXTS = st.text(st.characters(exclude_characters="\r\n\0", exclude_categories=["Cs"]), max_size=40)
REPLIES = st.builds(Reply, st.integers(200, 599), st.lists(TEXTS, min_size=1, max_size=5).map(tuple))


@given(st.lists(REPLIES, max_size=6), st.data())
def test_replies_come_out_word_for_word_however_they_are_cut(replies, data):
    wire = b"".join(reply.wire() for reply in replies)
    cuts = sorted(data.draw(st.sets(st.integers(0, len(wire)), max_size=20)) | {0, len(wire)})
    parser = ReplyParser()
    seen = [reply for a, b in itertools.pairwise(cuts) for reply in parser.feed(wire[a:b])]
    assert seen == replies
    assert not parser.pending
    assert b"".join(reply.wire() for reply in seen) == wire


@given(st.binary(max_size=200), st.integers(1, 50))
def test_garbage_never_gets_through(garbage, step):
    parser = ReplyParser()
    seen = []
    try:
        for at in range(0, len(garbage), step):
            seen += parser.feed(garbage[at : at + step])
    except BadReplyError:
        pass
    for reply in seen:
        assert 200 <= reply.code < 600
        assert all(not set(line) & set("\r\n\0") for line in reply.lines)


@pytest.mark.parametrize(
    ("wire", "reply"),
    [
        (b"250 ok\r\n", Reply(250, ("ok",))),
        (b"250\r\n", Reply(250, ("",))),
        (b"250 \r\n", Reply(250, ("",))),
        (b"250-a\r\n250 b\r\n", Reply(250, ("a", "b"))),
        (b"250-a\r\n250\r\n", Reply(250, ("a", ""))),
        (b"550 5.1.1 gr\xc3\xbc\xdf\r\n", Reply(550, ("5.1.1 grü\udcdf",))),
    ],
)
def test_what_is_a_reply(wire, reply):
    assert ReplyParser().feed(wire) == [reply]


@pytest.mark.parametrize(
    "wire",
    [
        b"\r\n",
        b"ok\r\n",
        b"25 ok\r\n",
        b"2500 ok\r\n",
        b"250ok\r\n",
        b"150 ok\r\n",
        b"650 ok\r\n",
        b" 250 ok\r\n",
        b"250 ok\n250 ok\r\n",
        b"250 ok\rx\r\n",
        b"250 o\0k\r\n",
        b"250-a\r\n251 b\r\n",
        b"250-a\r\n550 b\r\n",
        b"HTTP/1.1 400 Bad Request\r\n",
        b"\xd9\xb2\xd9\xb5\xd9\xb0 ok\r\n",
        b"250 " + b"x" * MAX_LINE + b"\r\n",
        b"x" * (MAX_LINE + 1),
        b"250-x\r\n" * (MAX_LINES + 1),
        (b"250-" + b"x" * 8_000 + b"\r\n") * 9,
    ],
)
def test_what_is_none(wire):
    with pytest.raises(BadReplyError):
        ReplyParser().feed(wire)


def test_a_part_of_a_reply_is_pending():
    parser = ReplyParser()
    assert parser.feed(b"250-a\r\n") == []
    assert parser.pending
    assert parser.feed(b"250 b\r") == []
    assert parser.feed(b"\n") == [Reply(250, ("a", "b"))]
    assert not parser.pending


def test_the_limits_are_of_one_reply():
    parser = ReplyParser()
    for _ in range(3):
        assert len(parser.feed(b"250-x\r\n" * (MAX_LINES - 1) + b"250 x\r\n")) == 1

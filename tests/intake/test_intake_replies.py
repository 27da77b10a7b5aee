"""Replies as bytes, what EHLO says, and the names of sessions."""

import itertools
import re

from hypothesis import given
from hypothesis import strategies as st

from relay import replies
from relay.intake.session import _hello
from relay.intake.told import _make_session_ids
from relay.replies import Reply

TEXT = st.text(st.characters(exclude_characters="\r\n", codec="utf-8"), max_size=30)


@given(st.integers(200, 599), st.lists(TEXT, max_size=4).map(tuple))
def test_the_bytes_of_a_reply(code, lines):
    reply = Reply(code, lines)
    words = lines or ("",)
    expected = [f"{code}-{line}" for line in words[:-1]] + [f"{code} {words[-1]}"]
    for _ in range(2):
        assert reply.wire().decode() == "".join(line + "\r\n" for line in expected)
    same = Reply(code, lines)
    assert reply == same  # whether its bytes are made already or not
    assert hash(reply) == hash(same)
    assert repr(reply) == repr(same)
    assert reply != Reply(code + 1, lines)


def test_bytes_of_a_next_hop_that_are_not_utf8_stay():
    assert Reply(250, (b"caf\xe9".decode("utf-8", "surrogateescape"),)).wire() == b"250 caf\xe9\r\n"


def test_hello_follows_what_is_offered():
    size, plain = "250-SIZE 1000\r\n", _hello("mx.example", 1000, False).wire().decode()
    assert plain.startswith("250-mx.example\r\n" + size)
    assert plain.endswith("250 ENHANCEDSTATUSCODES\r\n")
    assert _hello("mx.example", 1000, True).wire().decode() == plain.replace("250 E", "250-E") + "250 STARTTLS\r\n"
    assert size not in _hello("mx.example", 1001, False).wire().decode()
    assert _hello("mx.example", None, True) == replies.hello("mx.example")


def test_session_names_are_words_of_their_own():
    names = list(itertools.islice(_make_session_ids(), 1000))
    assert all(re.fullmatch("[a-z2-7]{13}", name) for name in names)
    assert len(set(names)) == 1000
    assert set("".join(names)) == set("abcdefghijklmnopqrstuvwxyz234567")

from itertools import pairwise
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.dressing import Dresser
from relay.tenants.loops import Tracer
from verdicts.fields import Fields
from verdicts.mail import Envelope, Mail, Recipient, Session

SESSION = Session("s1", "192.0.2.7", "mail.example")
ENVELOPE = Envelope("ann@sender.example", (Recipient("bob@acme.example"),))
DRESSER = Dresser("mx1.relay.example", Tracer(b"k" * 32, "mx1.relay.example"), SimpleNamespace(time=lambda: 1.7e9))
FORGED = b"X-PERCEPTION-POINT-SPAM: FAIL\r\n"


class Pieces:
    """Content that comes in given pieces."""

    def __init__(self, pieces: list[bytes]) -> None:
        self._pieces = pieces
        self.size = sum(map(len, pieces))

    def pieces(self):
        return iter(self._pieces)

    def view(self):
        return memoryview(b"".join(self._pieces))


def dressed(pieces: list[bytes], **change):
    return DRESSER.dress(Mail(SESSION, ENVELOPE, Pieces(pieces), "acme"), "01JD8Z", **change)


def in_pieces(message: bytes, ends: list[int]) -> list[bytes]:
    places = sorted({0, len(message), *(end for end in ends if end < len(message))})
    return [message[start:end] for start, end in pairwise(places)]


def test_the_head_of_a_message():
    message = b"".join(dressed([b"Subject: x\r\n\r\nbody"], spam=True, loop_value="k7Jq2mV9").pieces())
    assert [field.name.decode() for field in Fields.parse(message)] == [
        "Received", "X-PERCEPTION-POINT-SPAM", "X-PERCEPTION-POINT-CUSTOM", "X-Sluice-Trace", "Subject",
    ]  # fmt: skip
    assert message.startswith(
        b"Received: from mail.example ([192.0.2.7])\r\n\tby mx1.relay.example with ESMTP id 01JD8Z;"
    )
    assert message.endswith(b";\r\nSubject: x\r\n\r\nbody")


@pytest.mark.parametrize("forged", [b"", FORGED])
def test_pieces_of_the_body_are_passed_on_uncopied(forged):
    first, second = b"To: x\r\n" + forged + b"\r\n" + b"a" * 100, b"b" * 100
    *head, last = dressed([first, second]).pieces()
    assert last is second
    assert (head[-1] is first) is not forged


@given(
    st.lists(st.sampled_from([FORGED, b"To: x\r\n", b"Cc: y\r\n z\r\n", FORGED.lower() + b" more\r\n"]), max_size=6),
    st.sampled_from([b"", b"\r\n", b"\r\nbody\r\n" + FORGED]),
    st.lists(st.integers(0, 200), max_size=6),
)
def test_every_byte_stays_but_what_was_forged_however_the_message_comes(fields, tail, ends):
    message = b"".join(fields) + tail
    stays = b"".join(field for field in fields if not field.lower().startswith(b"x-perception")) + tail
    whole = dressed(in_pieces(message, ends))
    written = b"".join(whole.pieces())
    assert written == b"".join(whole.pieces())
    assert len(written) == whole.size
    assert list(whole.header()) == list(Fields.parse(written))
    assert written == b"".join(dressed([b"\r\n"]).pieces())[:-2] + stays


def test_observing_takes_nothing_off():
    message = FORGED + b"To: x\r\n\r\n"
    assert b"".join(dressed([message], observe=True).pieces()).endswith(b";\r\n" + message)

import pytest

from relay.headers.strict import header_is_strict


@pytest.mark.parametrize(
    "message",
    [b"", b"\r\n", b"\r\nbody\nbare\r", b"A: b\r\n", b"A: b", b"A: b\r\n c\r\n\r\nbare \n and \r", b"A: b\r\n\r\n"],
)
def test_strict(message):
    assert header_is_strict(message)


@pytest.mark.parametrize(
    "message",
    [
        b"A: b\rX-PERCEPTION-POINT-SPAM: FAIL\r\n\r\nbody",
        b"A: b\nX: y\r\n\r\nbody",
        b"A: b\n\nq: x\r\nX-PERCEPTION-POINT-SPAM: FAIL\r\n\r\n",
        b"A: b\n\r\nX-PERCEPTION-POINT-SPAM: FAIL\r\n\r\n",
        b"\nA: b\r\n\r\n",
        b"A: b\r\n\nbody",
        b"A: b\r",
        b"A: b\r\r\n\r\n",
    ],
)
def test_not_strict(message):
    assert not header_is_strict(message)

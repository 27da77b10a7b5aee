"""A PROXY header means the same however it arrives: too little, then the header, or an error that stays one."""

import ipaddress

from relay.intake.admission import plain_address
from relay.intake.proxy import V1_LIMIT, V2_LIMIT, Proxied, ProxyHeaderError, read_header

_SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
_FOUR = bytes([192, 0, 2, 1, 198, 51, 100, 1, 4, 210, 0, 25])
SEEDS = [
    b"PROXY TCP4 192.0.2.1 198.51.100.1 1234 25\r\nEHLO x\r\n",
    b"PROXY TCP6 2001:db8::1 2001:db8::2 1234 25\r\n",
    b"PROXY TCP6 fe80::1%eth0 ::ffff:192.0.2.1 1 2\r\n",
    b"PROXY UNKNOWN whatever it says\r\n",
    b"PROXY " + b"x" * V1_LIMIT,
    _SIGNATURE + b"\x21\x11\x00\x0c" + _FOUR + b"EHLO x\r\n",
    _SIGNATURE + b"\x21\x11\x00\x13" + _FOUR + b"\x03\x00\x04abcd",
    _SIGNATURE + b"\x21\x21\x00\x24" + bytes(range(36)),
    _SIGNATURE + b"\x20\x00\x00\x00",
    _SIGNATURE + b"\x21\x31\x00\xd8" + bytes(216),
    _SIGNATURE + b"\x21\x11\x0f\xf1",
]


def look(data: bytes) -> Proxied | str | None:
    try:
        return read_header(data)
    except ProxyHeaderError:
        return "error"


def check(data: bytes) -> None:
    found = look(data)
    sooner = [look(data[:end]) for end in range(min(len(data), V2_LIMIT + 1))]
    if found is None:
        assert set(sooner) <= {None}
        assert len(data) < V2_LIMIT
    elif isinstance(found, str):
        first = sooner.index("error") if "error" in sooner else len(sooner)
        assert all(each is None for each in sooner[:first])
        assert all(each == "error" for each in sooner[first:])
    else:
        assert 0 < found.used <= (V2_LIMIT if data.startswith(_SIGNATURE) else V1_LIMIT)
        assert all(each is None for each in sooner[: found.used])
        assert all(each == found for each in sooner[found.used :])
        if found.peer is not None:
            check_peer(found.peer, data)


def check_peer(peer: str, data: bytes) -> None:
    plain_address(peer)  # what the session takes of it
    if data.startswith(_SIGNATURE):
        size = 4 if data[13] >> 4 == 1 else 16
        assert ipaddress.ip_address(peer).packed == data[16 : 16 + size]
    else:
        told = data.split(b" ")[2].decode()
        assert peer == str(ipaddress.ip_address(told))

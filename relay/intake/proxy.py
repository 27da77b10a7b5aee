"""The PROXY protocol header, versions 1 and 2 (haproxy's doc/proxy-protocol.txt), as bytes. No I/O."""

import ipaddress
import struct
from dataclasses import dataclass

V1_LIMIT = 107
"""Longest version 1 line, CRLF included (section 2.1)."""
V2_LIMIT = 4_096
"""Longest version 2 header that we read; balancers send some hundred bytes of TLVs at most."""
_V2 = b"\r\n\r\n\x00\r\nQUIT\n"
_V2_HEAD = struct.Struct("!12sBBH")
_ADDRESS_SIZES = {1: 4, 2: 16}  # AF_INET, AF_INET6


class ProxyHeaderError(ValueError):
    """The bytes are no PROXY header."""


@dataclass(frozen=True, slots=True)
class Proxied:
    """What a header says. `peer` is None when the balancer speaks for itself (LOCAL, UNKNOWN: a health check)."""

    peer: str | None
    used: int
    """Bytes of the header."""


def read_header(data: bytes) -> Proxied | None:
    """The header at the beginning of `data`; None when more bytes are needed. Raises ProxyHeaderError."""
    if data[:12] == _V2[: len(data)]:
        return _version2(data) if len(data) >= _V2_HEAD.size else None
    if data[:6] == b"PROXY "[: len(data)]:
        return _version1(data)
    raise ProxyHeaderError("neither version 1 nor version 2")


def _version1(data: bytes) -> Proxied | None:
    end = data.find(b"\r\n", 0, V1_LIMIT)
    if end < 0:
        if len(data) >= V1_LIMIT:
            raise ProxyHeaderError("line too long")
        return None
    words = data[:end].decode("latin-1").split(" ")
    if words[1] == "UNKNOWN":
        return Proxied(None, end + 2)
    if len(words) != 6 or words[1] not in ("TCP4", "TCP6"):
        raise ProxyHeaderError("not PROXY TCP4|TCP6 source destination port port")
    _, family, source, destination, *ports = words
    if not all(port.isascii() and port.isdigit() and int(port) < 65_536 for port in ports):
        raise ProxyHeaderError("bad port")
    if not data[:end].isascii():  # ipaddress takes anything for a zone
        raise ProxyHeaderError("not ASCII")
    read = ipaddress.IPv4Address if family == "TCP4" else ipaddress.IPv6Address
    try:
        read(destination)
        return Proxied(str(read(source)), end + 2)
    except ValueError as error:
        raise ProxyHeaderError(str(error)) from error


def _version2(data: bytes) -> Proxied | None:
    _, version, family, length = _V2_HEAD.unpack_from(data)
    used = _V2_HEAD.size + length
    if version not in (0x20, 0x21) or used > V2_LIMIT:
        raise ProxyHeaderError("unknown version or command, or too long")
    if len(data) < used:
        return None
    if version == 0x20:
        return Proxied(None, used)
    size = _ADDRESS_SIZES.get(family >> 4)
    if size is None:
        return Proxied(None, used)
    if family & 15 != 1 or length < 2 * size + 4:
        raise ProxyHeaderError("not TCP, or addresses cut off")
    source = data[_V2_HEAD.size : _V2_HEAD.size + size]
    return Proxied(str(ipaddress.ip_address(source)), used)

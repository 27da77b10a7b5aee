"""What all targets share: the fuzzer's bytes say both what comes over the wire and where it is cut."""

from itertools import pairwise

CUTS = 3


def cut(data: bytes) -> tuple[bytes, list[bytes]]:
    """What comes over the wire, and the same in pieces: two bytes for each cut stand at the beginning of `data`."""
    places, wire = data[: 2 * CUTS], data[2 * CUTS :]
    cuts = sorted(int.from_bytes(places[at : at + 2], "big") % (len(wire) + 1) for at in range(0, len(places), 2))
    return wire, [wire[start:end] for start, end in pairwise([0, *cuts, len(wire)]) if start < end]


def each_byte(wire: bytes) -> list[bytes]:
    """The finest cut."""
    return [wire[at : at + 1] for at in range(len(wire))]


def seeds(*wires: bytes) -> list[bytes]:
    """Inputs that `cut` makes these wires of, uncut and cut."""
    return [places + wire for wire in wires for places in (bytes(2 * CUTS), b"\x00\x03\x00\x07\x00\x0b")]

"""Cuts in a message by byte span: the original is never regenerated."""

from collections.abc import Iterable


def cut(message: bytes | memoryview, spans: Iterable[tuple[int, int]]) -> tuple[list[bytes], int]:
    """What is left of `message` without the bytes from the first up to the second offset of each of `spans`.

    It comes as the pieces that lie before the end of the last span, none of them empty, and the offset of that end:
    from there on all stays, and nothing is copied. Spans may touch or overlap, and come in any order.
    """
    pieces: list[bytes] = []
    place = 0
    for start, end in sorted(spans):
        if start > place:
            pieces.append(bytes(message[place:start]))
        place = max(place, end)
    return pieces, place

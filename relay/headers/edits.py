"""Edits of a header section by byte span: the original is never regenerated, only cut and preceded."""

from collections.abc import Sequence
from typing import NamedTuple


class Remove(NamedTuple):
    """The bytes from `start` up to `end` go."""

    start: int
    end: int


class Prepend(NamedTuple):
    """These bytes come before everything else: whole fields, each ended by CRLF."""

    field: bytes


Edit = Remove | Prepend


def apply(head: bytes | memoryview, edits: Sequence[Edit]) -> list[bytes]:
    """The pieces of the edited `head`: what is prepended, in the order given, then the bytes that stay.

    Removals that touch or overlap count as one. Empty pieces are left out.
    """
    pieces = [edit.field for edit in edits if isinstance(edit, Prepend)]
    place = 0
    for cut in sorted(edit for edit in edits if isinstance(edit, Remove)):
        if cut.start > place:
            pieces.append(bytes(head[place : cut.start]))
        place = max(place, cut.end)
    pieces.append(bytes(head[place:]))
    return [piece for piece in pieces if piece]

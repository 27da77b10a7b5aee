"""A connection (verdicts/protocols/wire.py) that receives what the test wants, without a server."""

import socket
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import pairwise

from verdicts.protocols.wire import Connection


class _Fed(Connection):
    """Receives these pieces and then the end."""

    def __init__(self, pieces: list[bytes]) -> None:
        super().__init__(socket.socket())
        self.pieces = [piece for piece in pieces if piece]

    async def _receive(self) -> bytes:
        return self.pieces.pop(0) if self.pieces else b""


@contextmanager
def fed(content: bytes, cuts: Iterable[int] = ()) -> Iterator[Connection]:
    """One that receives `content` and then the end, in pieces that are cut at about these places."""
    places = [0, *sorted(cut % (len(content) + 1) for cut in cuts), len(content)]
    connection = _Fed([content[start:end] for start, end in pairwise(places)])
    try:
        yield connection
    finally:
        connection.close()

"""From the wire into a draft: the one loop that bodies pass through."""

from relay.intake.draft import Draft
from relay.intake.link import Link, TooSlowError
from relay.intake.reader import Reader

UNPACED = 65_536
"""Bytes of a body that are taken without waiting for a turn: a small message never waits for large ones."""
READ = 262_144
"""Bytes that a turn is asked for: about what one look at a socket gives."""


async def receive(link: Link, reader: Reader, draft: Draft | None, pause: float, deadline: float) -> None:
    """Read a body to its end; without a `draft` it is thrown away. What comes behind the end stays in the inbox.

    `pause`: seconds that the client may be silent; `deadline`: the time on the loop's clock at which all of it must be
    here. Raises LinkError.
    """
    inbox = link.inbox
    allowed = UNPACED
    while not reader.done:
        data = inbox.chunk(reader.wanted)
        if data is None:
            if draft is not None and allowed <= 0:
                await draft.pace.take(READ)  # before the socket is read again: what has to wait waits there
                allowed = READ
                continue  # something may have come meanwhile, and nothing else may ever come
            left = deadline - link.loop.time()
            if left <= 0:
                raise TooSlowError
            await link.more(min(pause, left))
            continue
        if len(data) > allowed and draft is not None:
            await draft.pace.take(len(data) - max(allowed, 0))
        allowed -= len(data)
        content = reader.feed(data)
        if draft is not None:
            await draft.append(content)
        del data, content  # while it waits for more, or its turn
    if draft is not None:
        draft.dotted = reader.dotted
    inbox.unread(reader.rest)

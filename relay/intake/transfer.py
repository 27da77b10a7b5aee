"""From the wire into a draft: the one loop that bodies pass through."""

from relay.intake.draft import Draft
from relay.intake.link import Link, TooSlowError
from relay.intake.reader import Reader


async def receive(link: Link, reader: Reader, draft: Draft | None, pause: float, deadline: float) -> None:
    """Read a body to its end; without a `draft` it is thrown away. What comes behind the end stays in the inbox.

    `pause`: seconds that the client may be silent; `deadline`: the time on the loop's clock at which all of it must be
    here. Raises LinkError.
    """
    inbox = link.inbox
    while not reader.done:
        data = inbox.chunk(reader.wanted)
        if data is None:
            left = deadline - link.loop.time()
            if left <= 0:
                raise TooSlowError
            await link.more(min(pause, left))
            continue
        content = reader.feed(data)
        if draft is not None:
            await draft.append(content)
    if draft is not None:
        draft.dotted = reader.dotted
    inbox.unread(reader.rest)

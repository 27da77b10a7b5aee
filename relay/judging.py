"""JUDGE: the panel behind its gate, and one after the other where messages are large."""

from collections.abc import Callable

from relay import replies
from relay.errors import Abandoned, Refused
from relay.gate import LARGE
from relay.rooms import Rooms
from verdicts.contract import Judgement
from verdicts.mail import Mail


def check_room(rooms: Rooms) -> None:
    """Raises Refused when as many messages are judged as the engines manage."""
    if rooms.gate.full:
        raise Refused(replies.OVERLOADED, "overloaded")


async def judge(rooms: Rooms, mail: Mail, wanted: Callable[[], bool]) -> Judgement:
    """All verdicts on `mail`. Raises Refused when there is no room.

    A large message is not sent away, since it is here already: it waits for its turn, and the engines' time begins
    with that. Raises Abandoned when it is not `wanted` any more then.
    """
    size = mail.content.size
    if size < LARGE:
        check_room(rooms)
        return await _judge(rooms, mail)
    line = rooms.gate.line
    turn = line.turn(size)
    try:
        await turn
        if not wanted():
            raise Abandoned
        return await _judge(rooms, mail)
    finally:
        if not turn.cancelled():
            line.leave(size)


async def _judge(rooms: Rooms, mail: Mail) -> Judgement:
    gate, clock = rooms.gate, rooms.clock
    entered = clock.monotonic()
    gate.enter()
    try:
        return await rooms.panel.judge(mail)
    finally:
        gate.leave(entered, clock.monotonic())
        mail.stop_reading()

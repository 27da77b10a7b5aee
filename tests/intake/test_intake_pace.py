"""The pace: no turn of the loop takes more than a share, nobody is forgotten, and small messages never wait."""

import asyncio
from typing import ClassVar

from hypothesis import given
from hypothesis import strategies as st

from relay.intake.budget import Budget
from relay.intake.draft import Draft
from relay.intake.link import Link
from relay.intake.pace import SHARE, Pace
from relay.intake.reader import DataReader
from relay.intake.transfer import UNPACED, receive


class Turns:
    """Counts the turns of the running loop."""

    def __init__(self):
        self.number = 0
        self._loop = asyncio.get_running_loop()
        self._beat()

    def _beat(self):
        self.number += 1
        self._handle = self._loop.call_soon(self._beat)

    def stop(self):
        self._handle.cancel()


@given(st.lists(st.lists(st.integers(1, 2 * SHARE), max_size=5), max_size=12))
def test_a_turn_takes_a_share_and_no_more_than_one_piece_over_it(sessions):
    async def run():
        pace, turns, taken = Pace(), Turns(), {}

        async def session(pieces):
            for count in pieces:
                await pace.take(count)
                taken.setdefault(turns.number, []).append(count)

        await asyncio.gather(*map(session, sessions))
        turns.stop()
        for _ in range(3):
            await asyncio.sleep(0)
        return taken, asyncio.all_tasks() == {asyncio.current_task()} and not pace._ticking

    taken, quiet = asyncio.run(run())
    assert quiet
    assert sum(map(sum, taken.values())) == sum(map(sum, sessions))
    # The beat and the pace's turn may fall on either side of each other: two shares in one count at the most.
    assert all(sum(sorted(counts)[:-2]) < 2 * SHARE for counts in taken.values())


async def test_who_came_first_is_first():
    pace, order = Pace(), []

    async def session(number):
        for _ in range(3):
            await pace.take(SHARE)
            order.append(number)

    sessions = [asyncio.create_task(session(number)) for number in range(5)]
    await pace.take(SHARE)  # before they begin
    await asyncio.gather(*sessions)
    assert order == [*range(5)] * 3


async def test_one_that_is_ended_while_it_waits_takes_nothing():
    pace = Pace()
    first, ended, last = (asyncio.create_task(pace.take(SHARE)) for _ in range(3))
    await pace.take(SHARE)  # before they begin
    await asyncio.sleep(0)
    assert len(pace._line) == 2
    ended.cancel()
    await asyncio.gather(first, ended, last, return_exceptions=True)
    assert ended.cancelled()
    assert not pace._line


class Slow(Draft):
    """Notes in which order drafts are filled."""

    order: ClassVar[list[int]] = []

    async def append(self, piece):
        self.order.append(len(piece))
        await super().append(piece)


async def test_only_large_bodies_wait(options):
    """Of two bodies that are here at once, the share being spent, the small one is taken first."""
    budget, drafts = Budget(100_000_000, 100_000_000), []
    Slow.order = []

    async def read(size):
        link = Link(asyncio.get_running_loop())
        link.inbox.put(b"x" * (size - 5) + b"\r\n.\r\n")
        drafts.append(Slow(options(max_message_bytes=50_000_000), budget, None))
        await receive(link, DataReader(), drafts[-1], 1.0, link.loop.time() + 1)

    both = [asyncio.create_task(read(size)) for size in (UNPACED + 1, UNPACED)]
    await budget.pace.take(SHARE)  # before they begin
    await asyncio.gather(*both)
    assert Slow.order == [UNPACED - 3, UNPACED + 1 - 3]
    for draft in drafts:
        draft.close()


async def test_what_comes_while_a_body_waits_for_its_turn_is_read(options):
    """It may be the end of the body, behind which nothing more comes."""
    budget = Budget(100_000_000, 100_000_000)
    link = Link(asyncio.get_running_loop())
    link.inbox.put(b"x" * UNPACED)
    draft = Draft(options(max_message_bytes=50_000_000), budget, None)
    reading = asyncio.create_task(receive(link, DataReader(), draft, 60.0, link.loop.time() + 60))
    await budget.pace.take(SHARE)  # before it begins
    await asyncio.sleep(0)
    link.data_received(b"\r\n.\r\n")
    async with asyncio.timeout(5):
        await reading
    assert draft.size == UNPACED + 2
    draft.close()

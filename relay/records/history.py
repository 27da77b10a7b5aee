"""History: what engines may ask of earlier mail, answered from the records by threads of its own."""

import asyncio
from concurrent.futures import Future, ThreadPoolExecutor

from relay.errors import StoreFailed
from relay.records import queries
from relay.records.store import Store
from verdicts.contract import Clock
from verdicts.kept import Kept

FRESH = 60.0
"""Seconds for which an answer is given again."""
REMEMBERED = 10_000
"""Answers that are kept."""
THREADS = 2
"""Questions that are put to the database at a time: mail must not wait for a database that hangs."""
WAITING = 200
"""Questions that may wait for their turn."""

_Key = tuple[str, str]


class History:
    """Implements `verdicts.contract.History` on the records in `store`. Made after any fork."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._known = Kept[_Key, int](clock, REMEMBERED)
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="history")
        self._asked: set[Future[int]] = set()

    async def messages(self, tenant: str, sender: str) -> int:
        """How many messages of this envelope sender were delivered to the tenant; `queries.COUNTED` at most.

        Raises OSError when the records cannot be read, or too many want to know.
        """
        count = self._known.get((tenant, sender))
        if count is None:
            count = await self._ask(tenant, sender)
            self._known.put((tenant, sender), count, FRESH)
        return count

    async def _ask(self, tenant: str, sender: str) -> int:
        self._asked = {question for question in self._asked if not question.done()}
        if len(self._asked) >= THREADS + WAITING:
            raise OSError("the records are asked faster than they answer")
        question = self._threads.submit(queries.delivered, self._store, tenant, sender)
        self._asked.add(question)
        try:
            return await asyncio.wrap_future(question)
        except StoreFailed as error:
            raise OSError(f"the records cannot be read: {error.detail}") from error

    def close(self) -> None:
        """Take no more questions; what is at the database is left to itself."""
        self._threads.shutdown(wait=False, cancel_futures=True)

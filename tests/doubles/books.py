"""Senders that never give up, and their books: what they were told, to be compared with what arrived."""

import itertools
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from doubles.client import deliver
from doubles.relay import letter


@dataclass
class Books:
    """What the senders remember. `pause`: seconds before a message that was put off is sent again."""

    pause: float = 0.02
    accepted: dict[str, bytes] = field(default_factory=dict)
    codes: Counter[int] = field(default_factory=Counter)
    broken: Counter[str] = field(default_factory=Counter)
    """Sessions that ended without an answer, by the error's name."""
    _stop: threading.Event = field(default_factory=threading.Event)

    def send_on(self, port: Callable[[], int], name: str, body: bytes) -> None:
        """One message after the other, each until it is accepted, or refused for good."""
        for number in itertools.count():
            subject = f"{name}-{number}"
            while (code := self._try(port(), letter(subject, body))) // 100 == 4:
                time.sleep(self.pause)  # a sender's manners, nothing to wait for
                if self._stop.is_set():
                    return
            if code == 250:
                self.accepted[subject] = letter(subject, body)
            if self._stop.is_set():
                return

    def _try(self, port: int, message: bytes) -> int:
        try:
            code = deliver(port, message, ["bob@acme.example"]).code
            self.codes[code] += 1
        except (OSError, EOFError, ValueError) as error:
            self.broken[type(error).__name__] += 1
            code = 400
        return code


@contextmanager
def senders(port: Callable[[], int], count: int, body: bytes = b"Hello.\r\n", pause: float = 0.02) -> Iterator[Books]:
    """`count` senders for the length of the block; the books are complete behind it."""
    books = Books(pause)
    threads = [threading.Thread(target=books.send_on, args=(port, f"s{number}", body)) for number in range(count)]
    for thread in threads:
        thread.start()
    try:
        yield books
    finally:
        books._stop.set()
        for thread in threads:
            thread.join()

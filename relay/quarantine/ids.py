"""Identifiers of messages: they sort by time, cannot be guessed, and are safe as a file name.

26 characters of base32 with the extended hex alphabet in lower case (RFC 4648 section 7, which sorts as the bytes do):
10 for 48 bits of milliseconds since the epoch and two bits that are zero, then 16 for 80 random bits.
"""

import base64
import datetime as dt
import os
import re
import secrets

_FORM = re.compile(r"[0-9a-v]{26}")
_LATEST = 253_402_300_799
"""The last second of the year 9999, the last that a date can name."""
_ALPHABET = "0123456789abcdefghijklmnopqrstuv"
_PAIRS = [first + second for first in _ALPHABET for second in _ALPHABET]
"""The two characters of each ten bits."""
_TAILS: list[str] = []
"""Random ends of identifiers, made many at once: the system and base32 are asked once for all of them."""
_TAILS_MADE = 256
os.register_at_fork(after_in_child=_TAILS.clear)  # no two processes may use the same ones


class NoSuchEntry(LookupError):
    """No entry has this identifier, or no longer."""

    def __init__(self, entry_id: str) -> None:
        super().__init__(f"no such entry: {entry_id[:64]!r}")


def new_id(at: float) -> str:
    """An identifier for a message that came at `at`, seconds since the epoch."""
    head = int(at * 1000) << 2
    pairs = _PAIRS
    return (
        f"{pairs[head >> 40]}{pairs[head >> 30 & 1023]}{pairs[head >> 20 & 1023]}{pairs[head >> 10 & 1023]}"
        f"{pairs[head & 1023]}{_tail()}"
    )


def _tail() -> str:
    try:
        return _TAILS.pop()
    except IndexError:
        text = base64.b32hexencode(secrets.token_bytes(10 * _TAILS_MADE)).decode().lower()
        fresh = [text[at : at + 16] for at in range(0, len(text), 16)]
        tail = fresh.pop()
        _TAILS.extend(fresh)  # other threads may do the same at the same time: all tails differ
        return tail


def time_of(entry_id: str) -> float:
    """Seconds since the epoch that `entry_id` tells. Raises NoSuchEntry for what is not an identifier."""
    if _FORM.fullmatch(entry_id):
        raw = base64.b32hexdecode(entry_id.upper() + "======")
        seconds = int.from_bytes(raw[:6]) / 1000
        if seconds <= _LATEST:
            return seconds
    raise NoSuchEntry(entry_id)


def is_id(name: str) -> bool:
    """Whether `name` has the form of an identifier."""
    try:
        time_of(name)
    except NoSuchEntry:
        return False
    return True


def day_of(seconds: float) -> str:
    """The day in UTC of `seconds` since the epoch, "2025-01-31"."""
    return dt.datetime.fromtimestamp(seconds, dt.UTC).date().isoformat()

"""Identifiers of messages: they sort by time, cannot be guessed, and are safe as a file name.

26 characters of base32 with the extended hex alphabet in lower case (RFC 4648 section 7, which sorts as the bytes do):
48 bits of milliseconds since the epoch, then 80 random bits.
"""

import base64
import datetime as dt
import re
import secrets

_FORM = re.compile(r"[0-9a-v]{26}")
_LATEST = 253_402_300_799
"""The last second of the year 9999, the last that a date can name."""


class NoSuchEntry(LookupError):
    """No entry has this identifier, or no longer."""

    def __init__(self, entry_id: str) -> None:
        super().__init__(f"no such entry: {entry_id[:64]!r}")


def new_id(at: float) -> str:
    """An identifier for a message that came at `at`, seconds since the epoch."""
    raw = int(at * 1000).to_bytes(6) + secrets.token_bytes(10)
    return base64.b32hexencode(raw).decode().rstrip("=").lower()


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

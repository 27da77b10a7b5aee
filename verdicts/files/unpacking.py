"""Everything that is in a file, nested: to be called inside a worker (`workers.py`), as it runs libraries in C.

    for member in walk("mail.zip", data, Limits(depth=5)):
        if member.problem:
            ...  # what is in it was not (all) seen

Nothing is trusted: names are cleaned, and depth, number, bytes, ratio and time are bounded by `Limits`.
"""

from collections.abc import Iterator
from typing import NamedTuple

from verdicts.files import archives
from verdicts.files.archives import ENCRYPTED, Entry
from verdicts.files.budget import Budget, Exceeded, Limits
from verdicts.files.containers import READERS
from verdicts.files.kinds import kind_of_file
from verdicts.files.names import NAME_CHARACTERS, clean, suffix

__all__ = ["ENCRYPTED", "Limits", "Member", "walk", "why"]
_PATH_CHARACTERS = 300
_RAW_CHARACTERS = 70_000


class Member(NamedTuple):
    """A file, or one within it."""

    path: str
    """The clean names of what it is in and its own: "mail.zip/inner.7z/virus.exe"; the end of it when it is long."""
    name: str
    """Its own name as it came."""
    data: bytes
    depth: int = 0
    kind: str = ""
    """What `data` is (`files/kinds.py`); a nameless message or text has none."""
    problem: str = ""
    """Why `data`, or what is in it, was not (all) seen: "encrypted", or in words."""
    within: str = ""
    """The kind of what it is in."""


def walk(
    name: str,
    data: bytes,
    limits: Limits = Limits(),  # noqa: B008 - it is a value
    passwords: tuple[str, ...] = (),
) -> Iterator[Member]:
    """The file, then what is in it, each before what is in it in turn. Ends with a member that tells of a limit.

    `passwords` are tried on encrypted zip archives.
    """
    budget = Budget(limits, len(data), passwords)
    whole = Member(clean(name) or "?", name, data, 0, kind_of_file(suffix(name), data))
    try:
        yield from _within(whole, budget)
    except Exceeded as exceeded:
        yield whole._replace(data=b"", problem=str(exceeded))


def _within(member: Member, budget: Budget) -> Iterator[Member]:
    yield member
    if member.kind in archives.UNREADABLE:
        yield member._replace(data=b"", problem=f"an archive of a kind not read: {member.kind}")
    if member.data and _is_none(member):
        yield member._replace(data=b"", problem=f"called .{suffix(member.name)} and none that can be read")
    if member.kind not in archives.KINDS and member.kind not in READERS:
        return
    if member.depth >= budget.limits.depth:
        yield member._replace(data=b"", problem=f"files within files, more than {budget.limits.depth} deep")
        return
    for entry in _entries(member, budget):
        yield from _within(_child(member, entry), budget)


def _is_none(member: Member) -> bool:
    """Whether it is called an archive, and does not begin as one: programs look further, and we do not."""
    known = archives.KINDS | archives.UNREADABLE
    return member.kind not in known and suffix(member.name) in ("zip", "rar", "7z", "cab", "ace", "arj")


def _entries(member: Member, budget: Budget) -> Iterator[Entry]:
    """What a library breaks on was not seen."""
    try:
        if member.kind in archives.KINDS:
            yield from archives.entries(member.kind, member.data, budget)
        else:
            yield from READERS[member.kind](member.data, budget)
    except (Exceeded, MemoryError):
        raise
    except Exception as error:  # noqa: BLE001 - a file made to break a library
        yield Entry("", b"", why(error))


def why(error: Exception) -> str:
    """In words, what a library raised on a file."""
    if isinstance(error, TimeoutError):
        return str(error)
    return clean(f"damaged: {type(error).__name__} {str(error)[:100]}")


def _child(parent: Member, entry: Entry) -> Member:
    name = _text(entry.name) or _inner_name(parent)
    path = f"{parent.path}/{clean(name) or '?'}"[-_PATH_CHARACTERS:]
    within = entry.within or parent.kind
    kind = kind_of_file(suffix(name), entry.data)
    return Member(path, name, entry.data, parent.depth + 1, kind, entry.problem, within)


def _text(name: str | bytes) -> str:
    """As much of it as the longest honest name has, many times over, from its end."""
    return name[-_RAW_CHARACTERS:].decode("utf-8", "replace") if isinstance(name, bytes) else name[-_RAW_CHARACTERS:]


def _inner_name(member: Member) -> str:
    """The name of what has none: the file's own without its last suffix for what is only compressed."""
    if member.kind in archives.KINDS and "." in member.name:
        return member.name[-NAME_CHARACTERS:].removesuffix(f".{suffix(member.name)}")
    return ""

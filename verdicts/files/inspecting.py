"""What is seen in one file and all that is in it: called inside a worker, returns plain data."""

import hashlib
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from verdicts.files import active, office
from verdicts.files.archives import UNLOCKED
from verdicts.files.kinds import opened_as
from verdicts.files.names import clean, disguises, suffix, tricks
from verdicts.files.reports import File
from verdicts.files.sights import Sight
from verdicts.files.unpacking import ENCRYPTED, Limits, Member, walk, why

_SIGHTS = 100
_PROBLEMS = 10
_DETAIL_CHARACTERS = 200
_AGAIN_SECONDS = 0.1
_READERS: dict[str, Callable[[bytes], Iterator[Sight]]] = {
    "ole": office.of_ole, "msi": office.of_ole, "rtf": office.of_rtf, "xml": office.of_xml, "mail": office.of_xml,
    "pdf": active.of_pdf, "html": active.of_html, "hta": active.of_text, "svg": active.of_svg, "wsf": active.of_text,
    "calendar": active.of_calendar, "lnk": active.of_shortcut, "": active.of_text,
}  # fmt: skip
_NAMELESS = {"text/html": "unnamed.html", "image/svg+xml": "unnamed.svg", "text/calendar": "unnamed.ics"}
_WITHIN = {
    "package": "EMBEDDED_FILE", "rtf": "EMBEDDED_FILE", "onenote": "ONENOTE_FILE", "html": "HTML_SMUGGLED_FILE",
    "svg": "HTML_SMUGGLED_FILE", "hta": "HTML_SMUGGLED_FILE", "pdf": "PDF_EMBEDDED_FILE",
    UNLOCKED: "PASSWORD_IN_MAIL",
}  # fmt: skip


def inspect(file: tuple[Any, ...], pieces: list[bytes], limits: tuple[Any, ...]) -> dict[str, Any]:
    """Sights as name and detail, why not all was seen, SHA-256 and path of every file in it, and the seconds it took.

    `file` has the values of `File`, `limits` those of `Limits`.
    """
    begun = time.monotonic()
    name, declared, blocked, passwords, names = File(*file)
    name = name or _NAMELESS.get(declared, "")
    sights: dict[tuple[str, str], None] = {}
    problems: dict[str, None] = {}
    hashes: list[tuple[str, str]] = []
    bounds = Limits(*limits)
    with _hurried(problems):
        for member in walk(name, b"".join(pieces), bounds, tuple(passwords)):
            _next_step(bounds.seconds / 2)
            if member.data:
                hashes.append((hashlib.sha256(member.data).hexdigest(), member.path))
            if member.problem:
                problems[f"{member.path}: {member.problem}"] = None
            said = (declared, tuple(names)) if member.depth == 0 else ("", ())
            for sight in _sights(member, *said, frozenset(blocked), problems):
                if len(sights) < _SIGHTS:
                    sights[sight.name, clean_detail(f"{member.path}: {sight.detail}")] = None
    seconds = time.monotonic() - begun
    return {"sights": list(sights), "problems": list(problems)[:_PROBLEMS], "hashes": hashes, "seconds": seconds}


@contextmanager
def _hurried(problems: dict[str, None]) -> Iterator[None]:
    """A step that takes half of the time gets a TimeoutError, and so does what swallows that, again and again.

    So what was seen is told, where otherwise the process would be killed for its slowness and nothing would be.
    """
    handler = signal.signal(signal.SIGALRM, _too_slow)
    timer = signal.getitimer(signal.ITIMER_REAL)
    try:
        yield
    except TimeoutError as slow:
        problems[str(slow)] = None
    finally:
        signal.setitimer(signal.ITIMER_REAL, *timer)
        signal.signal(signal.SIGALRM, handler)


def _next_step(seconds: float) -> None:
    signal.setitimer(signal.ITIMER_REAL, max(seconds, _AGAIN_SECONDS), _AGAIN_SECONDS)


def _too_slow(_signal: int, _frame: object) -> None:
    raise TimeoutError("took too long")


def clean_detail(text: str) -> str:
    """One short line of it."""
    return clean(text[:_DETAIL_CHARACTERS].rstrip(": "))


def _sights(
    member: Member, declared: str, names: tuple[str, ...], blocked: frozenset[str], problems: dict[str, None]
) -> Iterator[Sight]:
    if member.problem == ENCRYPTED:
        yield Sight("ENCRYPTED")
    names = tuple(dict.fromkeys((member.name, *names)))
    yield from _by_name(member, declared, names, blocked)
    if member.within in _WITHIN and member.data:
        yield Sight(_WITHIN[member.within], member.kind)
    try:
        yield from _by_content(member, names)
    except MemoryError:
        raise
    except Exception as error:  # noqa: BLE001 - a file made to break a library
        problems[f"{member.path}: {why(error)}"] = None


def _by_name(member: Member, declared: str, names: tuple[str, ...], blocked: frozenset[str]) -> Iterator[Sight]:
    yield from (Sight(*trick) for name in names for trick in tricks(name, blocked))
    if found := next((kind for kind in (member.kind, *map(suffix, names)) if kind in blocked), ""):
        yield Sight("BLOCKED_TYPE", found)
    if other := disguises(member.name, declared, member.kind):
        yield Sight("DISGUISED_TYPE" if other in blocked else "OTHER_TYPE", f"is {other}")


def _by_content(member: Member, names: tuple[str, ...]) -> Iterator[Sight]:
    if member.within == "ooxml":
        yield from office.of_part(member.path.lower(), member.data)
    elif member.within == "odf" and "/basic/" in member.path.lower():
        yield Sight("MACRO", "of LibreOffice")
    else:
        kinds = (member.kind, *filter(None, (opened_as(suffix(name), member.data) for name in names)))
        for kind in dict.fromkeys(kinds):
            yield from _READERS[kind](member.data) if kind in _READERS else ()
    if member.within == "ooxml" and member.kind == "ole":
        yield from office.of_ole(member.data)

"""The words of a notice: templates, filled in. No I/O but for reading the templates.

A template is a text file: "Subject: ..." on its first line, an empty line, and the text, with $names of NAMES in it.
Whatever is filled in comes from the configuration or is a number; it is made harmless all the same.
"""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Final

from relay.onboarding.notices.kinds import KINDS, Notice

NAMES: Final = frozenset(
    {"tenant", "domain", "region", "record", "consequence", "messages", "since", "hop", "failure", "date", "node"}
)
"""What a template may name."""
SHIPPED: Final = Path(__file__).parent / "templates"
LONGEST_SUBJECT, LONGEST_VALUE, LONGEST_TEMPLATE = 200, 500, 20_000
"""Characters of a subject, of what is filled in, and of a template."""
_SUBJECT = "Subject: "


@dataclass(frozen=True, slots=True)
class Words:
    """A notice for people: a subject of one line, and plain text of lines that each have an end."""

    subject: str
    text: str


class Templates:
    """The shipped templates, and those of `folder` in place of those that have the same names (KIND.txt).

    Raises OSError and ValueError, which tell what is wrong with which file.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._templates = {kind: _read(SHIPPED / f"{kind}.txt") for kind in KINDS}
        for file in sorted(folder.iterdir()) if folder else ():
            if file.stem not in KINDS or file.suffix != ".txt":
                raise ValueError(
                    f"{file.name}: no notice has this name; there are {', '.join(KINDS)}, with .txt behind"
                )
            self._templates[file.stem] = _read(file)

    def words(self, notice: Notice, node: str) -> Words:
        """What `notice` says; `node` is who says it."""
        subject, text = self._templates[notice.reason.kind]
        values = {name: harmless(value)[:LONGEST_VALUE] for name, value in _values(notice, node).items()}
        return Words(harmless(subject.substitute(values))[:LONGEST_SUBJECT], text.substitute(values))


def _read(file: Path) -> tuple[Template, Template]:
    """The templates of subject and text. Raises OSError, ValueError."""
    try:
        content = file.read_text("utf-8")
    except UnicodeDecodeError:
        raise ValueError(f"{file.name}: is not UTF-8") from None
    subject, _, text = content.partition("\n")
    blank, _, text = text.partition("\n")
    if not subject.startswith(_SUBJECT) or blank.strip() or not text.strip() or len(content) > LONGEST_TEMPLATE:
        raise ValueError(f'{file.name}: must be "{_SUBJECT}...", an empty line, and a text')
    parts = Template(subject.removeprefix(_SUBJECT).strip()), Template(f"{text.rstrip()}\n")
    for part in parts:
        if not part.is_valid():
            raise ValueError(f'{file.name}: a "$" must be followed by a name, or be written "$$"')
        unknown = sorted(set(part.get_identifiers()) - NAMES)
        if unknown:
            raise ValueError(f"{file.name}: knows no ${unknown[0]}; there are {', '.join(sorted(NAMES))}")
    return parts


def harmless(text: str) -> str:
    """`text` on one line, without what a reader or a mail program would obey: control and format characters, and the
    beginning of an encoded word (RFC 2047), in which Python's library finds line ends (CVE-2024-6923).
    """
    if not text.isprintable():
        text = "".join(character if character.isprintable() else " " for character in text)
    return text.replace("=?", "= ?").strip()


def moment(at: float) -> str:
    """A moment for people, in UTC."""
    return f"{dt.datetime.fromtimestamp(at, dt.UTC):%Y-%m-%d %H:%M} UTC"


def _values(notice: Notice, node: str) -> Mapping[str, str]:
    reason = notice.reason
    counted = {
        "messages": "1 message" if notice.count == 1 else f"{notice.count} messages",
        "since": f"since the last notice ({moment(notice.since)})" if notice.since else "so far",
        "date": moment(notice.at),
    }
    return dict.fromkeys(NAMES, "") | counted | {"tenant": reason.tenant, "node": node} | dict(reason.facts)

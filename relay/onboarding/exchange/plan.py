"""The plan: what a tenant's Exchange Online should be like, as data.

The script and the guide are both made from it and know nothing else, so that what a program does and what people are
told to do is the same. `steps.py` and `rules.py` say what is in it.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

Value = str | int | bool | tuple[str, ...] | None


class Variant(StrEnum):
    """How much is asked for."""

    HARDENED = "hardened"
    """More than the article: nothing that an outsider can write makes mail skip the scan or changes its spam score."""
    ARTICLE = "as in the article"


class Form(StrEnum):
    """How a property is written and compared with what is there."""

    TEXT = "text"
    """Equal whatever the case."""
    FLAG = "flag"
    NUMBER = "number"
    SIZE = "size"
    """A number of KB; Exchange gives it back as "39.06 MB (40,960,000 bytes)"."""
    LIST = "list"
    """The same items in any order and case; nothing else may be there."""
    RANGES = "ranges"
    """Addresses from which mail comes back: like LIST, but those of before stay until no mail comes from them."""
    EXACT = "exact"
    """A list in which case counts."""
    SECRET = "secret"  # noqa: S105 - a name
    """One of these texts; the first is set where none of them is."""
    SECRETS = "secrets"
    """All of these texts, like EXACT; no report shows them."""
    EMPTY = "empty"
    """Nothing; what is there is taken away."""


class Kind(StrEnum):
    """How a step is read, made, changed and taken back."""

    ORGANISATION = "organisation"
    """Only looks: whether this is the right organisation, and whether there is room."""
    SPOOF = "spoof"
    """Entries that are added where they are missing, and removed alone; so are the next two."""
    ADDRESSES = "addresses"
    SEALERS = "sealers"
    SETTINGS = "settings"
    """Properties of the one that is always there; left as they are on removal."""
    CONNECTOR = "connector"
    """An object of its own, known by its name and our mark; so is the next."""
    RULE = "rule"
    VALIDATION = "validation"
    """Exchange's own try of the outbound connector."""


@dataclass(frozen=True, slots=True)
class Property:
    """One property of an object, by the name that its cmdlets give to it."""

    name: str
    form: Form
    value: Value = field(repr=False)

    @property
    def texts(self) -> tuple[str, ...]:
        """The value as people read it, item by item."""
        if self.value is None:
            return ()
        if isinstance(self.value, tuple):
            return self.value
        if isinstance(self.value, bool):
            return ("yes" if self.value else "no",)
        return (f"{self.value} KB" if self.form is Form.SIZE else str(self.value),)


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that should be so."""

    id: str
    title: str
    kind: Kind
    portal: str
    """Where people find it: a name in `portals.PORTALS`."""
    noun: str = ""
    """What its cmdlets are called: Get-NOUN, Set-NOUN, ..."""
    name: str = ""
    properties: tuple[Property, ...] = ()
    needs: tuple[str, ...] = ()
    """Steps without which this one must not be taken; on removal it must be gone before them."""
    place: int | None = None
    """Of a rule: where it stands among ours. They are put above all other rules; None where that does not matter."""
    absent: bool = False
    """Whether it should not be there: it belongs to the other variant, or to another scope."""
    rotates: bool = False
    """Whether it knows the loop values."""
    redirects: bool = False
    """Whether it is what sends mail to Sluice."""
    why: str = ""
    """What it is for, for people."""
    hint: str = ""
    """What to think of when it fails."""

    @property
    def mark(self) -> str:
        """The property that tells whose the object is."""
        return "Comments" if self.kind is Kind.RULE else "Comment"


@dataclass(frozen=True, slots=True)
class Plan:
    """All that one tenant's Exchange Online should be like, in the order in which it can be made."""

    tenant: str
    environment: str
    variant: Variant
    organisation: str
    """The GUID of the Microsoft tenant, "" when it is not known."""
    steps: tuple[Step, ...]
    notes: tuple[str, ...]
    """What this tenant's administrator should know, in sentences."""
    secrets: tuple[str, ...] = field(repr=False)
    """The loop values, the one that rules should set first."""

    @property
    def mark(self) -> str:
        """What connectors and rules of ours carry as their comment: who has it not is not ours, and stays as it is."""
        return f"Made by Sluice for tenant {self.tenant}"

    def step(self, step_id: str) -> Step:
        """The step of that id. Raises KeyError."""
        for step in self.steps:
            if step.id == step_id:
                return step
        raise KeyError(step_id)

    def of(self, kind: Kind) -> Iterator[Step]:
        """The steps of that kind, in order."""
        return (step for step in self.steps if step.kind is kind)


def text(name: str, value: str) -> Property:
    """A text, whose case does not count."""
    return Property(name, Form.TEXT, value)


def flag(name: str, value: bool) -> Property:
    """A yes or no."""
    return Property(name, Form.FLAG, value)


def several(
    name: str, *items: str, form: Literal[Form.LIST, Form.RANGES, Form.EXACT, Form.SECRETS] = Form.LIST
) -> Property:
    """A list; none of it when there are no items."""
    return Property(name, form, items) if items else Property(name, Form.EMPTY, None)


def nothing(name: str) -> Property:
    """Nothing: it is asked for, since the other variant or another scope has something there."""
    return Property(name, Form.EMPTY, None)

"""What a tenant tells of itself: people whose names attackers like to use, and its lists of whom and what it knows."""

import datetime as dt
import ipaddress
from collections.abc import Callable
from typing import Annotated, Any, Literal, Self
from urllib.parse import quote

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from relay.tenants.names import a_label
from relay.tenants.table import Table
from verdicts import lists

MATTERS: tuple[lists.Matter, ...] = ("sender", "network", "hash", "url")
_WIDEST = {4: 8, 6: 16}
_LONGEST = 500


def _reading(form: str, read: Callable[[str], str]) -> AfterValidator:
    """What `read` makes of a text; the error of one that it does not take says what it should look like."""

    def validate(value: str) -> str:
        if len(value) > _LONGEST:
            raise ValueError(f"has more than {_LONGEST} characters")
        try:
            return read(value)
        except ValueError as error:
            raise ValueError(f"{error}: must read like {form}") from error

    return AfterValidator(validate)


def _hosts(name: str) -> str:
    """A domain, or with a dot in front also all that is below it."""
    dot = "." if name.startswith(".") else ""
    return dot + a_label(name.removeprefix("."))


def _address(text: str) -> str:
    local, at, domain = text.rpartition("@")
    if not at or not local or not local.isprintable() or " " in local:
        raise ValueError("not an address")
    return f"{local.casefold()}@{a_label(domain)}"


def _sender(text: str) -> str:
    return _address(text) if "@" in text else _hosts(text)


def _network(text: str) -> str:
    network = ipaddress.ip_network(text)
    if network.prefixlen < _WIDEST[network.version]:
        raise ValueError(f"wider than /{_WIDEST[network.version]}")
    return str(network)


def _hash(text: str) -> str:
    if len(text) != 64 or not all(letter in "0123456789abcdefABCDEF" for letter in text):
        raise ValueError("not a SHA-256")
    return text.lower()


def _url(text: str) -> str:
    host, path = _split(text.removeprefix("https://").removeprefix("http://"))
    if path.count("/") > lists.DEEPEST:
        raise ValueError(f"a path of more than {lists.DEEPEST} steps")
    try:
        host = str(ipaddress.ip_address(host))
    except ValueError:
        host = _hosts(host)
    return host + quote(path)


def _split(url: str) -> tuple[str, str]:
    host, slash, path = url.partition("/")
    return host, lists.path_of(slash + path)


def _reason(text: str) -> str:
    if not text.strip() or not text.isprintable() or len(text) > 200:
        raise ValueError("must have 1 to 200 printable characters")
    return text.strip()


def _moment(value: Any) -> Any:
    """A day is over at its end, in UTC."""
    if isinstance(value, str):
        try:
            value = dt.date.fromisoformat(value) if len(value) == 10 else dt.datetime.fromisoformat(value)
        except ValueError:
            value = None
    if isinstance(value, dt.datetime) and value.tzinfo is not None:
        return value
    if isinstance(value, dt.date) and not isinstance(value, dt.datetime) and value < dt.date.max:
        return dt.datetime.combine(value + dt.timedelta(days=1), dt.time(), dt.UTC)
    raise ValueError("must be a date, or a date-time with its offset: 2027-01-31 or 2027-01-31T12:00:00Z")


Address = Annotated[str, _reading('"ann@acme.example"', _address)]
Sender = Annotated[str, _reading('"ann@acme.example", "acme.example" or ".acme.example"', _sender)]


class Person(Table):
    """[[tenant.person]]: one whose name attackers like to use."""

    name: Annotated[str, Field(max_length=100), AfterValidator(_reason)]
    """As it stands before an address, for example "Ann Archer"; the order of its words does not matter."""
    addresses: tuple[Address, ...] = Field((), max_length=20)
    """The addresses from which that person really writes; those of the tenant's own domains need not be named."""


class Entry(Table):
    """[[tenant.list]]: exactly one sender, network, hash or url, and what to think of it."""

    kind: Literal["allow", "block"]
    """A sender or a network may be allowed; what is blocked is stronger than what is allowed."""
    sender: Sender | None = None
    """An address, a domain, or with a dot in front a domain and all that is below it."""
    network: Annotated[str, _reading('"192.0.2.0/24" or "2001:db8::/32"', _network)] | None = None
    """Addresses of the client that brought the mail to Microsoft."""
    hash: Annotated[str, _reading("the 64 hexadecimal digits of sha256sum", _hash)] | None = None
    """SHA-256 of an attachment."""
    url: Annotated[str, _reading('"host.example", ".host.example" or "host.example/path"', _url)] | None = None
    """A host, or a host and how the path begins, by whole steps; hosts as in `sender`."""
    expires: Annotated[dt.datetime, BeforeValidator(_moment)] | None = None
    """The last day (in UTC), or the moment, on which the entry counts; for good when not given."""
    reason: Annotated[str, AfterValidator(_reason)]
    """For people: why, and on whose word."""

    @model_validator(mode="after")
    def _one(self) -> Self:
        given = [matter for matter in MATTERS if getattr(self, matter) is not None]
        if len(given) != 1:
            raise ValueError("must have exactly one of sender, network, hash and url")
        if self.kind == "allow" and given[0] in {"hash", "url"}:
            raise ValueError(
                "only a sender or a network can be allowed: anybody can attach a known file or write a known link"
            )
        return self

    def compiled(self) -> lists.Entry:
        """What engines look up."""
        matter, value = next((name, value) for name in MATTERS if (value := getattr(self, name)) is not None)
        if matter == "url":
            value = "".join(_split(value))
        expires = lists.NEVER if self.expires is None else self.expires.timestamp()
        return lists.Entry(self.kind, matter, value, self.reason, expires)

"""What a tenant file may say. Every mistake is an error at its key; no message and no repr shows a loop value."""

import re
import uuid
from collections.abc import Iterator
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PlainSerializer,
    ValidationError,
    model_validator,
)
from pydantic_core import InitErrorDetails, PydanticCustomError

from relay.policy.model import Policy
from relay.tenants.hops import NextHop
from relay.tenants.lists import Address, Entry, Person
from relay.tenants.table import DomainName, Table


def _name(value: str) -> str:
    if not re.fullmatch("[A-Za-z0-9]([A-Za-z0-9._ -]*[A-Za-z0-9])?", value):
        raise ValueError("must be of letters and digits, and between them also spaces, dots, hyphens, underscores")
    return value


def _next_hop(value: object) -> NextHop:
    if isinstance(value, NextHop):
        return value
    if not isinstance(value, str):
        raise ValueError('must be a text: "host" or "host:port"')  # noqa: TRY004 - pydantic collects ValueError only
    return NextHop.parse(value)


def _loop_value(value: str) -> str:
    """A value that stands in a header field as it is: nothing to encode, fold or trim (RFC 5322 section 2.2)."""
    if not 8 <= len(value) <= 200:
        raise ValueError("must have 8 to 200 characters")
    if not (value.isascii() and value.isprintable()) or value != value.strip():
        raise ValueError("must be printable ASCII, without a space at either end")
    return value


def _few(values: tuple[str, ...]) -> tuple[str, ...]:
    if not 1 <= len(values) <= 10:
        raise ValueError("must have 1 to 10 values")
    return values


def _guid(value: str) -> str:
    try:
        return str(uuid.UUID(value))
    except ValueError:
        raise ValueError('must be a GUID, for example "2b6e8f4a-9c1d-4f3b-8a57-d0c4e1f2a3b5"') from None


class Domain(Table):
    """[[tenant.domain]]: one protected domain."""

    name: DomainName
    """The part behind "@", stored as lower-case A-labels; its sub-domains are not meant."""
    next_hop: Annotated[NextHop, BeforeValidator(_next_hop), PlainSerializer(str, return_type=str)]
    """Where the mail goes on to: "host", "host:port" or "[IPv6]:port"; port 25 when not given."""
    verified: bool = False
    """Whether the operator vouches that the domain is the tenant's. Otherwise its TXT record must prove it; until then
    mail for it is put off."""


class Scope(Table):
    """[tenant.scope]: whose mail the tenant's rule sends to us: of the groups and users named, or of whole domains."""

    groups: tuple[Address, ...] = Field((), max_length=100)
    """Addresses of groups whose members are protected."""
    users: tuple[Address, ...] = Field((), max_length=100)
    """Addresses of single users."""


class Tenant(Table):
    """[[tenant]]: one customer, with its domains."""

    name: Annotated[str, Field(max_length=100), AfterValidator(_name)]
    """What records, logs and commands call it."""
    loop_values: Annotated[
        tuple[Annotated[str, AfterValidator(_loop_value)], ...], AfterValidator(_few), Field(repr=False)
    ]
    """Secrets of which the tenant's rule sets one in X-PERCEPTION-POINT-CUSTOM; several while one is rotated, the
    newest one first."""
    microsoft_tenant_id: Annotated[str, AfterValidator(_guid)] | None = None
    """X-MS-Exchange-CrossTenant-Id must equal this where it is present."""
    originator_domains: tuple[DomainName, ...] = ()
    """X-OriginatorOrg must be one of these where it is present."""
    proof: Literal["require", "log"] = "require"
    """What a missing proof leads to: require refuses the message, log only tells, for the time of setting up."""
    policy: Policy = Policy()
    """What spam, malicious, suspicious and unscanned lead to."""
    environment: str = Field("", max_length=63)
    """Which of the operator's environments its mail is sent to, for scripts, guides and checks."""
    multi_region: bool = False
    """Whether the environment's second region serves it as well."""
    contacts: tuple[Address, ...] = Field((), max_length=20)
    """Escalation contacts: who is told when something has to be done."""
    notices: bool = True
    """Whether anything is told of the tenant: to its contacts by mail, to the operator's webhook."""
    scope: Scope = Scope()
    """Who is protected, where not whole domains are."""
    domain: tuple[Domain, ...] = Field((), max_length=5_000)
    """The protected domains."""
    person: tuple[Person, ...] = Field((), max_length=1_000)
    """Whose names attackers like to use."""
    list: tuple[Entry, ...] = Field((), max_length=10_000)
    """Senders, networks, attachments and links that are allowed or blocked."""

    @property
    def known_value(self) -> str:
        """The loop value that we add to what we hand over without one: the oldest, which the tenant's rules accept
        until a rotation has ended. Of a newer one they may not have heard, and would send here again what bears it.
        """
        return self.loop_values[-1]


class TenantFile(Table):
    """A whole tenant file. Names of tenants are unique, and a domain belongs to one tenant."""

    tenant: tuple[Tenant, ...]

    @model_validator(mode="after")
    def _unique(self) -> Self:
        clashes = [*_name_clashes(self.tenant), *_domain_clashes(self.tenant)]
        if clashes:
            raise ValidationError.from_exception_data("TenantFile", clashes, hide_input=True)
        return self


def _clash(place: tuple[str | int, ...], name: str, text: str, **context: Any) -> InitErrorDetails:
    return InitErrorDetails(type=PydanticCustomError("clash", text, context), loc=place, input=name)


def _name_clashes(tenants: tuple[Tenant, ...]) -> Iterator[InitErrorDetails]:
    seen: set[str] = set()
    for index, tenant in enumerate(tenants):
        if tenant.name.casefold() in seen:
            yield _clash(("tenant", index, "name"), tenant.name, "another tenant has this name already")
        seen.add(tenant.name.casefold())


def _domain_clashes(tenants: tuple[Tenant, ...]) -> Iterator[InitErrorDetails]:
    owners: dict[str, str] = {}
    for index, tenant in enumerate(tenants):
        for number, domain in enumerate(tenant.domain):
            owner = owners.get(domain.name)
            if owner is not None:
                place = ("tenant", index, "domain", number, "name")
                yield _clash(place, domain.name, 'the domain belongs to tenant "{owner}" already', owner=owner)
            owners.setdefault(domain.name, tenant.name)

"""Changes of tenants and domains, as plain functions on their documents. No I/O.

Documents are what `tenants.model.Tenant` says as plain data. Every function gives back new ones, checked as a whole:
names are unique, a domain belongs to one tenant, an environment is one that there is.
"""

import re
import secrets
import string
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, get_args, get_origin

from pydantic import BaseModel, ValidationError

from relay.errors import NotFound, Unusable
from relay.onboarding.environment import PRIMARY, Environment
from relay.records.verifications import PREFIX, Row
from relay.tenants.model import Tenant, TenantFile
from relay.tenants.names import a_label

Document = dict[str, Any]
Documents = Sequence[Document]
Environments = Mapping[str, Environment]

OWN_COMMANDS = ("name", "loop_values", "domain", "person", "list")
"""Keys of a tenant that `changed` does not set: other commands do, or the tenant file."""
_ALPHABET = string.ascii_letters + string.digits
_SHOULD = re.compile(r"^[A-Z]\w+ should ")


def new_secret() -> str:
    """32 letters and digits, 190 bits: a word for Exchange's conditions, which know words only."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(32))


def found(documents: Documents, name: str) -> Tenant:
    """The tenant of that name. Raises NotFound."""
    for document in documents:
        if document["name"] == name:
            return Tenant.model_validate(document)
    raise NotFound(f"no such tenant: {name[:100]!a}")


def added(documents: Documents, environments: Environments, name: str, values: Mapping[str, Any]) -> Documents:
    """With a new tenant, which has `values` and a loop value of its own. Raises Unusable."""
    new = {"name": name, "loop_values": [new_secret()], **values}
    return checked([*documents, new], environments)


def changed(documents: Documents, environments: Environments, name: str, pairs: Mapping[str, str]) -> Documents:
    """With values of the tenant set, each as one types it: "environment", "policy.spam", lists by commas, "" for the
    default. Raises NotFound, Unusable.
    """
    document = found(documents, name).model_dump(mode="json")
    for key, text in pairs.items():
        _set(document, Tenant, key, key.split("."), text)
    return replaced(documents, environments, document)


def _set(table: Document, model: type[BaseModel], key: str, path: Sequence[str], text: str) -> None:
    first, *rest = path
    field = model.model_fields.get(first)
    if field is None or (model is Tenant and first in OWN_COMMANDS):
        raise Unusable(f"{key}: no value of that name can be set")
    kind = field.annotation
    is_table = isinstance(kind, type) and issubclass(kind, BaseModel)
    if is_table is not bool(rest):
        raise Unusable(f"{key}: {'needs the name of a value in it' if is_table else 'has no values in it'}")
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        _set(table[first], kind, key, rest, text)
    elif not text:
        table.pop(first, None)
    else:
        table[first] = [item.strip() for item in text.split(",")] if _is_list(kind) else text


def _is_list(kind: Any) -> bool:
    return get_origin(kind) is tuple or any(_is_list(part) for part in get_args(kind))


def replaced(documents: Documents, environments: Environments, document: Document) -> Documents:
    """With `document` in the place of the one of its name. Raises Unusable."""
    return checked([document if one["name"] == document["name"] else one for one in documents], environments)


def removed(documents: Documents, name: str) -> Documents:
    """Without the tenant. Raises NotFound."""
    found(documents, name)
    return [one for one in documents if one["name"] != name]


def with_domain(documents: Documents, environments: Environments, name: str, domain: Document) -> Documents:
    """With a domain more. Raises NotFound, Unusable."""
    document = found(documents, name).model_dump(mode="json")
    return replaced(documents, environments, document | {"domain": [*document["domain"], domain]})


def with_changed_domain(
    documents: Documents, environments: Environments, name: str, domain: str, values: Mapping[str, Any]
) -> Documents:
    """With `values` of one of the tenant's domains set. Raises NotFound, Unusable."""
    document, place = _place(documents, name, domain)
    document["domain"][place] |= values
    return replaced(documents, environments, document)


def without_domain(documents: Documents, environments: Environments, name: str, domain: str) -> Documents:
    """Without one of the tenant's domains. Raises NotFound."""
    document, place = _place(documents, name, domain)
    del document["domain"][place]
    return replaced(documents, environments, document)


def _place(documents: Documents, name: str, domain: str) -> tuple[Document, int]:
    """The tenant's document, which may be changed, and where the domain is in it."""
    document = found(documents, name).model_dump(mode="json")
    for place, one in enumerate(document["domain"]):
        if one["name"] == _comparable(domain):
            return document, place
    raise NotFound(f"{name} has no domain {domain[:255]!a}")


def _comparable(domain: str) -> str:
    try:
        return a_label(domain)
    except ValueError:
        return domain


def with_new_value(documents: Documents, environments: Environments, name: str) -> Documents:
    """With a new loop value before the ones that the tenant has. Raises NotFound, Unusable when it has two already."""
    document = found(documents, name).model_dump(mode="json")
    if len(document["loop_values"]) > 1:
        raise Unusable(f"{name} has an old loop value already: end that rotation first")
    return replaced(documents, environments, document | {"loop_values": [new_secret(), *document["loop_values"]]})


def with_one_value(documents: Documents, name: str, known: Sequence[str]) -> Documents:
    """With the first loop value alone. Raises NotFound, and Unusable when the values are not those that are `known`."""
    if found(documents, name).loop_values != tuple(known):
        raise Unusable(f"{name}: its loop values were changed meanwhile")
    return [
        document | {"loop_values": document["loop_values"][:1]} if document["name"] == name else document
        for document in documents
    ]


def checked(documents: Iterable[Document], environments: Environments) -> Documents:
    """The documents in their full form. Raises Unusable with all that is wrong; values are not repeated."""
    try:
        tenants = TenantFile.model_validate({"tenant": list(documents)}).tenant
    except ValidationError as error:
        mistakes = error.errors(include_url=False, include_input=False, include_context=False)
        raise Unusable("; ".join(dict.fromkeys(map(_told, mistakes)))) from None
    wrong = [mistake for tenant in tenants for mistake in mistakes_of(tenant, environments)]
    if wrong:
        raise Unusable("; ".join(wrong))
    return [tenant.model_dump(mode="json") for tenant in tenants]


def _told(mistake: Any) -> str:
    place = ".".join(str(part) for part in mistake["loc"] if not isinstance(part, int)).removeprefix("tenant.")
    if mistake["type"] == "bool_parsing":
        return f"{place}: must be true or false"
    said = mistake["msg"].removeprefix("Value error, ").partition(", unable to ")[0]
    return f"{place}: {_SHOULD.sub('must ', said)}"


def mistakes_of(tenant: Tenant, environments: Environments) -> Iterable[str]:
    """What of the tenant does not fit the operator's environments."""
    environment = environments.get(tenant.environment)
    if environment is None and tenant.environment:
        known = ", ".join(sorted(environments)) or "none"
        yield f"{tenant.name}: no such environment: {tenant.environment[:63]!a}; there are: {known}"
    if tenant.multi_region and environment is None and not tenant.environment:
        yield f"{tenant.name}: multi_region needs an environment"
    if tenant.multi_region and environment is not None and not environment.secondary_region:
        yield f"{tenant.name}: the environment {environment.name} has no secondary_region"


def wanted(documents: Documents, environments: Environments, now: float) -> Iterable[Row]:
    """A new row for each record that DNS should have: where nobody vouches for the domain, in each region."""
    for document in documents:
        tenant = Tenant.model_validate(document)
        environment = environments.get(tenant.environment)
        regions = environment.regions(tenant.multi_region) if environment else (PRIMARY,)
        for domain in tenant.domain:
            if not domain.verified:
                for region in regions:
                    value = PREFIX + new_secret()
                    yield Row(tenant.name, domain.name, region, value, added=now, changed=now)

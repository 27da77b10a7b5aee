"""What the tables of a tenant file have in common."""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict

from relay.tenants.names import a_label


def _domain(name: str) -> str:
    try:
        return a_label(name)
    except ValueError as error:
        raise ValueError(
            f'{error}: must read like "acme.example", without a dot at the end; a sub-domain needs its own entry'
        ) from error


DomainName = Annotated[str, AfterValidator(_domain)]


class Table(BaseModel):
    """A table: read-only, without unknown keys, and silent about values, which may be secrets."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

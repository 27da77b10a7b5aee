"""What the tables of the configuration have in common."""

import ipaddress
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def _endpoint(value: str) -> str:
    """`value` if it reads HOST:PORT or [IPv6]:PORT. Raises ValueError."""
    host, colon, port = value.rpartition(":")
    if not colon or not host or not port.isdigit() or int(port) > 65535:
        raise ValueError("must be HOST:PORT, for example 127.0.0.1:2525")
    ipaddress.ip_address(host.strip("[]"))
    return value


Endpoint = Annotated[str, AfterValidator(_endpoint)]
Positive = Annotated[float, Field(gt=0)]
Seconds = Positive
LABEL = r"^[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?$"
HOST = r"^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$"
Count = Annotated[int, Field(ge=1)]


class Table(BaseModel):
    """A table: read-only, without unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)

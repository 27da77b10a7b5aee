"""NextHop: the mail server that a domain's mail goes on to."""

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from relay.tenants.names import a_label

_BRACKETED = re.compile(r"\[([^\[\]]*)\](?::(.*))?", re.DOTALL)
_MX_HINT = "use the host of the domain's MX record, for example acme-example.mail.protection.outlook.com"

WRONG_HOSTS: Mapping[str, str] = {
    "smtp.office365.com": "it takes mail from signed-in users only",
    "smtp-mail.outlook.com": "it takes mail from signed-in users only",
    "outlook.office365.com": "it serves mailboxes to their users and takes no mail from servers",
    "outlook.office.com": "it serves mailboxes to their users and takes no mail from servers",
    "smtp.gmail.com": "it is Google's, and takes mail from signed-in users only",
}
"""Hosts that are often entered and never right: none of them takes a tenant's mail on port 25 without a login."""


@dataclass(frozen=True, slots=True, order=True)
class NextHop:
    """Host (lower-case A-labels, or an IP address without brackets) and TCP port."""

    host: str
    port: int = 25

    @classmethod
    def parse(cls, text: str) -> Self:
        """From "host", "host:port", "[IPv6]" or "[IPv6]:port". Raises ValueError that says what is wrong."""
        text = text.strip()
        bracketed = _BRACKETED.fullmatch(text)
        if bracketed:
            return cls(_ipv6(bracketed[1]), _port(bracketed[2]))
        if text.count(":") > 1:
            raise ValueError('an IPv6 address stands in brackets: "[2001:db8::1]" or "[2001:db8::1]:25"')
        host, colon, port = text.partition(":")
        return cls(_host(host), _port(port if colon else None))

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == 25 else f"{host}:{self.port}"


def _port(text: str | None) -> int:
    if text is None:
        return 25
    if not re.fullmatch(r"[0-9]{1,5}", text) or not 1 <= int(text) <= 65535:
        raise ValueError("the port must be a number from 1 to 65535")
    return int(text)


def _ipv6(text: str) -> str:
    try:
        return _usable(ipaddress.IPv6Address(text))
    except ipaddress.AddressValueError as error:
        raise ValueError("only an IPv6 address stands in brackets") from error


def _host(text: str) -> str:
    """A host name or an IPv4 address. A last label of digits is an address, or a mistake: resolvers disagree there."""
    if not text:
        raise ValueError('the host is missing: must be "host" or "host:port"')
    try:
        name = a_label(text.removesuffix("."))
    except ValueError as error:
        raise ValueError('must be "host" or "host:port", and the host a name or an IP address') from error
    if name in WRONG_HOSTS:
        raise ValueError(f"{name} cannot be a next hop: {WRONG_HOSTS[name]}; {_MX_HINT}")
    if not name.rpartition(".")[2].isdigit():
        return name
    try:
        return _usable(ipaddress.IPv4Address(name))
    except ipaddress.AddressValueError as error:
        raise ValueError("not a valid IPv4 address") from error


def _usable(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> str:
    if address.is_unspecified or address.is_multicast:
        raise ValueError("no mail server can have this address")
    return str(address)

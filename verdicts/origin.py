"""Origin: Microsoft's own evidence of who sent a message.

Source: the X-Forefront-Antispam-Report format of Microsoft's page "Anti-spam message headers in Microsoft 365".
"""

import ipaddress
import re
from typing import NamedTuple, Self

from verdicts.fields import Fields

_REPORT_CHARACTERS = 8_192  # Microsoft's reports have some hundred characters
_HOST_CHARACTERS = 255


def parse_forefront(text: str) -> dict[str, str]:
    """The `KEY:value;` pairs of an X-Forefront-Antispam-Report by key; of a repeated key the first one."""
    facts: dict[str, str] = {}
    for pair in text[:_REPORT_CHARACTERS].split(";"):
        key, colon, value = pair.partition(":")
        if colon:
            facts.setdefault(key.strip().upper(), value.strip())
    return facts


def directions(fields: Fields) -> frozenset[str]:
    """What the topmost report says of the direction: "INB", "INT", "OUT"; several where a HELO was made to say one."""
    pairs = (pair.partition(":") for pair in fields.text("X-Forefront-Antispam-Report")[:_REPORT_CHARACTERS].split(";"))
    return frozenset(value.strip().upper() for key, _, value in pairs if key.strip().upper() == "DIR")


class Origin(NamedTuple):
    """Who handed the message to Microsoft, as Microsoft says; None is what it does not say or says unreadably."""

    address: str | None = None
    """IPv4 or IPv6 address in its normal form."""
    helo: str | None = None
    ptr: str | None = None
    """The name that the address resolves to."""
    scl: int | None = None
    """Microsoft's spam confidence level, -1 to 9."""

    @classmethod
    def of(cls, fields: Fields) -> Self:
        """By the topmost X-Forefront-Antispam-Report, else by the attributed connecting address; never by Received.

        Whether the session was Microsoft's is for the caller to know: anybody can write these fields.
        """
        report = parse_forefront(fields.text("X-Forefront-Antispam-Report"))
        connecting = _connecting(fields.text("X-MS-Exchange-CrossTenant-OriginalAttributedTenantConnectingIp"))
        return cls(
            address=_address(report["CIP"] if "CIP" in report else connecting.get("ip", "")),
            helo=_host(report.get("H", "")) or _host(connecting.get("helo", "")),
            ptr=_pointer(report.get("PTR", "")),
            scl=_level(report.get("SCL", "")),
        )


def _connecting(text: str) -> dict[str, str]:
    """The pairs of "TenantId=...;Ip=[192.0.2.1];Helo=[mail.example]" by lower-case key, without the brackets."""
    pairs = (pair.partition("=") for pair in text[:_REPORT_CHARACTERS].split(";"))
    return {key.strip().lower(): value.strip().strip("[]") for key, _, value in pairs}


def _address(text: str) -> str | None:
    if "%" in text:  # a scope may hold any character, and means nothing to anybody else
        return None
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    # Microsoft writes 255.255.255.255 for what was submitted inside.
    return None if str(address) == "255.255.255.255" else str(address)


def _host(text: str) -> str | None:
    usable = text and len(text) <= _HOST_CHARACTERS and text.isascii() and text.isprintable() and " " not in text
    return text if usable else None


def _pointer(text: str) -> str | None:
    # Without a dot it is no host name but Microsoft's word for "none", such as InfoDomainNonexistent.
    return _host(text) if "." in text else None


def _level(text: str) -> int | None:
    return int(text) if re.fullmatch(r"-1|[0-9]", text) else None

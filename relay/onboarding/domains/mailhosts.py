"""What the host of an MX record is: Microsoft 365, a gateway, a wrong one, ourselves. Tables, and no I/O."""

import enum
import ipaddress
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Final

from relay.dns import Answer, Said
from relay.dns.addresses import is_public
from relay.tenants.hops import WRONG_HOSTS
from relay.tenants.names import a_label


class Kind(enum.StrEnum):
    """What a host is, as far as its name and its addresses tell."""

    MICROSOFT = "Microsoft 365"
    GATEWAY = "gateway"
    MAILBOXES = "other mailboxes"
    WRONG = "wrong value"
    NULL = "no mail"
    LITERAL = "address"
    NO_NAME = "no host name"
    OURSELVES = "this relay"
    PRIVATE = "private address"
    MISSING = "no address"
    NO_ANSWER = "no answer"
    OTHER = "another server"


@dataclass(frozen=True, slots=True)
class Cloud:
    """One of Microsoft's clouds."""

    what: str
    """Its name."""
    setting: str = ""
    """What `admission.clouds` calls it."""


_LABEL: Final = r"[a-z0-9]([a-z0-9-]*[a-z0-9])?"
CLOUDS: Final[Mapping[str, Cloud]] = {
    rf"{_LABEL}\.mail\.protection\.outlook\.com": Cloud("Microsoft 365", "worldwide"),
    rf"{_LABEL}\.[a-z]-v1\.mx\.microsoft": Cloud("Microsoft 365, by DNSSEC", "worldwide"),
    rf"{_LABEL}\.mail\.protection\.office365\.us": Cloud("Microsoft 365, GCC High or DoD", "gcc-high"),
    rf"{_LABEL}\.mail\.protection\.partner\.outlook\.cn": Cloud("Microsoft 365 in China, run by 21Vianet", "china"),
    rf"{_LABEL}\.mail\.protection\.outlook\.de": Cloud("Microsoft Cloud Germany, which was closed in 2021"),
}
"""Hosts of tenants, by the whole name. Never computed from the domain: most are "acme-com", and some are not.

Sources: Exchange Online's DNS records, "Enable-DnssecForVerifiedDomain" (DnssecMxValue), Microsoft's national clouds.
"""

GATEWAYS: Final[Mapping[str, str]] = {
    "pphosted.com": "Proofpoint",
    "ppe-hosted.com": "Proofpoint Essentials",
    "mimecast.com": "Mimecast",
    "mimecast.co.za": "Mimecast",
    "barracudanetworks.com": "Barracuda",
    "iphmx.com": "Cisco Secure Email",
    "messagelabs.com": "Symantec Email Security.cloud",
    "tmes.trendmicro.com": "Trend Micro",
    "tmes.trendmicro.eu": "Trend Micro",
    "hornetsecurity.com": "Hornetsecurity",
    "antispameurope.com": "Hornetsecurity",
    "hydra.sophos.com": "Sophos Email",
    "mailcontrol.com": "Forcepoint",
    "fireeyecloud.com": "Trellix",
    "mxrecord.io": "Cloudflare Email Security",
    "mxrecord.mx": "Cloudflare Email Security",
    "mx.cloudflare.net": "Cloudflare Email Routing",
    "seppmail.cloud": "SEPPmail",
    "antispamcloud.com": "SpamExperts",
    "arsmtp.com": "Zix",
}
"""Gateways that mail passes on its way to mailboxes elsewhere, by the end of the name. Those that are met often."""

MAILBOXES: Final[Mapping[str, str]] = {
    "google.com": "Google Workspace",
    "googlemail.com": "Google Workspace",
    "olc.protection.outlook.com": "Outlook.com, Microsoft's mailboxes for consumers",
    "zoho.com": "Zoho",
    "zoho.eu": "Zoho",
    "protonmail.ch": "Proton",
    "icloud.com": "Apple iCloud",
    "secureserver.net": "GoDaddy",
}
"""Where other mailboxes are, by the end of the name."""


@dataclass(frozen=True, slots=True)
class Ours:
    """What this relay is called, and where it is."""

    names: frozenset[str] = frozenset()
    addresses: frozenset[str] = frozenset()


NOBODY: Final = Ours()
"""A relay that is not known."""


@dataclass(frozen=True, slots=True)
class MailHost:
    """One host, and what it is."""

    name: str
    """As A-labels, without a dot at the end; "" for the null MX."""
    kind: Kind
    what: str = ""
    """Whose it is, or what is wrong with it, for people."""
    preference: int | None = None
    """Of its MX record; the lowest is asked first (RFC 5321 section 5.1)."""
    cloud: str = ""
    """What `admission.clouds` calls the cloud that it is in."""
    addresses: tuple[str, ...] = ()


def by_name(text: str, ours: Ours = NOBODY) -> MailHost:
    """What the host is by its name alone."""
    name = text.strip().removesuffix(".").lower()
    if not name:
        return MailHost("", Kind.NULL, "it takes no mail")
    if _is_address(name):
        return MailHost(name, Kind.LITERAL, "an address, where a host name must stand")
    try:
        name = a_label(name)
    except ValueError:
        return MailHost(name, Kind.NO_NAME, "no host has such a name")
    if name in ours.names:
        return MailHost(name, Kind.OURSELVES, "a name of this relay")
    if name in WRONG_HOSTS:
        return MailHost(name, Kind.WRONG, WRONG_HOSTS[name])
    for pattern, cloud in CLOUDS.items():
        if re.fullmatch(pattern, name):
            return MailHost(name, Kind.MICROSOFT, cloud.what, cloud=cloud.setting)
    for kind, table in ((Kind.GATEWAY, GATEWAYS), (Kind.MAILBOXES, MAILBOXES)):
        whose = next((whose for end, whose in table.items() if f".{name}".endswith(f".{end}")), None)
        if whose:
            return MailHost(name, kind, whose)
    return MailHost(name, Kind.OTHER, "neither Microsoft's, nor a gateway that is known here")


def _is_address(name: str) -> bool:
    """Whether it reads like an address: in brackets, with colons, or with a last label of digits alone."""
    return name.startswith("[") or ":" in name or name.rpartition(".")[2].isdigit()


def needs_addresses(host: MailHost) -> bool:
    """Whether its addresses may tell more than its name does."""
    return host.kind in {Kind.MICROSOFT, Kind.OTHER}


def with_addresses(
    host: MailHost, answers: tuple[Answer, ...], own: Collection[str] = (), *, private: bool = False
) -> MailHost:
    """What the host is when its addresses are known, or why they are not.

    `own` are this relay's addresses; `private` ones may be right.
    """
    addresses = tuple(record for answer in answers for record in answer.records if address(record))
    host = replace(host, addresses=addresses)
    if not addresses:
        unknown = [answer.detail for answer in answers if not answer.said.certain]
        if unknown:
            return replace(host, kind=Kind.NO_ANSWER, what=unknown[0])
        gone = any(answer.said is Said.NO_NAME for answer in answers)
        return replace(host, kind=Kind.MISSING, what="no such name" if gone else "no address")
    ours = [each for each in addresses if each in own]
    if ours:
        return replace(host, kind=Kind.OURSELVES, what=f"{ours[0]} is an address of this relay")
    inner = [each for each in addresses if not is_public(each)]
    if inner and not private:
        return replace(host, kind=Kind.PRIVATE, what=f"{inner[0]} is not on the Internet")
    return host


def address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """`text` as an IP address; None when it is none."""
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None

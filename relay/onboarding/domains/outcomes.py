"""How FIND SMTP can end, each end with its explanation and the next step. Words only."""

import enum
from collections.abc import Mapping
from typing import Final


class Outcome(enum.StrEnum):
    """What the MX records of a domain, or a host that was typed, come to."""

    USABLE = "usable"
    MIXED = "usable, and not alone"
    BY_HAND = "usable, as you say"
    GATEWAY = "a gateway"
    MAILBOXES = "other mailboxes"
    WRONG = "a wrong value"
    NULL = "no mail"
    LITERAL = "an address"
    NO_NAME = "no host name"
    OURSELVES = "this relay itself"
    PRIVATE = "a private address"
    MISSING = "a host without address"
    OTHER = "another server"
    NO_DOMAIN = "no such domain"
    NO_MX = "no MX record"
    IMPLICIT = "no MX record, but an address"
    NO_ANSWER = "no answer"
    BROKEN = "broken answer"

    @property
    def usable(self) -> bool:
        """Whether the host can be taken as the next hop."""
        return self in {Outcome.USABLE, Outcome.MIXED, Outcome.BY_HAND}


_LOOK_UP: Final = (
    "Microsoft 365 tells it: admin center (https://admin.microsoft.com/#/Domains), the domain, DNS records, the value"
    " of the MX record. It ends in .mail.protection.outlook.com or .mx.microsoft in most clouds. Give it with"
    " --next-hop."
)
_OWN_HOST: Final = f"Needed is the tenant's own host. {_LOOK_UP}"
_MX_FIRST: Final = f"Its MX record must name the tenant's host first. {_LOOK_UP}"
_AGAIN: Final = (
    "This says nothing about the domain. Try again; if it stays so, look at dns.servers in the configuration, and ask"
    " who runs the domain's name servers."
)
_ALONE: Final = "Take it as the next hop: sluice domain add does so by itself, or with --next-hop {host}."
_NOT_ALONE: Final = (
    f"{_ALONE} See whether the other hosts are still wanted: mail that never passes Microsoft 365 is not scanned."
)
_BY_HAND: Final = (
    "It is taken as you say. Make sure that the mailboxes are behind it: a host that passes mail on to Microsoft 365"
    " sends it in circles."
)
_PERHAPS: Final = (
    f"If it is a gateway, or passes mail on to Microsoft 365: {_OWN_HOST}"
    " If it is where the mailboxes are, give it with --next-hop {host}."
)

TEXTS: Final[Mapping[Outcome, tuple[str, str]]] = {
    Outcome.USABLE: ("{host} takes the mail: {what}.", _ALONE),
    Outcome.MIXED: ("{host} takes the mail: {what}. So do others: {others}.", _NOT_ALONE),
    Outcome.BY_HAND: ("{host} is none of Microsoft's hosts.", _BY_HAND),
    Outcome.GATEWAY: (
        "{host} is a gateway ({what}). Mail that is handed to it comes back through Microsoft 365, in circles.",
        _OWN_HOST,
    ),
    Outcome.MAILBOXES: (
        "{host} is not Microsoft 365, but {what}.",
        f"Sluice works behind Microsoft 365. If the domain has its mailboxes there all the same: {_OWN_HOST}",
    ),
    Outcome.WRONG: ("{host} cannot be the next hop: {what}.", _OWN_HOST),
    Outcome.NULL: (
        "{domain} takes no mail at all: its MX record says so (RFC 7505).",
        f"There is nothing to protect. If it is to take mail: {_MX_FIRST}",
    ),
    Outcome.LITERAL: (
        "{host} is an address. A host name is needed: the certificate is checked against it, and addresses change.",
        _OWN_HOST,
    ),
    Outcome.NO_NAME: ("{host} is no host: {what}.", f"Look for a typing mistake. {_LOOK_UP}"),
    Outcome.OURSELVES: (
        "{host} is this relay itself ({what}): mail would come back to it for ever.",
        f"Mail gets here by the transport rule, and not by the MX record, which names Microsoft 365. {_OWN_HOST}",
    ),
    Outcome.PRIVATE: (
        "{host} cannot be reached: {what}. No host of Microsoft's has such an address.",
        f"Correct the DNS record; nothing is sent there. {_LOOK_UP}",
    ),
    Outcome.MISSING: (
        "{host} has no address ({what}): no mail can get there.",
        f"Correct the name, or wait until the DNS knows it. {_LOOK_UP}",
    ),
    Outcome.OTHER: ("The mail of {domain} goes to {host}, which is {what}.", _PERHAPS),
    Outcome.NO_DOMAIN: (
        "{domain} does not exist: the DNS has no such name.",
        "Look for a typing mistake. A domain that was just bought may take some hours.",
    ),
    Outcome.NO_MX: (
        "{domain} exists, but takes no mail: it has neither an MX record nor an address.",
        _MX_FIRST,
    ),
    Outcome.IMPLICIT: (
        "{domain} has no MX record. Its mail goes to its own address, {what}, instead (RFC 5321 section 5.1).",
        _MX_FIRST,
    ),
    Outcome.NO_ANSWER: ("The DNS gave no answer about {host}: {what}.", _AGAIN),
    Outcome.BROKEN: ("What the DNS answered about {host} cannot be read: {what}.", _AGAIN),
}
"""What it means, and what to do."""

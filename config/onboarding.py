"""The settings that tenants are onboarded by: environments, proof of domains, notices."""

import ipaddress
import re
from email.errors import MessageError
from email.headerregistry import Address
from email.utils import getaddresses
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from config.table import HOST, LABEL, Endpoint, Positive, Seconds, Table

NoticeKind = Literal["verified", "failed", "lapsing", "lapsed", "working", "unproven", "loop", "next_hop"]


class Environment(Table):
    """[environments.NAME]: a set of nodes that tenants are sent to, as scripts, guides and checks tell of it."""

    egress: list[ipaddress.IPv4Address] = Field(min_length=1, max_length=100)
    """Addresses from which its nodes hand mail back; Exchange Online takes IPv4 here only."""
    secondary_egress: list[ipaddress.IPv4Address] = Field([], max_length=100)
    """Those of the second region, which a tenant allows as well when it has multi-region."""
    smart_host: str = Field(pattern=HOST, max_length=253)
    """Where a tenant's outbound connector sends mail; the nodes' certificate must have this name."""
    smart_host_multi_region: str | None = Field(None, pattern=HOST, max_length=253)
    """The same for tenants with multi-region, a name that leads to both regions; `smart_host` when not given."""
    validation_address: str = Field(pattern=r"^[^@\s<>,;\"]{1,64}@[A-Za-z0-9.-]{1,253}$")
    """Mailbox for Exchange's validation of the connector: mail to it is accepted and thrown away."""
    ptr_domain: str | None = Field(None, pattern=HOST, max_length=253)
    """Domain that the names of all its addresses (PTR) end with. Without it tenants can only allow addresses, and those
    by networks of 256."""
    region: str = Field("primary", pattern=LABEL)
    """What the region is called, in the proof of domains and in what people are told."""
    secondary_region: str | None = Field(None, pattern=LABEL)
    """What the second region is called; needed for multi-region."""


class Onboarding(Table):
    """[onboarding]: how tenants come to be protected."""

    txt_label: str = Field("_sluice", pattern=LABEL)
    """A domain is proved by a TXT record at LABEL.DOMAIN."""
    verify_hours: Positive = 72.0
    """Hours that a new domain has for its record; then its proof has failed. It is looked for all the same."""
    recheck_hours: Positive = 24.0
    """Hours between two looks at the record of a proved domain; a new one is looked at every five minutes."""
    lapse_days: Positive = 7.0
    """Days from a look that finds the record gone until the domain is protected no more; meanwhile it is warned of."""
    name_servers: list[Endpoint] = []
    """Resolvers that are asked for the records, in place of the name servers of each domain, where these cannot be
    reached from here."""
    private_addresses: bool = False
    """Ask the name servers of domains at private addresses too, and take next hops at such addresses for right: in
    laboratories, and where domains have other records inside."""
    old_value_days: Positive = 3.0
    """Days without a message that carries an old loop value, and with messages that carry the new one, after which the
    old one is not accepted any more."""


def _mailbox(value: str) -> str:
    """`value` if it is one address with or without a name, for a header field. Raises ValueError."""
    (name, address), *others = getaddresses([value]) or [("", "")]
    try:
        if others or not value.isprintable() or "=?" in value or not re.fullmatch(r"[!-~]+@[A-Za-z0-9.-]+", address):
            raise ValueError  # noqa: TRY301
        Address(name, addr_spec=address)
    except (ValueError, IndexError, MessageError):
        raise ValueError('must be an address, or a name and an address: "Sluice <sluice@relay.example>"') from None
    return value


class Notices(Table):
    """[notices]: what tenants' escalation contacts are told; nothing without `sender` or `webhook`."""

    sender: Annotated[str, Field(max_length=300), AfterValidator(_mailbox)] | None = None
    """From of the mails: an address, or `Sluice <sluice@relay.example>`; no mail is sent without it. Best in the
    domain of `node.name`: the envelopes have the null sender, so that none comes back, and so the SPF record of that
    name speaks for them."""
    server: str | None = None
    """SMTP server that takes the mails without a login, as "host" or "host:port". Without one they go to the tenant's
    own next hop, and only to contacts in the tenant's own domains."""
    tls: Literal["verify", "opportunistic", "off"] = "verify"
    """As `delivery.tls`, for `server`."""
    webhook: str | None = Field(None, pattern=r"^https?://[!-~]+$")
    """URL that each notice is posted to as JSON; https unless it is on this machine."""
    secret: Path | None = None
    """File with what these requests are signed with, 16 characters at least; needed for `webhook`."""
    kinds: list[NoticeKind] = ["verified", "failed", "lapsing", "lapsed", "working", "unproven", "loop", "next_hop"]
    """What is told: a domain's proof was found, was not found in time, has gone, has been gone for too long; the first
    message came with proof and was delivered; mail without proof; mail loops; a next hop that fails."""
    repeat_hours: Positive = 24.0
    """Hours between two notices of the same; the next one tells how many messages it is about."""
    look_seconds: Seconds = 60.0
    """Seconds between two looks at what there is to tell."""
    templates: Path | None = None
    """Folder with texts in place of ours: KIND.txt."""

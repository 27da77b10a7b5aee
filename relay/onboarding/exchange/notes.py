"""What a tenant's administrator should know besides the steps: what no script can set right."""

from collections.abc import Iterable

from relay.onboarding.environment import Environment
from relay.onboarding.exchange.plan import Variant
from relay.tenants.model import Tenant


def of(tenant: Tenant, environment: Environment, variant: Variant) -> Iterable[str]:
    """What the plan cannot set right by itself."""
    if not environment.ptr_domain or variant is Variant.ARTICLE:
        yield (
            "The spoof entries name networks of 256 addresses, which are not all Sluice's: whoever else sends from "
            "them may pretend to be anybody. An environment with ptr_domain names a domain instead."
        )
    if tenant.scope.groups:
        yield "If a group is deleted, Exchange silently stops redirecting mail of its members."
    if not tenant.scope.groups and not tenant.scope.users:
        yield (
            "The redirect rule means sub-domains too, and Exchange looks at a recipient's primary address: every "
            "domain of a primary address that should be protected must be a protected domain of Sluice."
        )
    yield "Rules take up to 30 minutes until all of Exchange Online follows them; allow lists can take longer."
    yield (
        "A spam score that a rule sets is an input to Microsoft's filter, not its last word: look once whether mail "
        "that Sluice marks comes to the Junk Email folder. Microsoft does not recommend scanning behind its own filter."
    )
    yield (
        "Exchange lets rules redirect a message once. If rules of the organisation's own redirect mail from outside, "
        "try whether they still do."
    )
    yield (
        "Exchange tells by a sender's address, and by how the message came, who is outside: send yourself a message "
        "from outside in the name of an address of your own, and look whether it was scanned."
    )
    yield (
        "Mail that is refused for good goes back to its sender, and its header, with the loop value, may go with it. "
        "With the value alone nobody skips the scan while the rules are hardened; but another customer of Microsoft "
        "could hand mail to Sluice as this organisation's. "
        + (
            "Have a new value made now and then."
            if tenant.microsoft_tenant_id
            else "Let Sluice know the organisation's id (microsoft_tenant_id) and have a new value made now and then."
        )
    )
    yield "There are two quarantines: Microsoft's own, whose mail never comes to Sluice, and Sluice's."
    yield (
        "If the organisation rejects Direct Send (Set-OrganizationConfig -RejectDirectSend $true), look whether mail "
        "in the name of its own domains still comes back: the inbound connector may not count as its permission."
    )
    if variant is Variant.ARTICLE:
        yield (
            "As in the article: whoever learns the loop value can write it into a message and skip the scan, every "
            "recipient can read it, and a rule that fails lets mail pass unscanned."
        )

"""What the DNS says of the smart hosts, of the addresses that mail leaves from, and of this node."""

import ipaddress
from collections.abc import AsyncIterator, Collection

from relay.dns import DnsError, Resolver
from relay.dns.addresses import is_public
from relay.onboarding.doctor.result import Result, Topic, listed

MOST = 10
"""PTR names of one address that are looked at."""
_NO_ANSWER = "ask again; if it stays so, look at the name servers of the domain and at [dns] in the configuration"


async def smart_host(resolver: Resolver, host: str) -> AsyncIterator[Result]:
    """Whether Exchange finds the smart host: its name has addresses, and they are public ones."""
    topic = Topic("smarthost.addresses", host)
    try:
        addresses = await resolver.addresses(host)
    except DnsError as error:
        yield topic.unknown(str(error), _NO_ANSWER)
        return
    private = [address for address in addresses if not is_public(address)]
    if not addresses:
        yield topic.failed("it has no address: Exchange cannot find it", "publish an A record for it")
    elif private:
        yield topic.failed(f"Exchange cannot reach {listed(private)}", "publish public addresses only")
    else:
        yield topic.ok(listed(addresses))


async def egress(resolver: Resolver, address: str, domain: str) -> AsyncIterator[Result]:
    """Whether an egress address has a name inside `domain` (where one is wanted), and the name has the address.

    Exchange names the sender of mail by that name where there is one (reference: Tenant Allow/Block List, spoofed
    senders), and by the address's /24 else.
    """
    topic = Topic("egress.ptr", address)
    wanted = f"have the owner of the address publish a PTR record: a name inside {domain}" if domain else ""
    try:
        names = await resolver.records(ipaddress.ip_address(address).reverse_pointer, "PTR")
        right = [name for name in names if not domain or _inside(name, domain)][:MOST]
        confirmed = [name for name in right if address in await resolver.addresses(name)]
    except DnsError as error:
        yield topic.unknown(str(error), _NO_ANSWER)
        return
    if not names and not domain:
        yield topic.warning("it has no name: others distrust such senders", "publish a PTR record for it")
    elif not names:
        yield topic.failed("it has no name: tenants that allow the domain do not allow it", wanted)
    elif not right:
        yield topic.failed(f"{listed(names)} is not inside {domain}: tenants do not allow it", wanted)
    elif not confirmed:
        yield topic.warning(f"{listed(right)} does not have this address", "publish an A record for that name")
    else:
        yield topic.ok(listed(confirmed))


def _inside(name: str, domain: str) -> bool:
    return f".{name.lower()}".endswith(f".{domain.lower()}")


async def node(resolver: Resolver, name: str, known: Collection[str]) -> AsyncIterator[Result]:
    """Whether this node's name, which it says in EHLO, leads to one of the egress addresses `known`, where any are."""
    topic = Topic("node.address", name)
    try:
        addresses = await resolver.addresses(name)
    except DnsError as error:
        yield topic.unknown(str(error), _NO_ANSWER)
        return
    if not addresses:
        yield topic.failed("it has no address: next hops may refuse who says it in EHLO", "publish an A record for it")
    elif known and not set(addresses) & set(known):
        yield topic.warning(
            f"{listed(addresses)} is no egress address of an environment ({listed(known)})",
            "let node.name lead to the address that this node's mail leaves from, and name that in [environments]",
        )
    else:
        yield topic.ok(listed(addresses))
    if not known:
        for address in addresses[:MOST]:
            async for result in egress(resolver, address, ""):
                yield result

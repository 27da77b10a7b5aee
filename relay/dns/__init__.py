"""Names and what stands at them: the one resolver, and asking a zone's own servers."""

from relay.dns.answers import Answer, Kind, Said
from relay.dns.resolver import DnsError, Resolver

__all__ = ["Answer", "DnsError", "Kind", "Resolver", "Said"]

"""From a domain name to protected mail: what a tenant, its DNS and its Exchange Online have to be told."""

"""A tenant's domains: where their mail goes, and the DNS records that prove whose they are."""

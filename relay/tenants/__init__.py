"""ROUTE and PROVE: which tenant a recipient belongs to, and whether a message came through that tenant's rule."""

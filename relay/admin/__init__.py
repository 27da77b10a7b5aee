"""ADMIN: the HTTP side: metrics and health."""

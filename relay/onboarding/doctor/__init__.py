"""The doctor: everything about a node and its tenants that can be checked from here."""

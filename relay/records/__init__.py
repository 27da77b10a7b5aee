"""What is remembered: a record for every message, and the tenants."""

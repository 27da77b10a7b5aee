"""What tenants' escalation contacts, and the operator's webhook, are told: when, in which words, and by which way."""

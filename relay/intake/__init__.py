"""Admit a client, read its messages: the SMTP server side of Sluice."""

"""Sluice: an inline SMTP scanning relay for Microsoft 365. Start reading at journey.py."""

__version__ = "0.1.0"

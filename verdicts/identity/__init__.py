"""Whose a message is: SPF, DKIM, DMARC, ARC, and the names that people read."""

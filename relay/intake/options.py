"""What intake can be told. Assembly fills it from the configuration; the fields are explained in config/settings.py."""

import ipaddress
from dataclasses import dataclass
from pathlib import Path

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, slots=True)
class IntakeOptions:
    """The [smtp] table, and what else a session must know. Seconds and bytes."""

    name: str
    """Host name of this node, told in the banner and in the reply to EHLO."""
    drafts: Path
    """Folder for the temporary files of large messages; must exist and be writable."""
    require_tls: bool
    client_certificate_names: tuple[str, ...]
    proxy_networks: tuple[Network, ...]
    max_message_bytes: int
    max_recipients: int
    max_sessions: int
    max_sessions_per_peer: int
    max_errors: int
    max_command_bytes: int
    max_bytes_in_flight: int
    memory_bytes: int
    idle_timeout: float
    data_timeout: float
    transfer_timeout: float
    reply_timeout: float

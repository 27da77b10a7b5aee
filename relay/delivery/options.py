"""What the operator chose for delivery."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Options:
    """The settings of [delivery] that this room needs, by the same names; durations in seconds."""

    name: str
    """Host name of this node, said in EHLO."""
    tls: Literal["verify", "opportunistic", "off"]
    ipv6: bool
    connections: int
    max_age: float
    max_messages: int
    max_idle: float
    hold: float
    connect_timeout: float
    command_timeout: float
    final_timeout: float
    wait_timeout: float

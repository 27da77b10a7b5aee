"""Builds every object from Settings, and introduces the rooms to each other."""

from relay.assembly.message import (
    certificates,
    close,
    delivery,
    directory,
    intake_options,
    judge,
    release,
    reloaded,
    rooms,
    sealer,
)
from relay.assembly.onboarding import admission, shipped_lists, standings, verifier

__all__ = [
    "admission",
    "certificates",
    "close",
    "delivery",
    "directory",
    "intake_options",
    "judge",
    "release",
    "reloaded",
    "rooms",
    "sealer",
    "shipped_lists",
    "standings",
    "verifier",
]

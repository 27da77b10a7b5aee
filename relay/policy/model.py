"""What a tenant may choose: the action for each category, the thresholds of summed weights, and observe mode."""

import enum
from collections.abc import Mapping
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator
from pydantic_core.core_schema import ValidationInfo

Weight = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Factor = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Action(enum.StrEnum):
    """What is done with a message."""

    DELIVER = "deliver"
    """Handed over to the next hop."""
    MARK = "mark"
    """Handed over with X-PERCEPTION-POINT-SPAM: FAIL, so that the tenant's rule files it as junk."""
    QUARANTINE = "quarantine"
    """Kept by us and answered with 250: the sender, who may be forged, hears nothing."""
    DEFER = "defer"
    """451: Microsoft brings it again, for 24 hours."""
    REFUSE = "refuse"
    """550: Microsoft sends a non-delivery report to the sender."""


ALLOWED: Mapping[str, tuple[frozenset[Action], str]] = {
    "malicious": (
        frozenset({Action.QUARANTINE, Action.REFUSE, Action.DEFER}),
        "malicious mail never reaches a mailbox; to only watch, set observe = true",
    ),
    "spam": (
        frozenset({Action.DELIVER, Action.MARK, Action.QUARANTINE, Action.REFUSE}),
        "spam stays spam, however often it is brought again",
    ),
    "suspicious": (
        frozenset({Action.DELIVER, Action.MARK, Action.QUARANTINE}),
        "a suspicion is too little to send mail back",
    ),
    "unscanned": (
        frozenset({Action.DELIVER, Action.MARK, Action.QUARANTINE, Action.DEFER}),
        "a failure of ours must not send mail back for good",
    ),
}
"""The actions that each category may have, and why no others."""


class Policy(BaseModel):
    """One tenant's policy. A threshold that is None is not used; thresholds must not fall from mild to severe."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    malicious: Action = Action.QUARANTINE
    spam: Action = Action.MARK
    suspicious: Action = Action.DELIVER
    unscanned: Action = Action.DEFER
    """For mail that an engine did not look at as a whole: it failed, was late, or said so."""
    suspicious_weight: Weight | None = None
    """The message is suspicious when the weights of its findings add up to this."""
    spam_weight: Weight | None = None
    """The same for spam."""
    malicious_weight: Weight | None = None
    """The same for malicious."""
    weights: dict[str, Factor] = {}
    """A factor for the weights of an engine, by its name; 1 when not given. Severities are not changed by it."""
    observe: bool = False
    """Deliver everything unchanged, and record what would have been done."""

    @field_validator(*ALLOWED)
    @classmethod
    def _sensible(cls, action: Action, info: ValidationInfo) -> Action:
        allowed, reason = ALLOWED[info.field_name or ""]
        if action not in allowed:
            raise ValueError(f"must be one of {', '.join(sorted(allowed))}: {reason}")
        return action

    @model_validator(mode="after")
    def _rising(self) -> Self:
        given = [
            weight for weight in (self.suspicious_weight, self.spam_weight, self.malicious_weight) if weight is not None
        ]
        if given != sorted(given):
            raise ValueError("suspicious_weight, spam_weight and malicious_weight must not fall in this order")
        return self

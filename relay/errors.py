"""The few errors of the relay, each carrying the Reply that Microsoft hears. Foreign errors are translated at the door.

`reason` is a short label from a closed set, for metrics and the log; `detail` is for the log only.
"""

from relay.replies import LOCAL_FAILURE, Reply


class SluiceError(Exception):
    """Anything that ends a command or a message early; `reply` is what is said."""

    def __init__(self, reply: Reply, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reply = reply
        self.reason = reason
        self.detail = detail


class Refused(SluiceError):
    """We say no: admission, route, proof, loop, size, malformed."""


class NextHopFailed(SluiceError):
    """The next hop cannot be reached, hung up, timed out, or answered what is not SMTP. Always a 4xx."""


class Abandoned(SluiceError):
    """The client is gone, or has heard that it took too long: it will bring the message again."""

    def __init__(self) -> None:
        super().__init__(LOCAL_FAILURE, "abandoned")


class StoreFailed(SluiceError):
    """Quarantine or records could not be written. Always a 4xx where a message depends on it."""


class ConfigurationError(Exception):
    """The configuration or a tenant file is wrong; `problems` has a line for each mistake, by file, key and line."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class NotFound(LookupError):
    """Nothing has the name or the identifier that an operator gave."""


class Unusable(ValueError):
    """What an operator asked for cannot be."""

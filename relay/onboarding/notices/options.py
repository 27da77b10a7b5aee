"""What the operator chose for notices, and what may be wrong with it."""

from collections.abc import Iterator
from dataclasses import dataclass, fields
from email.headerregistry import Address
from email.utils import parseaddr
from pathlib import Path
from typing import Any, Final, Self

from relay.onboarding.notices.kinds import Rules
from relay.onboarding.notices.texts import Templates
from relay.tenants.hops import NextHop

SHORTEST_SECRET: Final = 16
"""Characters of the webhook's secret, as for the engine `webhook`."""


@dataclass(frozen=True, slots=True)
class Options:
    """The settings of [notices], and `label` and `lapse_days` of [onboarding], by the same names."""

    sender: str | None
    server: str | None
    webhook: str | None
    secret: Path | None
    kinds: list[str]
    repeat_hours: float
    look_seconds: float
    templates: Path | None
    label: str
    lapse_days: float

    @classmethod
    def of(cls, table: object, **more: Any) -> Self:
        """The values that `table` has by these names, and `more`."""
        names = [one.name for one in fields(cls) if one.name not in more]
        return cls(**{name: getattr(table, name) for name in names}, **more)

    @property
    def wanted(self) -> bool:
        """Whether anything is to be told."""
        return self.sender is not None or self.webhook is not None

    @property
    def rules(self) -> Rules:
        """When what is told."""
        return Rules(self.kinds, self.repeat_hours * 3_600, self.look_seconds, self.label, self.lapse_days)

    # What follows raises OSError and ValueError, but not after `problems` found none.

    def read_mailbox(self) -> Address:
        """From of the mails."""
        name, address = parseaddr(self.sender or "")
        return Address(name, addr_spec=address)

    def read_server(self) -> NextHop | None:
        """The operator's SMTP server."""
        return None if self.server is None else NextHop.parse(self.server)

    def read_secret(self) -> bytes:
        """What requests are signed with; read from its file."""
        secret = self.secret.read_bytes().strip() if self.secret else b""
        if self.secret and len(secret) < SHORTEST_SECRET:
            raise ValueError(f"{self.secret} has less than {SHORTEST_SECRET} characters")
        return secret

    def read_templates(self) -> Templates:
        """What notices say; read from their files."""
        return Templates(self.templates)


def problems(options: Options) -> Iterator[tuple[str, str]]:
    """What is wrong, by setting. Reads the files."""
    if options.webhook is not None and options.secret is None:
        yield "webhook", "needs secret, a file"
    reads = {"server": options.read_server, "secret": options.read_secret, "templates": options.read_templates}
    for name, read in reads.items():
        try:
            read()
        except OSError as error:
            yield name, f"{getattr(options, name)} cannot be read: {error.strerror}"
        except ValueError as error:
            yield name, str(error)

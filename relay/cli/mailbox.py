"""The demo's pretend tenant: an SMTP server on a free port of 127.0.0.1 that keeps what it is given, in memory."""

import socket
import tempfile
from ipaddress import ip_network
from pathlib import Path
from typing import Self

from relay import replies
from relay.intake.admission import Admission
from relay.intake.draft import Draft
from relay.intake.listener import Listener
from relay.intake.options import IntakeOptions
from relay.replies import Reply
from verdicts.mail import Envelope, Recipient, Session

LIMITS = IntakeOptions(
    name="mailbox.acme.example",
    drafts=Path(tempfile.gettempdir()),
    require_tls=False,
    client_certificate_names=(),
    proxy_networks=(),
    max_message_bytes=10_000_000,
    max_recipients=10,
    max_sessions=100,
    max_sessions_per_peer=100,
    max_errors=10,
    max_command_bytes=4096,
    max_bytes_in_flight=100_000_000,
    memory_bytes=10_000_000,
    idle_timeout=300.0,
    data_timeout=60.0,
    transfer_timeout=300.0,
    reply_timeout=60.0,
)


class Mailbox:
    """Takes every message; `messages` are their bytes in the order of arrival."""

    def __init__(self) -> None:
        self.messages: list[bytes] = []
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        admission = Admission([(ip_network("127.0.0.0/8"), "operator")])
        self._listener = Listener(LIMITS, admission, lambda: _Visit(self), lambda: None)

    async def __aenter__(self) -> Self:
        await self._listener.start([self._socket])
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._listener.drain(1.0)


class _Visit:
    """One connection to the mailbox; says yes to everything."""

    def __init__(self, mailbox: Mailbox) -> None:
        self._mailbox = mailbox

    async def mail(self, session: Session, envelope: Envelope) -> Reply:  # noqa: ARG002 - the intake says what it has
        return replies.SENDER_OK

    async def rcpt(self, recipient: Recipient) -> Reply:  # noqa: ARG002
        return replies.RECIPIENT_OK

    async def message(self, draft: Draft) -> Reply:
        self._mailbox.messages.append(bytes(draft.view()))
        return replies.ACCEPTED

    async def reset(self) -> None:
        return

    def lost(self) -> None:
        return

    def hand_over_begun(self) -> bool:
        return True

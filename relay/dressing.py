"""Dressing: a message's head as it goes on from here, whether it comes from the journey or out of the quarantine."""

from collections.abc import Iterator
from itertools import chain

from relay.headers.dress import Stamps, dress
from relay.headers.stamps import received
from relay.tenants.loops import Tracer
from verdicts.contract import Clock
from verdicts.fields import Fields, find_header_end
from verdicts.mail import Content, Mail


class Dressed:
    """The bytes that go to the next hop: a new head, then every byte of the content from an offset on as it came."""

    __slots__ = ("_content", "_head", "_rest", "size")

    def __init__(self, head: list[bytes], content: Content, rest: int) -> None:
        self._head, self._content, self._rest = head, content, rest
        self.size = sum(map(len, head)) + content.size - rest
        """Bytes in all."""

    def header(self) -> Fields:
        """The header section that goes to the next hop."""
        view = self._content.view()
        end = find_header_end(view)
        return Fields.parse(b"".join([*self._head, view[self._rest : end]]))

    def put_before(self, fields: list[bytes]) -> None:
        """Put these fields on top."""
        self._head = fields + self._head
        self.size += sum(map(len, fields))

    def pieces(self) -> Iterator[bytes]:
        """The bytes in order; may be called again."""
        pieces = self._content.pieces()
        return chain(self._head, _behind(pieces, self._rest) if self._rest else pieces)


class Dresser:
    """Stamps for the messages of one node. `authserv_id`: under which name it writes Authentication-Results."""

    def __init__(self, node: str, tracer: Tracer, clock: Clock, authserv_id: str | None = None) -> None:
        self._node, self._tracer, self._clock = node, tracer, clock
        self._authserv_id = authserv_id

    def dress(
        self, mail: Mail, mail_id: str, *, spam: bool = False, loop_value: str | None = None, observe: bool = False
    ) -> Dressed:
        """`mail`, named `mail_id`: `spam` marks it, `loop_value` is added, `observe` adds no more than the trace."""
        envelope = mail.envelope
        stamps = Stamps(
            received=received(mail.session, self._node, mail_id, self._clock.time(), smtputf8=envelope.smtputf8),
            trace=self._tracer.trace(mail.tenant, [to.address for to in envelope.recipients], mail_id),
            spam=spam,
            loop_value=loop_value,
            copy_report=True,  # only Microsoft and the operator's own networks are admitted
            observe=observe,
            authserv_id=self._authserv_id,
        )
        head, rest = dress(mail.fields, mail.content.view(), stamps)
        return Dressed(head, mail.content, rest)


def _behind(pieces: Iterator[bytes], start: int) -> Iterator[bytes]:
    """The bytes of `pieces` from offset `start` on; pieces that lie wholly behind it are passed on uncopied."""
    for piece in pieces:
        if start >= len(piece):
            start -= len(piece)
        elif start:
            yield piece[start:]
            start = 0
        else:
            yield piece

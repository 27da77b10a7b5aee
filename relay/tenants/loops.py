"""Loops: the trace field that we put on every message, and whether one of ours is on it already.

    X-Sluice-Trace: v=1; id=01JD8Z;
        node=mx1.relay.example;
        r=R0x2Zq3mW1b8T9aK,bJ0c7Yp5vQ2nL4sX,hE6f1Ug8wD3kM9oZ,zC5r2Ty7iA1jN4xV;

`r` has a tag for each recipient: 96 bits of a keyed BLAKE2b (RFC 7693) over tenant, id and recipient. The id makes the
tags of two messages different for the same recipient: so nobody can tell by a tag seen before who else got a message
(Bcc). Tags are sorted and filled up with random ones to a power of two, so that neither order nor number tells of a
hidden recipient. Without the key no tag can be made; a trace that was copied from a delivered message stops nothing but
mail of the copier to the same recipients.
"""

import re
from binascii import b2a_base64
from collections.abc import Iterable
from functools import lru_cache
from hashlib import blake2b, shake_256
from itertools import islice

from relay.tenants.names import a_label
from verdicts.fields import Fields

TRACE = "X-Sluice-Trace"
MAX_HOPS = 100
"""Received fields; one more is a loop (RFC 5321 section 6.3)."""

_FEWEST_TAGS = 4
_MOST_TAGS = 2048
_MOST_TRACES = 20
_TAG_BYTES = 12
_TAG_CHARACTERS = 16
"""Of base64, without padding: so all tags of a message are encoded at once."""
_TAGS_PER_LINE = 4
_ID_LIMIT = 100
_URL_SAFE = bytes.maketrans(b"+/", b"-_")
_NOT_IN_AN_ID = re.compile(r"[^A-Za-z0-9._-]")


class Tracer:
    """Writes and reads the traces of the nodes that share `key`."""

    def __init__(self, key: bytes, node: str) -> None:
        """`key`: 16 to 64 secret bytes, else ValueError; `node`: the host name of this node."""
        if not 16 <= len(key) <= 64:
            raise ValueError("the key of the trace must have 16 to 64 bytes")
        self._keyed = blake2b(key=key)  # a copy of it costs less than a new one
        self._node = _NOT_IN_AN_ID.sub("", node)
        self._form = f"{TRACE}: v=1; id=%s;\r\n\tnode={self._node};\r\n\tr=%s;\r\n"

    def __repr__(self) -> str:
        return f"Tracer(node={self._node!r})"

    def trace(self, tenant: str, recipients: Iterable[str], mail_id: str) -> bytes:
        """The whole trace field, folded and ended by CRLF.

        Of more than 2048 recipients only so many are traced; a loop has all of them.
        """
        mail_id = _NOT_IN_AN_ID.sub("", mail_id)[:_ID_LIMIT]
        key = self._derived(tenant, mail_id)
        digests = _digests(key, map(_normal, islice(recipients, _MOST_TAGS)))
        tags = sorted(_texts(_filled_up(digests, key)))
        lines = [",".join(tags[at : at + _TAGS_PER_LINE]) for at in range(0, len(tags), _TAGS_PER_LINE)]
        return (self._form % (mail_id, ",\r\n\t".join(lines))).encode("ascii")

    def loops(self, fields: Fields, tenant: str, recipients: Iterable[str]) -> bool:
        """Whether a trace of ours says that the message was here before, for this tenant and one of these recipients.

        The topmost 20 traces are read, and 2048 tags of each.
        """
        traces = [_read(text) for text in islice(fields.texts(TRACE), _MOST_TRACES)]
        if not traces:
            return False
        normal = [_normal(recipient) for recipient in recipients]
        return any(
            not tags.isdisjoint(_texts(_digests(self._derived(tenant, mail_id), normal)))
            for mail_id, tags in traces
            if tags
        )

    def _derived(self, tenant: str, mail_id: str) -> bytes:
        """The key for this tenant and message.

        No name of a tenant has a NUL in it, so that two different pairs of tenant and id never read the same.
        """
        keyed = self._keyed.copy()
        keyed.update(f"{tenant}\0{mail_id}".encode("utf-8", "surrogatepass"))
        return keyed.digest()


def too_many_hops(fields: Fields) -> bool:
    """Whether the message has more than 100 Received fields."""
    return fields.more_than(MAX_HOPS, "Received")


def _digests(key: bytes, recipients: Iterable[bytes]) -> bytes:
    """The tags of the normal recipients, side by side."""
    keyed = blake2b(key=key, digest_size=_TAG_BYTES)
    digests = []
    for recipient in recipients:
        tag = keyed.copy()
        tag.update(recipient)
        digests.append(tag.digest())
    return b"".join(digests)


def _filled_up(digests: bytes, key: bytes) -> bytes:
    """`digests` and as many decoys as make a power of two; without `key` nobody can tell them (FIPS 202, SHAKE256)."""
    count = len(digests) // _TAG_BYTES
    wanted = _FEWEST_TAGS if count <= _FEWEST_TAGS else 1 << (count - 1).bit_length()
    return digests + shake_256(key).digest((wanted - count) * _TAG_BYTES)


def _texts(digests: bytes) -> list[str]:
    """The tags as they are written (RFC 4648 section 5)."""
    text = b2a_base64(digests, newline=False).translate(_URL_SAFE).decode("ascii")
    return [text[at : at + _TAG_CHARACTERS] for at in range(0, len(text), _TAG_CHARACTERS)]


@lru_cache(maxsize=1024)
def _normal(recipient: str) -> bytes:
    """An address without regard to case, its domain as A-labels where it is one."""
    local, at, domain = recipient.rpartition("@")
    try:
        domain = a_label(domain)
    except ValueError:
        domain = domain.lower()
    return f"{local.lower()}{at}{domain}".encode("utf-8", "surrogatepass")


def _read(text: str) -> tuple[str, frozenset[str]]:
    """The id and the tags of a trace; no tags when it is not one of the form that we write."""
    pairs = (part.partition("=") for part in "".join(text.split()).split(";", 4)[:4])
    parts = {key: value for key, _, value in pairs}
    mail_id = parts.get("id", "")
    if parts.get("v") != "1" or len(mail_id) > _ID_LIMIT:
        return "", frozenset()
    return mail_id, frozenset(islice(parts.get("r", "").split(","), _MOST_TAGS))

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
from collections.abc import Iterable, Iterator
from hashlib import blake2b, shake_256
from itertools import islice

from relay.tenants.names import a_label
from verdicts.fields import Field, Fields

TRACE = "X-Sluice-Trace"
MAX_HOPS = 100
"""Received fields; one more is a loop (RFC 5321 section 6.3)."""

_FEWEST_TAGS = 4
_MOST_TAGS = 2048
_MOST_TRACES = 20
_TAG_BYTES = 12
_TAGS_PER_LINE = 4
_ID_LIMIT = 100
_URL_SAFE = bytes.maketrans(b"+/", b"-_")  # RFC 4648 section 5
_NOT_IN_AN_ID = re.compile(r"[^A-Za-z0-9._-]")


class Tracer:
    """Writes and reads the traces of the nodes that share `key`."""

    def __init__(self, key: bytes, node: str) -> None:
        """`key`: 16 to 64 secret bytes, else ValueError; `node`: the host name of this node."""
        if not 16 <= len(key) <= 64:
            raise ValueError("the key of the trace must have 16 to 64 bytes")
        self._key = key
        self._node = _NOT_IN_AN_ID.sub("", node)

    def __repr__(self) -> str:
        return f"Tracer(node={self._node!r})"

    def trace(self, tenant: str, recipients: Iterable[str], mail_id: str) -> bytes:
        """The whole trace field, folded and ended by CRLF.

        Of more than 2048 recipients only so many are traced; a loop has all of them.
        """
        mail_id = _NOT_IN_AN_ID.sub("", mail_id)[:_ID_LIMIT]
        key = self._derived(tenant, mail_id)
        tags = [_tag(recipient, key) for recipient in map(_normal, islice(recipients, _MOST_TAGS))]
        tags = sorted(tags + _decoys(len(tags), key))
        lines = [",".join(tags[at : at + _TAGS_PER_LINE]) for at in range(0, len(tags), _TAGS_PER_LINE)]
        field = f"{TRACE}: v=1; id={mail_id};\r\n\tnode={self._node};\r\n\tr=" + ",\r\n\t".join(lines) + ";\r\n"
        return field.encode("ascii")

    def loops(self, fields: Fields, tenant: str, recipients: Iterable[str]) -> bool:
        """Whether a trace of ours says that the message was here before, for this tenant and one of these recipients.

        The topmost 20 traces are read, and 2048 tags of each.
        """
        traces = [_read(field) for field in islice(fields.each(TRACE), _MOST_TRACES)]
        if not traces:
            return False
        normal = [_normal(recipient) for recipient in recipients]
        return any(not tags.isdisjoint(self._tags(tenant, normal, mail_id)) for mail_id, tags in traces if tags)

    def _tags(self, tenant: str, recipients: Iterable[str], mail_id: str) -> Iterator[str]:
        """One tag for each normal recipient."""
        key = self._derived(tenant, mail_id)
        return (_tag(recipient, key) for recipient in recipients)

    def _derived(self, tenant: str, mail_id: str) -> bytes:
        """The key for this tenant and message.

        No name of a tenant has a NUL in it, so that two different pairs of tenant and id never read the same.
        """
        return blake2b(f"{tenant}\0{mail_id}".encode("utf-8", "surrogatepass"), key=self._key).digest()


def too_many_hops(fields: Fields) -> bool:
    """Whether the message has more than 100 Received fields."""
    return fields.more_than(MAX_HOPS, "Received")


def _decoys(count: int, key: bytes) -> list[str]:
    """What fills `count` tags up to a power of two; without `key` nobody can tell it from tags (FIPS 202, SHAKE256)."""
    wanted = max(_FEWEST_TAGS, 1 << (count - 1).bit_length()) if count else _FEWEST_TAGS
    noise = shake_256(key).digest((wanted - count) * _TAG_BYTES)
    return [_text(noise[at : at + _TAG_BYTES]) for at in range(0, len(noise), _TAG_BYTES)]


def _tag(recipient: str, key: bytes) -> str:
    return _text(blake2b(recipient.encode("utf-8", "surrogatepass"), key=key, digest_size=_TAG_BYTES).digest())


def _text(digest: bytes) -> str:
    return b2a_base64(digest, newline=False).translate(_URL_SAFE).decode("ascii")


def _normal(recipient: str) -> str:
    """An address without regard to case, its domain as A-labels where it is one."""
    local, at, domain = recipient.rpartition("@")
    try:
        domain = a_label(domain)
    except ValueError:
        domain = domain.lower()
    return f"{local.lower()}{at}{domain}"


def _read(field: Field) -> tuple[str, frozenset[str]]:
    """The id and the tags of a trace; no tags when it is not one of the form that we write."""
    pairs = (part.partition("=") for part in "".join(field.text.split()).split(";", 4)[:4])
    parts = {key: value for key, _, value in pairs}
    mail_id = parts.get("id", "")
    if parts.get("v") != "1" or len(mail_id) > _ID_LIMIT:
        return "", frozenset()
    return mail_id, frozenset(islice(parts.get("r", "").split(","), _MOST_TAGS))

"""What DKIM and ARC signatures have in common: their fields, and what they sign (RFC 6376 sections 3.5 and 3.7)."""

import asyncio
import re
from collections.abc import Sequence
from typing import cast

from verdicts.fields import MAX_FIELDS, too_many_fields
from verdicts.identity.canonical import Canonicalization, body_hash, relaxed_header, simple_header
from verdicts.identity.tags import Fault, Tags, compact, tags
from verdicts.mail import Mail

MAX_FIELD = 16_384
"""Bytes of a signature field, or of any of ARC's."""
MAX_HEADER = 1_000_000
"""Bytes of a header section whose signatures are checked."""
MAX_NAMES = 500
"""Names in a signature's h=; an honest one has some forty."""
MAX_SIGNED = 131_072
"""Bytes of header fields that one signature signs."""
_SIGNATURE_TAG = re.compile(rb"((?:\A|;)[ \t\r\n]*+b[ \t\r\n]*+=)[^;]*+")
_FIELDS_A_TURN = 500


class SignedMessage:
    """What signatures are checked against; made by `read`."""

    def __init__(self, mail: Mail) -> None:
        self._content = mail.content
        self._places: dict[bytes, list[tuple[int, int]]] = {}
        self._bodies: dict[tuple[Canonicalization, int | None], bytes] = {}
        self.too_much = ""
        """Why no signature of this message is checked."""

    @classmethod
    async def read(cls, mail: Mail) -> "SignedMessage":
        """Find the fields, in steps; of what is too much to check there are none."""
        message = cls(mail)
        if mail.fields.end - mail.fields.start > MAX_HEADER:
            message.too_much = f"the header section has more than {MAX_HEADER} bytes"
        elif too_many_fields(mail.fields):
            message.too_much = f"there are more than {MAX_FIELDS} header fields"
        else:
            for number, field in enumerate(mail.fields):
                message._places.setdefault(field.name.lower(), []).append((field.start, field.end))
                if number % _FIELDS_A_TURN == 0:
                    await asyncio.sleep(0)
        return message

    def count(self, name: bytes) -> int:
        """How many fields have this lower-case name."""
        return len(self._places.get(name, ()))

    def each(self, name: bytes, limit: int) -> list[bytes]:
        """The first `limit` of them from the top, as they were sent, without their last line ends."""
        return [self._field(place) for place in self._places.get(name, ())[:limit]]

    def signed(self, names: Sequence[bytes], canonicalization: Canonicalization, own: bytes) -> bytes:
        """The fields that h= names, each from the bottom, in canonical form (RFC 6376 section 5.4.2).

        The signature field itself, `own`, is none of them.
        """
        left = {name: self._others(name, own) for name in set(names)}
        chosen = [left[name].pop() for name in names if left[name]]
        if sum(end - start for start, end in chosen) > MAX_SIGNED:
            raise Fault("policy", f"more than {MAX_SIGNED} bytes of header fields are signed")
        return b"".join(canonical(self._field(place), canonicalization) for place in chosen)

    def _others(self, name: bytes, own: bytes) -> list[tuple[int, int]]:
        places = self._places.get(name, [])
        if not name.endswith(b"-signature"):
            return places.copy()
        return [place for place in places if self._field(place) != own]

    async def body_hash(self, canonicalization: Canonicalization, limit: int | None = None) -> bytes:
        """The digest of the body, computed once."""
        key = canonicalization, limit
        if key not in self._bodies:
            self._bodies[key] = await body_hash(self._content, canonicalization, limit)
        return self._bodies[key]

    def _field(self, place: tuple[int, int]) -> bytes:
        raw = bytes(self._content.view()[place[0] : place[1]])
        return raw.removesuffix(b"\n").removesuffix(b"\r")


def canonical(field: bytes, canonicalization: Canonicalization) -> bytes:
    """A field in canonical form, with its line end."""
    name, _, value = field.partition(b":")
    return (relaxed_header if canonicalization == "relaxed" else simple_header)(name, value)


def unsigned(field: bytes, canonicalization: Canonicalization) -> bytes:
    """A signature field as it was signed: without the value of b= and without line end (RFC 6376 section 3.7)."""
    name, _, value = field.partition(b":")
    return canonical(name + b":" + _SIGNATURE_TAG.sub(rb"\1", value, 1), canonicalization).removesuffix(b"\r\n")


def field_tags(field: bytes) -> Tags:
    """The tag list that a signature field is. Raises `Fault`."""
    if len(field) > MAX_FIELD:
        raise Fault("policy", f"the signature field has more than {MAX_FIELD} bytes")
    return tags(field.partition(b":")[2].decode("utf-8", "replace"))


def signed_names(found: Tags) -> list[bytes]:
    """The field names of h=, in lower case. Raises `Fault`."""
    names = [name.encode() for name in compact(found["h"]).lower().split(":")]
    if len(names) > MAX_NAMES:
        raise Fault("policy", f"h= names more than {MAX_NAMES} fields")
    return names


def forms(found: Tags, default: Canonicalization) -> tuple[Canonicalization, Canonicalization]:
    """The canonicalizations of header and body that c= names (RFC 6376 section 3.5). Raises `Fault`."""
    header, slash, body = found.get("c", f"{default}/{default}").partition("/")
    chosen = header, body if slash else "simple"
    if not {*chosen} <= {"simple", "relaxed"}:
        raise Fault("permerror", "c= is unknown")
    return cast(tuple[Canonicalization, Canonicalization], chosen)


def check_algorithm(found: Tags) -> str:
    """The value of a=. Raises `Fault` for SHA-1 (RFC 8301 section 3.1) and for what is unknown."""
    algorithm = found["a"].lower()
    if algorithm == "rsa-sha1":
        raise Fault("permerror", "SHA-1 proves nothing any more")
    if algorithm not in ("rsa-sha256", "ed25519-sha256"):
        raise Fault("permerror", "a= is unknown")
    return algorithm

"""What DKIM and ARC signatures have in common: tag lists, keys in the DNS, and what is signed.

Sources: RFC 6376 sections 3.2, 3.5, 3.6 and 3.7; RFC 8301 (sizes of keys, no SHA-1); RFC 8463 (Ed25519).
"""

import asyncio
import binascii
import hashlib
import re
from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple, cast

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_der_public_key

from verdicts.canonical import Canonicalization, body_hash, relaxed_header, simple_header
from verdicts.contract import Dns
from verdicts.fields import MAX_FIELDS, too_many_fields
from verdicts.mail import Mail
from verdicts.spf import a_label

MAX_FIELD = 32_768
"""Bytes of a signature field, or of any of ARC's."""
MAX_HEADER = 1_000_000
"""Bytes of a header section whose signatures are checked."""
MAX_NAMES = 500
"""Names in a signature's h=; an honest one has some forty."""
MAX_SIGNED = 131_072
"""Bytes of header fields that one signature signs."""
MAX_KEY_RECORD = 8_192
"""Characters of a key record; a key of 4096 bits has some 800."""
MAX_KEY_BITS = 8_192
MIN_KEY_BITS = 1_024
"""RFC 8301 section 3.2."""

Tags = dict[str, str]

_TAG = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_WHITE = re.compile(r"[ \t\r\n]+")
_SIGNATURE_TAG = re.compile(rb"((?:\A|;)[ \t\r\n]*+b[ \t\r\n]*+=)[^;]*+")
_FIELDS_A_TURN = 500
_MAX_SIGNATURE = 4_096  # characters of b=; a key of 8192 bits makes some 1,400


class Fault(Exception):
    """A signature that does not hold: `result` is a word of RFC 8601, `reason` says why."""

    def __init__(self, result: str, reason: str) -> None:
        super().__init__(reason)
        self.result = result
        self.reason = reason


class Key(NamedTuple):
    """A public key, as its record tells it (RFC 6376 section 3.6.1)."""

    public: RSAPublicKey | Ed25519PublicKey
    bits: int
    exact: bool = False
    """The flag "s": i= must name d= itself."""

    def verify(self, algorithm: str, data: bytes, signature: bytes) -> None:
        """Raises `Fault` unless `signature` is one of `data`."""
        digest = hashlib.sha256(data).digest()
        try:
            if isinstance(self.public, RSAPublicKey) and algorithm == "rsa-sha256":
                self.public.verify(signature, digest, PKCS1v15(), Prehashed(SHA256()))
            elif isinstance(self.public, Ed25519PublicKey) and algorithm == "ed25519-sha256":
                self.public.verify(signature, digest)
            else:
                raise Fault("permerror", f"the key is none for {algorithm}")
        except InvalidSignature:
            raise Fault("fail", "the signature does not match the header fields") from None


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

    def each(self, name: bytes) -> list[bytes]:
        """The fields of this lower-case name from the top, as they were sent, without their last line ends."""
        return [self._field(place) for place in self._places.get(name, ())]

    def signed(self, names: Iterable[bytes], canonicalization: Canonicalization) -> bytes:
        """The fields that h= names, each from the bottom, in canonical form (RFC 6376 section 5.4.2)."""
        taken: Counter[bytes] = Counter()
        data = bytearray()
        for name in names:
            taken[name] += 1
            places = self._places.get(name, ())
            if taken[name] <= len(places):
                data += canonical(self._field(places[-taken[name]]), canonicalization)
            if len(data) > MAX_SIGNED:
                raise Fault("policy", f"more than {MAX_SIGNED} bytes of header fields are signed")
        return bytes(data)

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


def tags(text: str) -> Tags:
    """A tag list (RFC 6376 section 3.2) by name, values without white space at their ends. Raises `Fault`."""
    found: Tags = {}
    for pair in text.rstrip(" \t\r\n").removesuffix(";").split(";"):
        name, equals, value = pair.partition("=")
        name = name.strip(" \t\r\n")
        if not equals or not _TAG.fullmatch(name) or name in found:
            raise Fault("permerror", "it is no list of tags")
        found[name] = value.strip(" \t\r\n")
    return found


def required(found: Tags, *names: str) -> None:
    """Raises `Fault` when one of the tags is missing or empty."""
    for name in names:
        if not found.get(name):
            raise Fault("permerror", f"{name}= is missing")


def number(found: Tags, name: str) -> int | None:
    """The tag's value; None when it is not given. Raises `Fault` when it is no number of at most 18 digits."""
    text = found.get(name)
    if text is not None and not re.fullmatch(r"[0-9]{1,18}", text):
        raise Fault("permerror", f"{name}= is no number")
    return None if text is None else int(text)


def decoded(found: Tags, name: str) -> bytes:
    """The tag's value out of base64, white space in it allowed. Raises `Fault`."""
    try:
        return binascii.a2b_base64(compact(found[name])[:_MAX_SIGNATURE].encode(), strict_mode=True)
    except (binascii.Error, ValueError):
        raise Fault("permerror", f"{name}= is not base64") from None


def compact(text: str) -> str:
    """Without any white space."""
    return _WHITE.sub("", text)


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


async def fetch_keys(dns: Dns, wanted: Iterable[Tags]) -> list[Key | Fault]:
    """The keys that s= and d= name (RFC 6376 section 3.6.2), looked up at the same time.

    A fault is "temperror" when the DNS has no answer.
    """
    return await asyncio.gather(*(_key_or_fault(dns, found) for found in wanted))


async def _key_or_fault(dns: Dns, found: Tags) -> Key | Fault:
    try:
        return await _fetch_key(dns, found)
    except Fault as fault:
        return fault


async def _fetch_key(dns: Dns, found: Tags) -> Key:
    selector, domain = a_label(found["s"]), a_label(found["d"])
    name = f"{selector}._domainkey.{domain}"
    if not selector or not domain:
        raise Fault("permerror", "s= and d= are no domain name")
    try:
        records = await dns.txt(name)
    except OSError:
        raise Fault("temperror", f"no answer for {name}") from None
    if not records:
        raise Fault("permerror", f"there is no key at {name}")
    return read_key(next((record for record in records if "p=" in record), records[0]))


def read_key(record: str) -> Key:
    """A key record (RFC 6376 section 3.6.1). Raises `Fault`."""
    if len(record) > MAX_KEY_RECORD:
        raise Fault("permerror", f"the key record has more than {MAX_KEY_RECORD} characters")
    found = tags(record)
    if found.get("v", "DKIM1") != "DKIM1" or "p" not in found:
        raise Fault("permerror", "the key record is none")
    if not found["p"]:
        raise Fault("permerror", "the key is revoked")
    if "sha256" not in _words(found, "h", "sha256") or not {"*", "email"} & _words(found, "s", "*"):
        raise Fault("permerror", "the key is for another use")
    public = _public(found.get("k", "rsa").lower(), decoded(found, "p"))
    bits = public.key_size if isinstance(public, RSAPublicKey) else 256
    return Key(public, bits, "s" in _words(found, "t", ""))


def _words(found: Tags, name: str, default: str) -> set[str]:
    return set(compact(found.get(name, default)).lower().split(":"))


def _public(kind: str, data: bytes) -> RSAPublicKey | Ed25519PublicKey:
    if kind not in ("rsa", "ed25519"):
        raise Fault("permerror", "the key is of an unknown kind")
    try:
        public = load_der_public_key(data) if kind == "rsa" else Ed25519PublicKey.from_public_bytes(data)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise Fault("permerror", "the key cannot be read") from None
    if isinstance(public, Ed25519PublicKey):
        return public
    if not isinstance(public, RSAPublicKey):
        raise Fault("permerror", "the key is of an unknown kind")
    # OpenSSL needs as long for a large exponent as for signing.
    if not MIN_KEY_BITS <= public.key_size <= MAX_KEY_BITS or public.public_numbers().e.bit_length() > 64:
        raise Fault("permerror", f"the key has {public.key_size} bits")
    return public

"""Public keys of signatures, as domains publish them in the DNS (RFC 6376 section 3.6, RFC 8301, RFC 8463)."""

import asyncio
import hashlib
from collections.abc import Iterable
from typing import NamedTuple

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_der_public_key

from verdicts.contract import Dns
from verdicts.domains import a_label
from verdicts.identity.tags import Fault, Tags, compact, decoded, tags

MAX_RECORD = 8_192
"""Characters of a key record; a key of 4096 bits has some 800."""
MAX_BITS = 8_192
MIN_BITS = 1_024
"""RFC 8301 section 3.2."""


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
    if len(record) > MAX_RECORD:
        raise Fault("permerror", f"the key record has more than {MAX_RECORD} characters")
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
    if not MIN_BITS <= public.key_size <= MAX_BITS or public.public_numbers().e.bit_length() > 64:
        raise Fault("permerror", f"the key has {public.key_size} bits")
    return public

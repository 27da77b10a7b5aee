"""The ARC set that we put on top of those that a message came with (RFC 8617)."""

import asyncio
from base64 import b64encode
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from verdicts.fields import Fields
from verdicts.identity.arc_sets import MAX_SETS, Relaxed
from verdicts.identity.canonical import relaxed_header

RESULTS, MESSAGE_SIGNATURE, SEAL = "ARC-Authentication-Results", "ARC-Message-Signature", "ARC-Seal"

_LEAST_BITS, _MOST_BITS = 2048, 4096  # a larger one would hold the loop for more than some milliseconds
_MOST_SIGNED = 20  # fields of one name


class BrokenChain(Exception):
    """The sets that a message has are no chain that can be sealed over; the text says why."""


class Signer(NamedTuple):
    """Who seals, with what."""

    domain: str
    selector: str
    key: RSAPrivateKey
    names: tuple[str, ...]
    """Header fields that the message signature covers where they are; From is one of them."""


def read_key(file: Path) -> RSAPrivateKey:
    """The key in a PEM file. Raises OSError, and ValueError when it holds no RSA key of 2048 to 4096 bits."""
    try:
        key = load_pem_private_key(file.read_bytes(), None)
    except (ValueError, TypeError) as error:  # TypeError: it wants a password
        raise ValueError("is no private key in PEM without a password") from error
    if not isinstance(key, RSAPrivateKey) or not _LEAST_BITS <= key.key_size <= _MOST_BITS:
        raise ValueError(f"must be an RSA key of {_LEAST_BITS} to {_MOST_BITS} bits")
    return key


async def seal(
    signer: Signer, header: Fields, body_hash: bytes, results: str, sets: Sequence[Relaxed], when: float
) -> list[bytes]:
    """The fields of the next set, the topmost first, for the message whose header section is `header`.

    `body_hash` is the SHA-256 of its relaxed body, `results` the payload of Authentication-Results, `sets` are those
    that came, found good; `when` is in seconds since the epoch. Others get their turn between the two signatures.
    Raises BrokenChain when no more sets are allowed, ValueError when a field is there more than 20 times.
    """
    instance = len(sets) + 1
    if instance > MAX_SETS:
        raise BrokenChain(f"it has {MAX_SETS} sets")
    found = f"{RESULTS}: i={instance}; {results}\r\n".encode("ascii")
    who = f"d={signer.domain}; s={signer.selector};\r\n\tt={int(when)}"
    names, covered = _covered(signer.names, header)
    body = b64encode(body_hash).decode("ascii")
    signature = _signed(
        signer.key,
        f"{MESSAGE_SIGNATURE}: i={instance}; a=rsa-sha256; c=relaxed/relaxed; {who};\r\n\th={names};\r\n\tbh={body}",
        covered,
    )
    await asyncio.sleep(0)
    tags = f"{SEAL}: i={instance}; a=rsa-sha256; cv={'pass' if sets else 'none'}; {who}"
    top = _signed(signer.key, tags, [*chain.from_iterable(sets), _relaxed(found), _relaxed(signature)])
    return [top, signature, found]


def _covered(names: Iterable[str], header: Fields) -> tuple[str, list[bytes]]:
    """The tag h= and the canonical fields that it names, of each name the lowest first (RFC 6376 section 5.4.2).

    From is named once more than it is there, so that nobody can add another.
    """
    named: list[str] = []
    covered: list[bytes] = []
    for name in names:
        if header.more_than(_MOST_SIGNED, name):
            raise ValueError(f"there are more than {_MOST_SIGNED} fields called {name}")
        fields = list(header.each(name))[::-1]
        named += [name] * (len(fields) + (name.lower() == "from"))
        covered += [relaxed_header(field.name, field.value) for field in fields]
    return ":\r\n\t".join(_grouped(named)), covered


def _grouped(names: list[str]) -> Iterator[str]:
    """A few names for each line."""
    for start in range(0, len(names), 4):
        yield ":".join(names[start : start + 4])


def _signed(key: RSAPrivateKey, tags: str, covered: Iterable[bytes]) -> bytes:
    """The field `tags` with the signature over `covered` and itself (RFC 6376 section 3.7)."""
    unsigned = f"{tags};\r\n\tb=".encode("ascii")
    data = b"".join([*covered, _relaxed(unsigned).removesuffix(b"\r\n")])
    text = b64encode(key.sign(data, PKCS1v15(), SHA256()))
    return unsigned + b"\r\n\t".join(text[at : at + 72] for at in range(0, len(text), 72)) + b"\r\n"


def _relaxed(field: bytes) -> bytes:
    """A whole field of ours."""
    name, _, value = field.partition(b":")
    return relaxed_header(name, value)

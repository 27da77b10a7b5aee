"""Whether the key that seals is the one that is published (RFC 8617 section 4.1.3, RFC 6376 section 3.6.1)."""

import base64
import binascii
from collections.abc import AsyncIterator
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_der_public_key

from relay.dns import DnsError, Resolver
from relay.headers.arc import read_key
from relay.onboarding.doctor.result import Result, Topic
from relay.onboarding.doctor.run import apart


async def record(resolver: Resolver, domain: str, selector: str, file: Path) -> AsyncIterator[Result]:
    """Whether the TXT record has the public half of the private key in `file`."""
    topic = Topic("arc.record", f"{selector}._domainkey.{domain}")
    try:
        key = (await apart(lambda: read_key(file))).public_key()
    except (OSError, ValueError) as error:
        yield topic.failed(f"{file}: {error}", "name a private RSA key in arc.private_key")
        return
    try:
        texts = await resolver.txt(topic.subject)
    except DnsError as error:
        yield topic.unknown(str(error), "ask again; see [dns]")
        return
    yield compared(topic, texts, key)


def compared(topic: Topic, texts: tuple[str, ...], key: RSAPublicKey) -> Result:
    """What the TXT records `texts` mean for mail that is sealed with the private half of `key`."""
    publish = f'publish one TXT record there: "v=DKIM1; k=rsa; p={_text(key)}"'
    if not texts:
        return topic.failed("there is no record: nobody can check our seals", publish)
    if len(texts) > 1:
        return topic.failed(f"there are {len(texts)} records: which one counts is anybody's guess", publish)
    tags = tags_of(texts[0])
    if not tags.get("p"):
        return topic.failed("the record has no key: it is revoked, or none of DKIM", publish)
    if not _same(tags["p"], key):
        return topic.failed("the record has another key: our seals are found broken", publish)
    if tags.get("k", "rsa") != "rsa" or tags.get("v", "DKIM1") != "DKIM1":
        return topic.failed("the record is not of an RSA key of DKIM1", publish)
    if "h" in tags and "sha256" not in tags["h"].split(":"):
        return topic.failed("the record does not allow SHA-256", publish)
    if not {"*", "email"} & set(tags.get("s", "*").split(":")):
        return topic.failed("the record is not for mail", publish)
    if "y" in tags.get("t", "").split(":"):
        return topic.warning("the record says that the key is being tested (t=y)", publish)
    return topic.ok(f"the record has our key, RSA with {key.key_size} bits")


def tags_of(text: str) -> dict[str, str]:
    """The tags of a record, without white space in their values (RFC 6376 section 3.2)."""
    pairs = (tag.partition("=") for tag in text.split(";"))
    return {name.strip(): "".join(value.split()) for name, _, value in pairs}


def _same(text: str, key: RSAPublicKey) -> bool:
    try:
        published = load_der_public_key(base64.b64decode(text, validate=True))
    except (ValueError, binascii.Error, UnsupportedAlgorithm):
        return False
    return isinstance(published, RSAPublicKey) and published.public_numbers() == key.public_numbers()


def _text(key: RSAPublicKey) -> str:
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat  # noqa: PLC0415

    return base64.b64encode(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).decode("ascii")

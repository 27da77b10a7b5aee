"""ARC: whether the chain of those who passed a message on holds (RFC 8617 section 5.2)."""

import asyncio
from typing import NamedTuple

from verdicts.contract import Dns
from verdicts.domains import a_label
from verdicts.identity.arc_sets import Relaxed, Set, count_sets, read_sets
from verdicts.identity.dkim import ALTERED
from verdicts.identity.keys import Key, fetch_keys
from verdicts.identity.results import passed_author
from verdicts.identity.signatures import SignedMessage, check_algorithm, forms, signed_names, unsigned
from verdicts.identity.tags import Fault, decoded, number, required


class Arc(NamedTuple):
    """What became of the chain."""

    result: str = "none"
    """"none", "pass" or "fail"."""
    instances: int = 0
    """How many sets there are."""
    reason: str = ""
    """Why it is "fail"."""
    sealers: tuple[str, ...] = ()
    """The domains of the seals of a chain that passes, the oldest first."""
    vouched: str = ""
    """The author's domain for which the oldest set of a chain that passes says that DMARC passed."""
    temporary: bool = False
    """Whether it is "fail" only because the DNS had no answer."""
    sets: tuple[Relaxed, ...] = ()
    """The sets of a chain that passes, the oldest first: what a next seal covers."""


async def check(message: SignedMessage, dns: Dns) -> Arc:
    """The chain's validation status, by the newest message signature and all seals."""
    count = count_sets(message)
    if not count and not message.too_much:
        return Arc()
    try:
        sets = read_sets(message)
        for at, one in enumerate(sets, start=1):
            _check_set(one, at)
        relaxed = [one.relaxed() for one in sets]
        await _check_chain(message, sets, relaxed, dns)
    except Fault as fault:
        return Arc("fail", count, fault.reason, temporary=fault.result == "temperror")
    sealers = tuple(a_label(one.seal_tags["d"]) for one in sets)
    vouched = passed_author(sets[0].results.decode("utf-8", "replace"))
    return Arc("pass", count, "", sealers, vouched, sets=tuple(relaxed))


async def _check_chain(message: SignedMessage, sets: list[Set], relaxed: list[Relaxed], dns: Dns) -> None:
    """Raises `Fault`."""
    newest = sets[-1]
    wanted = [newest.signature_tags, *(one.seal_tags for one in sets)]
    key, *seal_keys = [_key(found) for found in await fetch_keys(dns, wanted)]
    await _check_signature(message, newest, key)
    before = b""
    for one, (results, signature, seal), seal_key in zip(sets, relaxed, seal_keys, strict=True):
        await asyncio.sleep(0)
        before += results + signature
        _check_seal(one, before, seal_key)
        before += seal


def _key(found: Key | Fault) -> Key:
    if isinstance(found, Fault):
        raise found
    return found


async def _check_signature(message: SignedMessage, newest: Set, key: Key) -> None:
    """The newest ARC-Message-Signature (section 4.1.2)."""
    found = newest.signature_tags
    header, body = forms(found, "simple")
    data = message.signed(signed_names(found), header, newest.signature) + unsigned(newest.signature, header)
    key.verify(check_algorithm(found), data, decoded(found, "b"))
    if await message.body_hash(body, number(found, "l")) != decoded(found, "bh"):
        raise Fault("fail", ALTERED)


def _check_seal(one: Set, before: bytes, key: Key) -> None:
    """An ARC-Seal: it signs what is before it in all sets up to its own (section 5.1.1)."""
    data = before + unsigned(one.seal, "relaxed")
    key.verify(check_algorithm(one.seal_tags), data, decoded(one.seal_tags, "b"))


def _check_set(one: Set, instance: int) -> None:
    """Sections 4.1.2, 4.1.3 and 5.2. Raises `Fault`."""
    required(one.signature_tags, "i", "a", "b", "bh", "d", "h", "s")
    required(one.seal_tags, "i", "a", "b", "cv", "d", "s")
    if b"arc-seal" in signed_names(one.signature_tags):
        raise Fault("fail", f"message signature {instance} signs seals")
    if "h" in one.seal_tags:
        raise Fault("fail", f"seal {instance} names fields")
    told = one.seal_tags["cv"].lower()
    if told != ("none" if instance == 1 else "pass"):
        raise Fault("fail", f"seal {instance} says cv={told[:10]}")

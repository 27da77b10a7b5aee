"""ARC: whether the chain of those who passed a message on holds (RFC 8617 section 5.2)."""

import asyncio
import re
from typing import NamedTuple

from verdicts.contract import Dns
from verdicts.domains import a_label
from verdicts.identity.dkim import ALTERED
from verdicts.identity.keys import Key, fetch_keys
from verdicts.identity.results import passed_author
from verdicts.identity.signatures import (
    MAX_FIELD,
    MAX_SIGNED,
    SignedMessage,
    canonical,
    check_algorithm,
    field_tags,
    forms,
    signed_names,
    unsigned,
)
from verdicts.identity.tags import Fault, Tags, decoded, number, required

MAX_INSTANCES = 20
"""Sets of a chain that is looked at; RFC 8617 allows 50, and an honest message has some five."""

_NAMES = (b"arc-authentication-results", b"arc-message-signature", b"arc-seal")
_INSTANCE = re.compile(rb"[ \t\r\n]*+i[ \t\r\n]*+=[ \t\r\n]*+([0-9]{1,2})[ \t\r\n]*+;")


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


class _Set(NamedTuple):
    """One instance."""

    results: bytes
    signature: bytes
    seal: bytes
    signature_tags: Tags
    seal_tags: Tags


async def check(message: SignedMessage, dns: Dns) -> Arc:
    """The chain's validation status, by the newest message signature and all seals."""
    count = max(message.count(name) for name in _NAMES)
    if not count and not message.too_much:
        return Arc()
    try:
        sets = _sets(message, count)
        await _check_chain(message, sets, dns)
    except Fault as fault:
        return Arc("fail", count, fault.reason, temporary=fault.result == "temperror")
    sealers = tuple(a_label(one.seal_tags["d"]) for one in sets)
    return Arc("pass", count, "", sealers, passed_author(sets[0].results.decode("utf-8", "replace")))


async def _check_chain(message: SignedMessage, sets: list[_Set], dns: Dns) -> None:
    """Raises `Fault`."""
    newest = sets[-1]
    wanted = [newest.signature_tags, *(one.seal_tags for one in sets)]
    key, *seal_keys = [_key(found) for found in await fetch_keys(dns, wanted)]
    await _check_signature(message, newest, key)
    for instance, seal_key in enumerate(seal_keys, start=1):
        await asyncio.sleep(0)
        _check_seal(sets[:instance], seal_key)


def _key(found: Key | Fault) -> Key:
    if isinstance(found, Fault):
        raise found
    return found


async def _check_signature(message: SignedMessage, newest: _Set, key: Key) -> None:
    """The newest ARC-Message-Signature (section 4.1.2)."""
    found = newest.signature_tags
    header, body = forms(found, "simple")
    data = message.signed(signed_names(found), header, newest.signature) + unsigned(newest.signature, header)
    key.verify(check_algorithm(found), data, decoded(found, "b"))
    if await message.body_hash(body, number(found, "l")) != decoded(found, "bh"):
        raise Fault("fail", ALTERED)


def _check_seal(sets: list[_Set], key: Key) -> None:
    """The last set's ARC-Seal: it signs all sets up to its own (section 5.1.1)."""
    fields = [field for one in sets for field in (one.results, one.signature, one.seal)]
    if sum(map(len, fields)) > MAX_SIGNED:
        raise Fault("policy", f"the sets have more than {MAX_SIGNED} bytes")
    data = b"".join(canonical(field, "relaxed") for field in fields[:-1]) + unsigned(fields[-1], "relaxed")
    found = sets[-1].seal_tags
    key.verify(check_algorithm(found), data, decoded(found, "b"))


def _sets(message: SignedMessage, count: int) -> list[_Set]:
    """The sets from the oldest, as far as one can tell without keys in order. Raises `Fault`."""
    if message.too_much or count > MAX_INSTANCES:
        raise Fault("policy", message.too_much or f"there are more than {MAX_INSTANCES} sets")
    kinds = [message.each(name, MAX_INSTANCES) for name in _NAMES]
    results, signatures, seals = ({_instance(field): field for field in fields} for fields in kinds)
    instances = range(1, count + 1)
    if any(
        len(fields) != count or set(instances) != set(found)
        for fields, found in zip(kinds, (results, signatures, seals), strict=True)
    ):
        raise Fault("fail", "the sets are not complete")
    sets = [
        _Set(results[at], signatures[at], seals[at], field_tags(signatures[at]), field_tags(seals[at]))
        for at in instances
    ]
    for at, one in enumerate(sets, start=1):
        _check_set(one, at)
    return sets


def _instance(field: bytes) -> int:
    """The value of i=, which is the first tag of ARC-Authentication-Results and any of the others."""
    name, _, value = field.partition(b":")
    if name.strip().lower() == _NAMES[0]:
        found = _INSTANCE.match(value)
        return int(found[1]) if found and len(field) <= MAX_FIELD else 0
    return number(field_tags(field), "i") or 0


def _check_set(one: _Set, instance: int) -> None:
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

"""The ARC sets of a message (RFC 8617 section 4.2), read once for who checks the chain and for who seals it."""

import re
from collections.abc import Iterable
from itertools import chain
from typing import NamedTuple

from verdicts.identity.signatures import MAX_FIELD, MAX_SIGNED, SignedMessage, canonical, field_tags
from verdicts.identity.tags import Fault, Tags, number

MAX_SETS = 50
"""RFC 8617 section 4.2.1; an honest message has some five."""

_NAMES = (b"arc-authentication-results", b"arc-message-signature", b"arc-seal")
_INSTANCE = re.compile(rb"[ \t\r\n]*+i[ \t\r\n]*+=[ \t\r\n]*+([0-9]{1,2})[ \t\r\n]*+;")

Relaxed = tuple[bytes, bytes, bytes]
"""The canonical fields of one set, in the order in which seals cover them (section 5.1.1)."""


class Set(NamedTuple):
    """One instance: its fields as they were sent, without their last line ends, and what the two with tags say."""

    results: bytes
    signature: bytes
    signature_tags: Tags
    seal: bytes
    seal_tags: Tags

    def relaxed(self) -> Relaxed:
        """Its fields as later seals cover them."""
        return canonical(self.results, "relaxed"), canonical(self.signature, "relaxed"), canonical(self.seal, "relaxed")


def count_sets(message: SignedMessage) -> int:
    """How many there are, whole or not."""
    return max(map(message.count, _NAMES))


def read_sets(message: SignedMessage) -> list[Set]:
    """The sets from the oldest. Raises `Fault` when they are not whole, or too many."""
    count = count_sets(message)
    if message.too_much or count > MAX_SETS:
        raise Fault("policy", message.too_much or f"there are more than {MAX_SETS} sets")
    kinds = [message.each(name, MAX_SETS) for name in _NAMES]
    if sum(map(len, chain.from_iterable(kinds))) > MAX_SIGNED:
        raise Fault("policy", f"the sets have more than {MAX_SIGNED} bytes")
    results = {_instance(field): field for field in kinds[0]}
    signatures, seals = map(_by_instance, kinds[1:])
    instances = range(1, count + 1)
    if not set(instances) == results.keys() == signatures.keys() == seals.keys():
        raise Fault("fail", "the sets are not complete")
    return [Set(results[at], *signatures[at], *seals[at]) for at in instances]


def _instance(field: bytes) -> int:
    """The value of i=, which is the first tag of ARC-Authentication-Results."""
    found = _INSTANCE.match(field.partition(b":")[2]) if len(field) <= MAX_FIELD else None
    return int(found[1]) if found else 0


def _by_instance(fields: Iterable[bytes]) -> dict[int, tuple[bytes, Tags]]:
    """Fields that are lists of tags, with those. Raises `Fault`."""
    told = [(field, field_tags(field)) for field in fields]
    return {number(tags, "i") or 0: (field, tags) for field, tags in told}

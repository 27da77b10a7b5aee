"""DKIM: which domains signed a message (RFC 6376)."""

import asyncio
from collections.abc import Callable
from typing import NamedTuple

from verdicts.contract import Dns
from verdicts.domains import a_label
from verdicts.identity.canonical import Canonicalization
from verdicts.identity.keys import Key, fetch_keys
from verdicts.identity.signatures import SignedMessage, check_algorithm, field_tags, forms, signed_names, unsigned
from verdicts.identity.tags import Fault, Tags, compact, decoded, number, required

MAX_SIGNATURES = 5
"""Signatures that are verified; an honest message has one or two."""
CLOCK_SLACK = 3_600.0
"""Seconds by which clocks may differ, and for which a message may be on its way behind Microsoft's door."""
MAX_TOLD = 20
"""Signatures that are told of at all."""

ALTERED = "the body is not the signed one"
EXPIRED = "the signature has expired"


class Signature(NamedTuple):
    """One DKIM-Signature field."""

    result: str
    """"pass", "fail", "temperror", "permerror", or "policy" for what was too much to verify, or proves too little."""
    domain: str = ""
    """d=, as A-labels in lower case."""
    selector: str = ""
    """s=."""
    reason: str = ""
    """Why it is not "pass"."""
    bits: int = 0
    """Size of the key, where it is known."""
    partial: bool = False
    """Whether it would pass, but there is more of the body than it signs (l=), which anybody may have added."""
    loose: bool = False
    """Whether it passes, and anybody may have written a Subject or Content-Type, as it does not sign all there are."""


async def check(
    message: SignedMessage, dns: Dns, now: float, prefer: Callable[[str], bool] = lambda _domain: False
) -> tuple[Signature, ...]:
    """All signatures from the top; of those beyond `MAX_SIGNATURES` only those are verified whose domain is preferred.

    `now` is in seconds since the epoch.
    """
    attempts = [_Attempt(field, now) for field in message.each(b"dkim-signature", MAX_TOLD)]
    sound = [attempt for attempt in attempts if attempt.obstacle is None]
    chosen = sorted(sound, key=lambda attempt: not prefer(attempt.domain))[:MAX_SIGNATURES]
    for attempt, key in zip(chosen, await fetch_keys(dns, (attempt.tags for attempt in chosen)), strict=True):
        attempt.key = key
    return tuple([await attempt.verified(message) for attempt in attempts])


class _Attempt:
    """One signature on its way through the steps of section 6.1."""

    def __init__(self, field: bytes, now: float) -> None:
        self._field = field
        self.tags: Tags = {}
        self.key: Key | Fault = Fault("policy", f"there are more than {MAX_SIGNATURES} signatures")
        self.obstacle: Fault | None = None
        """What is wrong already, so that it needs no key."""
        try:
            self.tags = field_tags(field)
            _check_tags(self.tags, now)
        except Fault as fault:
            self.obstacle = fault
        self.domain = a_label(self.tags.get("d", ""))

    async def verified(self, message: SignedMessage) -> Signature:
        """What became of it."""
        told = Signature("pass", self.domain, self.tags.get("s", "")[:253])
        try:
            key = self._sound_key()
            told = told._replace(bits=key.bits)
            if not await self._verify(message, key):
                return told._replace(loose=_is_loose(message, self.tags))
            return told._replace(result="policy", reason="there is more of the body than it signs", partial=True)
        except Fault as fault:
            return told._replace(result=fault.result, reason=fault.reason)

    def _sound_key(self) -> Key:
        if self.obstacle is not None:
            raise self.obstacle
        if isinstance(self.key, Fault):
            raise self.key
        return self.key

    async def _verify(self, message: SignedMessage, key: Key) -> bool:
        """Whether it signs only a part. The body comes last: a signature that is none costs no pass over it."""
        header, body = forms(self.tags, "simple")
        _check_identity(self.tags, exact=key.exact)
        data = message.signed(signed_names(self.tags), header, self._field) + unsigned(self._field, header)
        await asyncio.sleep(0)
        key.verify(check_algorithm(self.tags), data, decoded(self.tags, "b"))
        return await _check_body(message, self.tags, body)


def _is_loose(message: SignedMessage, found: Tags) -> bool:
    names = signed_names(found)
    return any(names.count(name) < message.count(name) for name in (b"subject", b"content-type"))


async def _check_body(message: SignedMessage, found: Tags, form: Canonicalization) -> bool:
    limit = number(found, "l")
    digest = await message.body_hash(form, limit)
    if digest != decoded(found, "bh"):
        raise Fault("fail", ALTERED)
    return limit is not None and digest != await message.body_hash(form)


def _check_tags(found: Tags, now: float) -> None:
    """Section 6.1.1. Raises `Fault`."""
    required(found, "v", "a", "b", "bh", "d", "h", "s")
    if found["v"] != "1":
        raise Fault("permerror", "v= is unknown")
    check_algorithm(found)
    if b"from" not in signed_names(found):
        raise Fault("permerror", "From is not signed")
    if "dns/txt" not in compact(found.get("q", "dns/txt")).lower().split(":"):
        raise Fault("permerror", "q= is unknown")
    _check_identity(found, exact=False)
    number(found, "l")
    signed_at, expires = number(found, "t"), number(found, "x")
    if expires is not None and (expires < now - CLOCK_SLACK or expires < (signed_at or 0)):
        raise Fault("fail", EXPIRED)
    if signed_at is not None and signed_at > now + CLOCK_SLACK:
        raise Fault("fail", "the signature is of the future")


def _check_identity(found: Tags, *, exact: bool) -> None:
    """The domain of i= is the one of d=, or below it unless its key is for that one `exact`ly."""
    domain = found["d"].lower()
    identity = found.get("i", f"@{domain}").lower().rpartition("@")[2]
    if identity != domain and (exact or not identity.endswith(f".{domain}")):
        raise Fault("permerror", "i= is not of the domain d=")

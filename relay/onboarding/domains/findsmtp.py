"""FIND SMTP: the host that a domain's mail is handed back to, from its MX records; and whether a typed one will do."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Final

from relay.dns import Answer, Resolver, Said
from relay.onboarding.domains.mailhosts import (
    NOBODY,
    Kind,
    MailHost,
    Ours,
    address,
    by_name,
    needs_addresses,
    with_addresses,
)
from relay.onboarding.domains.outcomes import TEXTS, Outcome
from relay.tenants.hops import WRONG_HOSTS, NextHop
from relay.tenants.names import a_label

MAX_HOSTS: Final = 20
"""MX records that are looked at, those of the lowest preference: a stranger's zone may have any number."""

_OUTCOMES: Final = {
    Kind.MICROSOFT: Outcome.USABLE,
    Kind.GATEWAY: Outcome.GATEWAY,
    Kind.MAILBOXES: Outcome.MAILBOXES,
    Kind.WRONG: Outcome.WRONG,
    Kind.NULL: Outcome.NULL,
    Kind.LITERAL: Outcome.LITERAL,
    Kind.NO_NAME: Outcome.NO_NAME,
    Kind.OURSELVES: Outcome.OURSELVES,
    Kind.PRIVATE: Outcome.PRIVATE,
    Kind.MISSING: Outcome.MISSING,
    Kind.NO_ANSWER: Outcome.NO_ANSWER,
    Kind.OTHER: Outcome.OTHER,
}


@dataclass(frozen=True, slots=True)
class Found:
    """What FIND SMTP came to."""

    domain: str
    """As A-labels; "" where a host was typed."""
    outcome: Outcome
    explanation: str
    next_step: str
    host: str = ""
    """The host to take as the next hop; "" when there is none."""
    cloud: str = ""
    """What `admission.clouds` calls the cloud that it is in; "" when it is not known."""
    hosts: tuple[MailHost, ...] = ()
    """All hosts, by preference."""

    @property
    def usable(self) -> bool:
        """Whether there is a host to take."""
        return self.outcome.usable


async def find(domain: str, resolver: Resolver, ours: Ours = NOBODY, *, private: bool = False) -> Found:
    """What the MX records of `domain` say. `private`: whether hosts with private addresses may be right.

    Raises ValueError when it is not a domain name, and nothing for what the DNS says.
    """
    name = a_label(domain.strip().removesuffix("."))
    answer = await resolver.ask(name, "MX")
    if answer.said is not Said.FOUND:
        return without_mx(name, answer, await _either(resolver, name) if answer.said is Said.NO_RECORD else ())
    listed = sorted(map(_parsed, answer.records), key=lambda host: (host[0], host[1]))[:MAX_HOSTS]
    looked = await asyncio.gather(*(_look(resolver, by_name(host, ours), ours, private) for _, host in listed))
    return judged(name, [replace(host, preference=each[0]) for host, each in zip(looked, listed, strict=True)])


async def judge_host(text: str, resolver: Resolver, ours: Ours = NOBODY, *, private: bool = False) -> Found:
    """Whether a next hop that was typed ("host", "host:port") will do. Raises nothing.

    An address instead of a name will do only where `private` ones may be right.
    """
    host = text.strip().partition(":")[0].removesuffix(".").lower()
    if host in WRONG_HOSTS:
        return _found("", Outcome.WRONG, by_name(host))
    try:
        name = NextHop.parse(text).host
    except ValueError as error:
        return _found("", Outcome.NO_NAME, MailHost(text.strip(), Kind.NO_NAME, str(error)))
    looked = await _look(resolver, by_name(name, ours), ours, private)
    as_said = looked.kind is Kind.OTHER or (looked.kind is Kind.LITERAL and private)
    outcome = Outcome.BY_HAND if as_said else _OUTCOMES[looked.kind]
    return _found("", outcome, looked, [looked])


async def _look(resolver: Resolver, host: MailHost, ours: Ours, private: bool) -> MailHost:
    if not needs_addresses(host):
        return host
    answers, own = await asyncio.gather(_either(resolver, host.name), _own_addresses(resolver, ours))
    return with_addresses(host, answers, own, private=private)


async def _own_addresses(resolver: Resolver, ours: Ours) -> frozenset[str]:
    """This relay's addresses, those included that its names have now. Loopback is nobody's: in a laboratory, the next
    hop is there as well.
    """
    answers = await asyncio.gather(*(_either(resolver, name) for name in ours.names))
    named = (record for answer in chain.from_iterable(answers) for record in answer.records)
    found = {parsed for text in chain(ours.addresses, named) if (parsed := address(text)) is not None}
    return frozenset(str(one) for one in found if not (one.is_loopback or one.is_unspecified))


async def _either(resolver: Resolver, name: str) -> tuple[Answer, ...]:
    if name == "localhost":  # never looked up (RFC 6761 section 6.3)
        return (Answer(Said.FOUND, ("127.0.0.1",)),)
    return tuple(await asyncio.gather(*(resolver.ask(name, kind) for kind in ("A", "AAAA"))))


def _parsed(record: str) -> tuple[int, str]:
    """Preference and host of an MX record."""
    preference, _, host = record.partition(" ")
    return int(preference), host


def judged(domain: str, hosts: Sequence[MailHost]) -> Found:
    """What the hosts of a domain come to, of which there is at least one; the first is the one that mail prefers.

    The first of Microsoft's is suggested, though others be preferred. Where none is, the first host explains why.
    """
    microsoft = next((host for host in hosts if host.kind is Kind.MICROSOFT), None)
    if microsoft is None:
        return _found(domain, _OUTCOMES[hosts[0].kind], hosts[0], hosts)
    alone = all(host.kind is Kind.MICROSOFT for host in hosts)
    return _found(domain, Outcome.USABLE if alone else Outcome.MIXED, microsoft, hosts)


def without_mx(domain: str, answer: Answer, addresses: Sequence[Answer]) -> Found:
    """What it means that there are no MX records; `addresses` are the domain's own, where it exists."""
    told = MailHost(domain, Kind.NO_ANSWER, answer.detail)
    if answer.said is Said.NO_NAME:
        return _found(domain, Outcome.NO_DOMAIN, told)
    if not answer.said.certain:
        return _found(domain, Outcome.BROKEN if answer.said is Said.BROKEN else Outcome.NO_ANSWER, told)
    own = [address for each in addresses for address in each.records]
    silent = [each.detail for each in addresses if not each.said.certain]
    if own:
        return _found(domain, Outcome.IMPLICIT, replace(told, what=own[0]))
    return _found(domain, Outcome.NO_ANSWER if silent else Outcome.NO_MX, replace(told, what="".join(silent[:1])))


def _found(domain: str, outcome: Outcome, host: MailHost, hosts: Sequence[MailHost] = ()) -> Found:
    others = ", ".join(f"{other.name or '.'} ({other.kind})" for other in hosts if other.kind is not Kind.MICROSOFT)
    words = {"domain": domain, "host": host.name or domain, "what": host.what, "others": others}
    explanation, next_step = (text.format(**words) for text in TEXTS[outcome])
    taken = host.name if outcome.usable else ""
    return Found(domain, outcome, explanation, next_step, taken, host.cloud if taken else "", tuple(hosts))

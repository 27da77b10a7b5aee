"""SPF: whether a domain lets an address send its mail (RFC 7208), by the relay's own asynchronous look-ups."""

import ipaddress
from collections.abc import Callable, Coroutine
from typing import NamedTuple

from verdicts.contract import Dns, Kind
from verdicts.domains import a_label
from verdicts.identity import spf_record
from verdicts.identity.spf_record import SyntaxFault, Term

MAX_TERMS = 10
"""Terms that cost a look-up, over all records (section 4.6.4)."""
MAX_VOIDS = 2
"""Look-ups that find nothing."""
MAX_NAMES = 10
"""MX or PTR names of one term."""

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class Spf(NamedTuple):
    """What SPF says of the envelope sender."""

    result: str = "none"
    """"none", "pass", "fail", "softfail", "neutral", "temperror" or "permerror"."""
    domain: str = ""
    """The domain that was asked: of the envelope sender, or of HELO where there is none."""
    scope: str = "mfrom"
    """"mfrom" or "helo"."""
    reason: str = ""
    """Why it is an error."""


class _Error(Exception):
    """The evaluation is over with this result."""

    def __init__(self, result: str, reason: str) -> None:
        super().__init__(reason)
        self.result = result
        self.reason = reason


async def check(dns: Dns, address: str, sender: str, helo: str) -> Spf:
    """SPF of an envelope `sender` ("" for the null sender, which HELO stands for) that `address` gave."""
    scope = "mfrom" if sender else "helo"
    local, _, domain = sender.rpartition("@") if sender else ("", "", helo)
    name = a_label(domain)
    if not name or "." not in name:
        return Spf("none", domain.lower(), scope)
    evaluation = _Evaluation(dns, ipaddress.ip_address(address), local or "postmaster", name, helo)
    try:
        return Spf(await evaluation.check_host(name), name, scope)
    except _Error as error:
        return Spf(error.result, name, scope, error.reason)


class _Evaluation:
    """check_host() of section 4 for one message, and what it has spent."""

    def __init__(self, dns: Dns, address: Address, local: str, domain: str, helo: str) -> None:
        mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
        self._dns = dns
        self._address: Address = mapped or address
        self._kind: Kind = "A" if self._address.version == 4 else "AAAA"
        self._terms = self._voids = 0
        self._facts = {
            "s": f"{local}@{domain}", "l": local, "o": domain, "h": helo, "i": _dotted(self._address),
            "v": "in-addr" if self._address.version == 4 else "ip6",
        }  # fmt: skip
        self._names: list[str] | None = None
        self._matchers: dict[str, Callable[[Term, str], Coroutine[None, None, bool]]] = {
            "all": self._all, "ip4": self._ip, "ip6": self._ip, "a": self._a, "mx": self._mx, "ptr": self._ptr,
            "exists": self._exists, "include": self._include,
        }  # fmt: skip

    async def check_host(self, domain: str) -> str:
        """The result for `domain` (section 4.1)."""
        record = await self._record(domain)
        if record is None:
            return "none"
        for term in record.terms:
            if await self._matchers[term.mechanism](term, domain):
                return term.result
        if not record.redirect or any(term.mechanism == "all" for term in record.terms):
            return "neutral"
        self._spend()
        result = await self.check_host(await self._expand(record.redirect, domain))
        if result == "none":
            raise _Error("permerror", "redirect leads to a domain without a record")
        return result

    async def _record(self, domain: str) -> spf_record.Record | None:
        if not a_label(domain):
            return None
        found = [text for text in await self._ask(domain, "TXT") if spf_record.is_record(text)]
        if len(found) > 1:
            raise _Error("permerror", f"{domain} has {len(found)} records")
        if not found:
            return None
        try:
            return spf_record.parse(found[0])
        except SyntaxFault as fault:
            raise _Error("permerror", f"{domain}: {fault}") from None

    async def _ask(self, name: str, kind: Kind) -> tuple[str, ...]:
        try:
            return await self._dns.records(name, kind) if a_label(name) else ()
        except OSError:
            raise _Error("temperror", f"no answer for {name} {kind}") from None

    async def _look_up(self, name: str, kind: Kind) -> tuple[str, ...]:
        """A look-up of which only two may find nothing."""
        found = await self._ask(name, kind)
        self._voids += not found
        if self._voids > MAX_VOIDS:
            raise _Error("permerror", f"more than {MAX_VOIDS} look-ups find nothing")
        return found

    def _spend(self) -> None:
        self._terms += 1
        if self._terms > MAX_TERMS:
            raise _Error("permerror", f"more than {MAX_TERMS} terms cost a look-up")

    async def _expand(self, spec: str, domain: str) -> str:
        """The target of a term (section 4.8)."""
        if not spec:
            return domain
        facts = {**self._facts, "d": domain, "p": "unknown"}
        if spf_record.uses(spec, "p"):
            facts["p"] = await self._validated_name(domain)
        return spf_record.expand(spec, facts)

    async def _all(self, _term: Term, _domain: str) -> bool:
        return True

    async def _ip(self, term: Term, _domain: str) -> bool:
        return term.network is not None and self._address in term.network

    async def _a(self, term: Term, domain: str) -> bool:
        self._spend()
        return self._among(await self._look_up(await self._expand(term.domain, domain), self._kind), term)

    async def _mx(self, term: Term, domain: str) -> bool:
        self._spend()
        exchanges = await self._look_up(await self._expand(term.domain, domain), "MX")
        if len(exchanges) > MAX_NAMES:
            raise _Error("permerror", f"more than {MAX_NAMES} MX names")
        for exchange in exchanges:
            name = exchange.rpartition(" ")[2]
            if self._among(await self._look_up(name, self._kind) if name else (), term):
                return True
        return False

    async def _ptr(self, term: Term, domain: str) -> bool:
        self._spend()
        target = (await self._expand(term.domain, domain)).lower()
        return any(_within(name, target) for name in await self._validated())

    async def _exists(self, term: Term, domain: str) -> bool:
        self._spend()
        return bool(await self._look_up(await self._expand(term.domain, domain), "A"))

    async def _include(self, term: Term, domain: str) -> bool:
        self._spend()
        target = await self._expand(term.domain, domain)
        result = await self.check_host(target)
        if result == "none":
            raise _Error("permerror", f"{target} is included and has no record")
        return result == "pass"

    def _among(self, found: tuple[str, ...], term: Term) -> bool:
        bits = self._address.max_prefixlen - term.lengths[self._address.version == 6]
        wanted = int(self._address) >> bits
        return any(int(ipaddress.ip_address(text)) >> bits == wanted for text in found)

    async def _validated(self) -> list[str]:
        """The names of the address which lead back to it (section 5.5); an error only makes them fewer."""
        if self._names is None:
            self._names = []
            for name in (await self._try(self._address.reverse_pointer, "PTR"))[:MAX_NAMES]:
                if self._address in map(ipaddress.ip_address, await self._try(name, self._kind)):
                    self._names.append(name.removesuffix(".").lower())
        return self._names

    async def _try(self, name: str, kind: Kind) -> tuple[str, ...]:
        try:
            return await self._ask(name, kind)
        except _Error:
            return ()

    async def _validated_name(self, domain: str) -> str:
        """The macro "p" (section 7.3)."""
        names = await self._validated()
        best = sorted(names, key=lambda name: (name != domain, not _within(name, domain)))
        return best[0] if best else "unknown"


def _within(name: str, domain: str) -> bool:
    return name == domain or name.endswith(f".{domain}")


def _dotted(address: Address) -> str:
    return str(address) if address.version == 4 else ".".join(address.exploded.replace(":", ""))

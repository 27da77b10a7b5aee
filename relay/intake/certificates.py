"""Names in a client's certificate, and whether one of them is wanted. No I/O."""

from collections.abc import Iterable
from typing import Any


def certificate_names(certificate: dict[str, Any] | None) -> tuple[str, ...]:
    """The DNS names of a verified certificate as ssl.SSLObject.getpeercert() gives it; empty when there is none.

    The subject's common name counts only where there is no subjectAltName (RFC 6125 section 6.4.4).
    """
    if not certificate:
        return ()
    alternatives = certificate.get("subjectAltName")
    if alternatives:
        return tuple(value for kind, value in alternatives if kind == "DNS")
    return tuple(value for part in certificate.get("subject", ()) for key, value in part if key == "commonName")


def any_matches(wanted: Iterable[str], names: Iterable[str]) -> bool:
    """Whether one of `names` is wanted. "*" stands for one whole first label, on either side, and for nothing else."""
    shown = [name.lower() for name in names]
    return any(_same(want.lower(), name) for want in wanted for name in shown)


def _same(one: str, other: str) -> bool:
    if one == other:
        return True
    first, _, tail = one.partition(".")
    other_first, _, other_tail = other.partition(".")
    return "*" in (first, other_first) and bool(tail) and tail == other_tail and bool(first and other_first)

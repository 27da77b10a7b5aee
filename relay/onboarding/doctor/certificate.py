"""The certificate that Exchange Online sees at STARTTLS: pair, chain, names, end, key.

The chain is looked at by a TLS handshake with ourselves in memory: OpenSSL says what a client would say, of exactly the
certificates that the listener sends.
"""

import datetime as dt
import ssl
from collections.abc import AsyncIterator, Collection, Iterator
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from relay import tls
from relay.errors import ConfigurationError
from relay.onboarding.doctor.result import Result, Topic, listed
from relay.onboarding.doctor.run import apart

SOON = 21 * 86_400.0
"""Seconds: a certificate that ends sooner should have been renewed."""
TURNS = 20
"""Flights of a handshake; TLS needs three."""
LEAST_RSA = 2048
"""Bits (CA/Browser Forum baseline requirements, section 6.1.5)."""

_INCOMPLETE = "put the authority's intermediate certificates behind the certificate in the file"
_PUBLIC = "get a certificate of a public authority: Exchange Online asks for one that it trusts"
_REMEDIES = {2: _INCOMPLETE, 18: _PUBLIC, 19: _PUBLIC, 20: f"{_INCOMPLETE}, or {_PUBLIC}", 21: _INCOMPLETE}
"""By OpenSSL's X509_V_ERR_ numbers: 2, 20 and 21 lack an issuer, 18 and 19 are self-signed."""
_ENDED = 10
"""X509_V_ERR_CERT_HAS_EXPIRED."""


async def certificate(
    file: Path | None, key: Path | None, roots: Path | None, hosts: Collection[str], now: float
) -> AsyncIterator[Result]:
    """Everything about the certificate in `file`. `roots`: whom a client trusts; the system's where None."""
    topic = Topic("certificate.pair", str(file or "smtp.certificate"))
    if file is None or key is None:
        yield topic.warning(
            "there is no certificate: STARTTLS is not offered, and Exchange's connector asks for it",
            "get a certificate for the smart host's name, and name it in smtp.certificate and smtp.private_key",
        )
        return
    try:
        context, shown, problem = await apart(lambda: _read(file, key, roots))
    except ConfigurationError as error:
        yield topic.failed(
            str(error), "name a certificate and the key that belongs to it, both in PEM, readable for us"
        )
        return
    del context
    yield topic.ok("certificate and key are readable, and belong together")
    yield chain(file, shown, problem, now)
    for result in names(shown, hosts):
        yield result
    yield expiry(file, shown, now)
    yield strength(file, shown)


def _read(file: Path, key: Path, roots: Path | None) -> tuple[ssl.SSLContext, x509.Certificate, "Problem"]:
    """Raises ConfigurationError."""
    context = tls.server_context(file, key, None, ask_client=False)
    try:
        shown = x509.load_pem_x509_certificates(file.read_bytes())[0]
    except (OSError, ValueError, IndexError) as error:
        raise ConfigurationError([f"{file}: certificate cannot be read: {error}"]) from error
    return context, shown, distrust(context, roots)


Problem = tuple[int, str]
"""OpenSSL's number and text of what is wrong with a chain; 0 when nothing is."""


def distrust(server: ssl.SSLContext, roots: Path | None) -> Problem:
    """What a client that trusts `roots` says of the chain that `server` sends. Raises ConfigurationError."""
    client = tls.client_context("verify", roots, None, None)
    assert client is not None
    client.check_hostname = False  # names are another question
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    sides = client.wrap_bio(back, there), server.wrap_bio(there, back, server_side=True)
    try:
        for turn in range(TURNS):
            try:
                sides[turn % 2].do_handshake()
            except ssl.SSLWantReadError:
                continue
    except ssl.SSLCertVerificationError as error:
        return error.verify_code, error.verify_message
    except ssl.SSLError as error:
        return -1, str(error.reason or error)
    return 0, ""


def chain(file: Path, shown: x509.Certificate, problem: Problem, now: float) -> Result:
    """Whether the certificates in the file lead to a trusted root."""
    topic, (number, text) = Topic("certificate.chain", str(file)), problem
    if not number:
        return topic.ok("the chain is complete and ends at a trusted root")
    if number == _ENDED and shown.not_valid_after_utc.timestamp() < now:
        return topic.skipped("not looked at, as the certificate itself has expired")
    return topic.failed(f"it is not trusted: {text}", _REMEDIES.get(number, "get a new certificate from its authority"))


def names(shown: x509.Certificate, hosts: Collection[str]) -> Iterator[Result]:
    """Whether the certificate is for each of `hosts`, the names under which Exchange is told to connect.

    One of them is enough: a node need not serve every environment.
    """
    known = dns_names(shown)
    covered = {host for host in hosts if any(covers(name, host) for name in known)}
    for host in hosts:
        topic = Topic("certificate.name", host)
        told = f"the certificate is for {listed(known) or 'no DNS name'}"
        if host in covered:
            yield topic.ok(told)
        elif covered:
            yield topic.warning(told, "nothing, if this node does not serve that environment; else add the name")
        else:
            yield topic.failed(
                f"{told}: Exchange checks the name of the smart host, and keeps the mail",
                "get a certificate with this name among its subject alternative names",
            )


def dns_names(shown: x509.Certificate) -> list[str]:
    """The DNS names of a certificate; its common name is none (RFC 9525 section 2)."""
    try:
        found = shown.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except (x509.ExtensionNotFound, ValueError):
        return []
    return found.value.get_values_for_type(x509.DNSName)


def covers(name: str, host: str) -> bool:
    """Whether the certificate's `name` is `host`'s; "*" stands for one whole first label (RFC 9525 section 6.3)."""
    name, host = name.lower(), host.lower()
    if not name.startswith("*."):
        return name == host
    label, dot, rest = host.partition(".")
    return bool(label and dot) and rest == name[2:]


def expiry(file: Path, shown: x509.Certificate, now: float) -> Result:
    """Whether the certificate holds now, and for long enough."""
    topic, end, begin = Topic("certificate.expiry", str(file)), shown.not_valid_after_utc, shown.not_valid_before_utc
    if begin.timestamp() > now:
        return topic.failed(f"it holds from {begin} on, which is not yet", "see whether this machine's clock is right")
    left, renew = end.timestamp() - now, "renew it, and send the relay SIGHUP"
    if left <= 0:
        return topic.failed(f"it expired on {_day(end)}", renew)
    if left < SOON:
        return topic.warning(f"it expires on {_day(end)}, in {left / 86_400:.0f} days", renew)
    return topic.ok(f"it holds until {_day(end)}")


def _day(moment: dt.datetime) -> str:
    return moment.date().isoformat()


def strength(file: Path, shown: x509.Certificate) -> Result:
    """Whether the key and the signature are such as others accept."""
    topic, key, signed = Topic("certificate.key", str(file)), shown.public_key(), shown.signature_hash_algorithm
    new = "get a certificate for a new key: RSA with 2048 bits or more, or ECDSA on P-256 or P-384, signed with SHA-256"
    if isinstance(signed, hashes.MD5 | hashes.SHA1):
        return topic.failed(f"it is signed with {signed.name.upper()}, which nobody trusts any more", new)
    if isinstance(key, rsa.RSAPublicKey):
        told = f"RSA, {key.key_size} bits"
        return topic.ok(told) if key.key_size >= LEAST_RSA else topic.failed(f"{told}: too short", new)
    if isinstance(key, ec.EllipticCurvePublicKey):
        told = f"ECDSA on {key.curve.name}"
        wanted = isinstance(key.curve, ec.SECP256R1 | ec.SECP384R1 | ec.SECP521R1)
        return topic.ok(told) if wanted else topic.warning(f"{told}, which Exchange may not know", new)
    return topic.warning(f"{type(key).__name__}: a kind of key that Exchange may not know", new)

"""TLS contexts of both sides, and the server certificate that can be replaced while the relay runs."""

import ssl
from pathlib import Path
from typing import Literal

from cryptography import x509

from relay.errors import ConfigurationError

Mode = Literal["verify", "opportunistic", "off"]


def server_context(certificate: Path, key: Path, client_roots: Path | None, *, ask_client: bool) -> ssl.SSLContext:
    """For STARTTLS: TLS 1.2 or newer, and no session tickets, because Microsoft's client aborts when it is sent some.

    `ask_client`: ask for a client certificate, verified against `client_roots` or the system's roots; a client may have
    none (the session then refuses MAIL), but not a bad one. Raises ConfigurationError.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.num_tickets = 0
    context.options |= ssl.OP_NO_TICKET | ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    _load_pair(context, certificate, key)
    if ask_client:
        _load_roots(context, client_roots, ssl.Purpose.CLIENT_AUTH)
        context.verify_mode = ssl.CERT_OPTIONAL
    return context


def client_context(mode: Mode, roots: Path | None, certificate: Path | None, key: Path | None) -> ssl.SSLContext | None:
    """For STARTTLS with the next hop; None when `mode` is off.

    verify: chain (to `roots`, or the system's) and name must be right; opportunistic: neither is looked at.
    `certificate` and `key` are shown when asked for. Raises ConfigurationError.
    """
    if mode == "off":
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_COMPRESSION
    if mode == "opportunistic":
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    else:
        _load_roots(context, roots, ssl.Purpose.SERVER_AUTH)
    if certificate is not None:
        _load_pair(context, certificate, key)
    return context


class Certificates:
    """The server's context, made of files that may change: `reload` takes the new ones, or keeps the old."""

    def __init__(self, certificate: Path, key: Path, client_roots: Path | None, *, ask_client: bool) -> None:
        """Raises ConfigurationError."""
        self._certificate = certificate
        self._key = key
        self._client_roots = client_roots
        self._ask_client = ask_client
        self.reload()

    def reload(self) -> None:
        """Read the files again. Raises ConfigurationError, and the old context stays."""
        context = server_context(self._certificate, self._key, self._client_roots, ask_client=self._ask_client)
        self._expiry = _expiry(self._certificate)
        self._context = context

    def context(self) -> ssl.SSLContext:
        """The context for the next handshake."""
        return self._context

    def expiry(self) -> float:
        """When the certificate ends, in seconds since the epoch; for the metric CERTIFICATE_EXPIRY."""
        return self._expiry


def _load_pair(context: ssl.SSLContext, certificate: Path, key: Path | None) -> None:
    try:
        # The password keeps OpenSSL from asking the terminal when the key is encrypted.
        context.load_cert_chain(certificate, key, password="")
    except (OSError, ValueError) as error:
        raise ConfigurationError([f"{certificate}: certificate and key cannot be used: {error}"]) from error


def _load_roots(context: ssl.SSLContext, roots: Path | None, purpose: ssl.Purpose) -> None:
    try:
        if roots is None:
            context.load_default_certs(purpose)
        else:
            context.load_verify_locations(roots)
    except OSError as error:
        raise ConfigurationError([f"{roots}: roots cannot be used: {error}"]) from error


def _expiry(certificate: Path) -> float:
    try:
        return x509.load_pem_x509_certificates(certificate.read_bytes())[0].not_valid_after_utc.timestamp()
    except (OSError, ValueError, IndexError) as error:
        raise ConfigurationError([f"{certificate}: certificate cannot be read: {error}"]) from error

"""A throw-away certificate authority for tests."""

import datetime as dt
import ipaddress
import ssl
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

_DAY = dt.timedelta(days=1)


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


class Authority:
    """Issues certificates into a folder; `roots` is the file of its own certificate.

    Below another authority it is an intermediate one, whose certificate goes with those that it issues.
    """

    def __init__(self, folder: Path, above: "Authority | None" = None) -> None:
        self.folder = folder
        self.roots = folder / ("roots.crt" if above is None else "intermediate.crt")
        self._above = above
        self._key = ec.generate_private_key(ec.SECP256R1())
        title = "Test authority" if above is None else "Test intermediate"
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, title)])
        issuer = above or self
        self._own = issuer._builder(self._name, self._key.public_key()).add_extension(
            x509.BasicConstraints(ca=True, path_length=None), critical=True
        ).sign(issuer._key, hashes.SHA256())  # fmt: skip
        self.roots.write_bytes(self._own.public_bytes(serialization.Encoding.PEM))

    def _builder(self, subject: x509.Name, key: Any, days: float = 30, since: float = 1) -> x509.CertificateBuilder:
        now = dt.datetime.now(dt.UTC)
        return (
            x509.CertificateBuilder().subject_name(subject).issuer_name(self._name).public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - since * _DAY).not_valid_after(now + days * _DAY)
        )  # fmt: skip

    def issue(
        self,
        name: str,
        stem: str,
        *,
        names: Sequence[str] | None = None,
        days: float = 30,
        since: float = 1,
        key: Any = None,
        whole: bool = True,
    ) -> tuple[Path, Path]:
        """A certificate for `name` as STEM.crt and its key as STEM.key, replacing what was there.

        `names`: its alternative names, where they are not `name`; it began `since` days ago and ends in `days`. Without
        `whole` the file lacks the intermediate certificate.
        """
        key = key or ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        builder = self._builder(subject, key.public_key(), days, since)
        alternatives = [_general(one) for one in ([name] if names is None else names)]
        if alternatives:
            builder = builder.add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        files = self.folder / f"{stem}.crt", self.folder / f"{stem}.key"
        pem = serialization.Encoding.PEM
        chain = self._own.public_bytes(pem) if self._above and whole else b""
        files[0].write_bytes(builder.sign(self._key, hashes.SHA256()).public_bytes(pem) + chain)
        files[1].write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
        return files

    def client_context(self) -> ssl.SSLContext:
        """For a client that believes this authority alone."""
        return ssl.create_default_context(cafile=self.roots)

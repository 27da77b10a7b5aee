"""Keys, their records, and messages signed by them: DKIM by dkimpy, ARC by Perl's Mail::DKIM."""

import base64
import functools
import subprocess
from dataclasses import dataclass
from pathlib import Path

import dkim
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from doubles.need import need

from verdicts.identity.arc_sets import Relaxed, read_sets
from verdicts.identity.signatures import SignedMessage
from verdicts.kit import mail_of

_SEALER = """
use strict; use Mail::DKIM::ARC::Signer; binmode STDIN;
my ($domain, $selector, $file, $chain, $server) = @ARGV;
my $signer = Mail::DKIM::ARC::Signer->new(Algorithm => 'rsa-sha256', Chain => $chain, Domain => $domain,
    Selector => $selector, SrvId => $server, KeyFile => $file, Timestamp => 1700000000);
while (<STDIN>) { $signer->PRINT($_); }
$signer->CLOSE; die $signer->result . ': ' . $signer->{details} if $signer->result ne 'sealed';
print map { s/\\r?\\n/\\r\\n/gr . "\\r\\n" } $signer->as_strings;
"""


@dataclass(frozen=True)
class KeyPair:
    """A private key and its record."""

    private: rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey

    @property
    def pem(self) -> bytes:
        """The private key as PKCS #1."""
        return self.private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
        )

    @property
    def record(self) -> str:
        """The TXT record of the public key."""
        public = self.private.public_key()
        if isinstance(public, ed25519.Ed25519PublicKey):
            return f"v=DKIM1; k=ed25519; p={base64.b64encode(public.public_bytes_raw()).decode()}"
        der = public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        return f"v=DKIM1; k=rsa; p={base64.b64encode(der).decode()}"

    @property
    def bare_record(self) -> str:
        """The TXT record of an RSA key as PKCS #1, which some publish."""
        der = self.private.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.PKCS1)
        return f"p={base64.b64encode(der).decode()}"


@functools.cache
def key(bits: int = 2_048, number: int = 0) -> KeyPair:
    """An RSA key, made once; `number` tells two of the same size apart."""
    return KeyPair(rsa.generate_private_key(65_537, bits))


@functools.cache
def edwards_key() -> KeyPair:
    """An Ed25519 key, made once."""
    return KeyPair(ed25519.Ed25519PrivateKey.generate())


def signed(message: bytes, domain: str = "sender.example", pair: KeyPair | None = None, **options: object) -> bytes:
    """`message` with a DKIM-Signature of the selector "s" on top; `options` are those of dkimpy's sign()."""
    options = {"canonicalize": (b"relaxed", b"relaxed"), **options}
    return dkim.sign(message, b"s", domain.encode(), (pair or key()).pem, **options) + message


def sealed(
    message: bytes, folder: Path, domain: str = "list.example", results: str = "dmarc=pass", chain: str = "none"
) -> bytes:
    """`message` with an ARC set of the selector "s" on top, behind Authentication-Results of `domain`."""
    perl = need("perl")
    if subprocess.run([perl, "-MMail::DKIM::ARC::Signer", "-e1"], capture_output=True).returncode:
        need("libmail-dkim-perl")  # it is no program, and so is missing
    file = folder / "key.pem"
    file.write_bytes(key().pem)
    message = f"Authentication-Results: {domain}; {results}\r\n".encode() + message
    command = [perl, "-e", _SEALER, domain, "s", str(file), chain, domain]
    return subprocess.run(command, input=message, capture_output=True, check=True).stdout + message


async def sets_of(message: bytes) -> list[Relaxed]:
    """The ARC sets of `message` as a next seal covers them. Raises `Fault`."""
    return [one.relaxed() for one in read_sets(await SignedMessage.read(mail_of(message)))]

"""What others say of an ARC chain, and how they seal: dkimpy, and Debian's Mail::DKIM (perl)."""

import base64
import subprocess
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import dkim
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from doubles.need import need

_PERL = """
use Mail::DKIM::ARC::Verifier; use Mail::DKIM::DNS; use Net::DNS::Resolver;
my $port = shift @ARGV;
Mail::DKIM::DNS::resolver(Net::DNS::Resolver->new(nameservers => ["127.0.0.1"], port => $port, recurse => 0));
my $arc = Mail::DKIM::ARC::Verifier->new(Strict => 1);
binmode STDIN; local $/; $arc->PRINT(<STDIN>); $arc->CLOSE;
print $arc->result eq "pass" ? "pass" : $arc->result_detail;
"""
_PERL_SIGNER = """
use Mail::DKIM::ARC::Signer;
my ($domain, $selector, $key, $chain) = @ARGV;
my $arc = Mail::DKIM::ARC::Signer->new(
    Algorithm => "rsa-sha256", Chain => $chain, Domain => $domain, SrvId => $domain, Selector => $selector,
    KeyFile => $key, Headers => "from:subject",
);
binmode STDIN; local $/; $arc->PRINT(<STDIN>); $arc->CLOSE;
print join("\\015\\012", $arc->as_strings), "\\015\\012";
"""


@cache
def key(name: str) -> rsa.RSAPrivateKey:
    """A private key; the same one for the same name."""
    return rsa.generate_private_key(65537, 2048)


def pem(private: rsa.RSAPrivateKey) -> bytes:
    """A private key as PEM."""
    form, plain = serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    return private.private_bytes(serialization.Encoding.PEM, form, plain)


def record(private: rsa.RSAPrivateKey) -> str:
    """The TXT record of its public half (RFC 6376 section 3.6.1)."""
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    public = private.public_key().public_bytes(serialization.Encoding.DER, form)
    return f"v=DKIM1; k=rsa; p={base64.b64encode(public).decode()}"


def dkimpy_says(message: bytes, texts: Mapping[str, str]) -> str:
    """What dkimpy finds: none, pass, or fail with its reason."""

    def look_up(name: bytes, timeout: float = 5) -> bytes | None:
        text = texts.get(name.decode().rstrip("."))
        return text.encode() if text is not None else None

    result, _, reason = dkim.arc_verify(message, dnsfunc=look_up)
    return result.decode() if result != dkim.CV_Fail else f"fail ({reason})"


def _perl() -> str:
    perl = need("perl")
    if subprocess.run([perl, "-MMail::DKIM", "-e", "1"], capture_output=True, check=False).returncode:
        need("libmail-dkim-perl")
    return perl


def sealed_by_perl(message: bytes, domain: str, selector: str, key_file: Path, chain: str) -> bytes:
    """`message` with another ARC set of Mail::DKIM's on top; `chain` is what it says of the sets below: none, pass."""
    message = f"Authentication-Results: {domain}; spf=pass; arc={chain}\r\n".encode() + message
    command = [_perl(), "-e", _PERL_SIGNER, domain, selector, str(key_file), chain]
    return subprocess.run(command, input=message, capture_output=True, check=True, timeout=20).stdout + message


def perl_says(message: bytes, port: int) -> str:
    """What Mail::DKIM finds with the name server on `port`: none, pass, or fail with its reason."""
    command = [_perl(), "-e", _PERL, str(port)]
    return subprocess.run(command, input=message, capture_output=True, check=True, timeout=20).stdout.decode()

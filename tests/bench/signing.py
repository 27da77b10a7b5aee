"""Letters with a DKIM signature, as most mail has one: whoever checks it pays for RSA, and for a look at the body."""

import base64
import functools

import dkim
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from mails import letter

DOMAIN, SELECTOR = "example.com", "bench"
"""The author's domain, and where in it the key is: SELECTOR._domainkey.DOMAIN."""
_FIELD_BYTES = 600


@functools.cache
def key():
    """RSA of 2048 bits, another one in each run: in PEM, and as the record that tells its public half."""
    made = rsa.generate_private_key(65537, 2048)
    pem = made.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )
    public = made.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return pem, f"v=DKIM1; k=rsa; p={base64.b64encode(public).decode()}"


def signed_letter(size):
    """A letter of about `size` bytes, signed relaxed/relaxed, with local line ends."""
    text = letter(size - _FIELD_BYTES)
    form = (b"relaxed", b"relaxed")
    field = dkim.sign(text.encode(), SELECTOR.encode(), DOMAIN.encode(), key()[0], canonicalize=form)
    return field.decode().replace("\r\n", "\n") + text

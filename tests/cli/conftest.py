"""The program called in this process: arguments in, status and text out."""

import datetime as dt
from dataclasses import dataclass

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from relay.cli import main


@dataclass
class Ran:
    status: int
    out: str
    err: str


@pytest.fixture
def sluice(monkeypatch, capsys):
    """Call the program with these arguments."""

    def run(*words) -> Ran:
        monkeypatch.setattr("sys.argv", ["sluice", *map(str, words)])
        with pytest.raises(SystemExit) as left:
            main()
        out, err = capsys.readouterr()
        return Ran(left.value.code or 0, out, err)

    monkeypatch.delenv("SLUICE_CONFIG", raising=False)
    return run


@pytest.fixture
def config(tmp_path):
    """A configuration without mistakes."""
    file = tmp_path / "sluice.toml"
    file.write_text('[node]\nname = "mx1.relay.example"\nstate = "state"\n[smtp]\nrequire_tls = false\n')
    return file


@pytest.fixture
def certificate(tmp_path):
    """Make a self-signed certificate that ends in so many days: the names of its file and of its key's."""

    def make(days: float, name: str = "tls"):
        key = ec.generate_private_key(ec.SECP256R1())
        now = dt.datetime.now(dt.UTC)
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "mx1.relay.example")])
        made = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(days=30))
            .not_valid_after(now + dt.timedelta(days=days))
            .sign(key, hashes.SHA256())
        )
        (tmp_path / f"{name}.crt").write_bytes(made.public_bytes(serialization.Encoding.PEM))
        (tmp_path / f"{name}.key").write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        return f"{name}.crt", f"{name}.key"

    return make

"""The certificate as OpenSSL's client sees it, against certificates right and wrong."""

import ssl
import subprocess
import time

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from doubles.certificates import Authority
from doubles.need import need
from hypothesis import example, given
from hypothesis import strategies as st

from relay import tls
from relay.onboarding.doctor import certificate as subject
from relay.onboarding.doctor.result import Topic

DAY = 86_400
HOST = "eu.relay.example"


@pytest.fixture
def authority(tmp_path):
    return Authority(tmp_path)


@pytest.fixture
def looked(gathered, tmp_path):
    async def looked(files, roots=tmp_path / "roots.crt", hosts=(HOST,), now=None):
        return await gathered(subject.certificate(*files, roots, hosts, now or time.time()))

    return looked


@pytest.fixture
def made(authority):
    """A certificate as it is read."""

    def made(**more):
        return x509.load_pem_x509_certificates(authority.issue(HOST, "made", **more)[0].read_bytes())[0]

    return made


async def test_a_right_certificate(looked, states, authority):
    results = await looked(authority.issue(HOST, "tls"))
    assert set(states(results).values()) == {"ok"}
    assert [result.id.removeprefix("certificate.") for result in results] == ["pair", "chain", "name", "expiry", "key"]


async def test_no_certificate_is_told(looked, states):
    assert states(await looked((None, None))) == {"certificate.pair": "warning"}


@pytest.mark.parametrize("broken", ["no file", "other key", "no certificate", "garbage"])
async def test_files_that_are_no_pair(looked, states, authority, tmp_path, broken):
    file, key = authority.issue(HOST, "tls")
    if broken == "no file":
        file.unlink()
    elif broken == "other key":
        key = authority.issue(HOST, "other")[1]
    else:
        file.write_text("" if broken == "no certificate" else "-----BEGIN CERTIFICATE-----\nAAAA\n")
    assert states(await looked((file, key))) == {"certificate.pair": "failed"}


async def test_a_chain_with_its_intermediate(looked, states, authority, tmp_path):
    between = Authority(tmp_path, authority)
    assert states(await looked(between.issue(HOST, "tls")))["certificate.chain"] == "ok"
    results = await looked(between.issue(HOST, "tls", whole=False))
    assert states(results)["certificate.chain"] == "failed"
    assert "intermediate certificates" in results[1].remedy


async def test_an_authority_that_nobody_trusts(looked, states, authority, tmp_path):
    (tmp_path / "else").mkdir()
    stranger = Authority(tmp_path / "else")
    assert states(await looked(stranger.issue(HOST, "tls")))["certificate.chain"] == "failed"
    assert states(await looked(authority.issue(HOST, "tls"), roots=None))["certificate.chain"] == "failed"


async def test_roots_that_cannot_be_read(looked, states, authority, tmp_path):
    results = await looked(authority.issue(HOST, "tls"), roots=tmp_path / "none")
    assert states(results) == {"certificate.pair": "failed"}
    assert "none" in results[0].found


async def test_a_certificate_that_signs_itself(looked, tmp_path):
    need("openssl")
    files = tmp_path / "self.crt", tmp_path / "self.key"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={HOST}", "-days", "90",
         "-addext", f"subjectAltName=DNS:{HOST}", "-out", files[0], "-keyout", files[1]],
        check=True, capture_output=True,
    )  # fmt: skip
    results = {result.id: result for result in await looked(files, roots=None)}
    assert str(results["certificate.chain"].state) == "failed"
    assert "public authority" in results["certificate.chain"].remedy
    assert str(results["certificate.key"].state) == "ok"


@pytest.mark.parametrize(
    ("days", "state", "told"),
    [(90, "ok", "until"), (20, "warning", "in 20 days"), (-0.5, "failed", "expired on")],
)
async def test_certificates_end(looked, states, authority, days, state, told):
    results = {result.id: result for result in await looked(authority.issue(HOST, "tls", days=days))}
    assert str(results["certificate.expiry"].state) == state
    assert told in results["certificate.expiry"].found
    assert str(results["certificate.chain"].state) == ("skipped" if state == "failed" else "ok")


async def test_a_certificate_from_the_future(looked, states, authority):
    results = await looked(authority.issue(HOST, "tls", since=-2))
    assert states(results)["certificate.expiry"] == "failed"
    assert states(results)["certificate.chain"] == "failed"


def test_an_intermediate_that_has_expired_is_the_chains(made):
    topic = subject.chain("f", made(days=30), (10, "certificate has expired"), time.time())
    assert str(topic.state) == "failed"


@pytest.mark.parametrize(
    ("names", "hosts", "states_"),
    [
        ([HOST], [HOST], ["ok"]),
        (["*.relay.example"], [HOST, "us.relay.example"], ["ok", "ok"]),
        ([HOST], [HOST, "us.relay.example"], ["ok", "warning"]),
        (["mx.other.example"], [HOST, "us.relay.example"], ["failed", "failed"]),
        (["192.0.2.1"], [HOST], ["failed"]),
        ([], [HOST], ["failed"]),
    ],
)
def test_names(made, names, hosts, states_):
    shown = made(names=names)
    assert [str(result.state) for result in subject.names(shown, hosts)] == states_


@pytest.mark.parametrize(
    ("name", "host", "right"),
    [
        ("mx.acme.example", "MX.Acme.example", True),
        ("*.acme.example", "mx.acme.example", True),
        ("*.acme.example", "acme.example", False),
        ("*.acme.example", "a.mx.acme.example", False),
        ("*.acme.example", ".acme.example", False),
        ("m*.acme.example", "mx.acme.example", False),
        ("mx.*.example", "mx.acme.example", False),
        ("*", "example", False),
        ("*", "acme.example", False),
        ("acme.example", "mx.acme.example", False),
    ],
)
def test_a_name_covers_a_host(name, host, right):
    assert subject.covers(name, host) is right


LABELS = st.sampled_from(["mx", "acme", "example", "*", "x-1"])
HOSTS = st.lists(LABELS.filter(lambda label: label != "*"), min_size=2, max_size=4).map(".".join)
NAMES = st.lists(LABELS, min_size=2, max_size=4).map(".".join)


@pytest.fixture(scope="module")
def issue(tmp_path_factory):
    """Issue a certificate for a name, quickly; the authority."""
    ours, key = Authority(tmp_path_factory.mktemp("names")), ec.generate_private_key(ec.SECP256R1())
    return ours, lambda name: ours.issue("x", "x", names=[name], key=key)


@given(name=NAMES, host=HOSTS)
@example(name="*.acme.example", host="mx.acme.example")
def test_names_are_compared_as_openssl_does(issue, name, host):
    """But for wildcards directly below a top-level domain, which OpenSSL refuses, and we need not."""
    authority, issued = issue
    if not (name.startswith("*.") and name.count(".") == 1):
        assert subject.covers(name, host) is _openssl_takes(authority, issued(name), host)


def _openssl_takes(authority, files, host):
    server = tls.server_context(*files, None, ask_client=False)
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = authority.client_context().wrap_bio(back, there, server_hostname=host)
    sides = client, server.wrap_bio(there, back, server_side=True)
    for turn in range(10):
        try:
            sides[turn % 2].do_handshake()
        except ssl.SSLWantReadError:
            continue
        except ssl.SSLCertVerificationError:
            return False
    return True


@pytest.mark.parametrize(
    ("key", "state"),
    [
        (lambda: rsa.generate_private_key(65537, 2048), "ok"),
        (lambda: rsa.generate_private_key(65537, 1024), "failed"),
        (lambda: ec.generate_private_key(ec.SECP384R1()), "ok"),
        (lambda: ec.generate_private_key(ec.SECP256K1()), "warning"),
        (ed25519.Ed25519PrivateKey.generate, "warning"),
    ],
)
def test_keys(made, key, state):
    assert str(subject.strength("f", made(key=key())).state) == state


def test_a_signature_that_nobody_trusts(tmp_path):
    need("openssl")
    file = tmp_path / "old.crt"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-sha1", "-subj", f"/CN={HOST}", "-out", file,
         "-keyout", tmp_path / "old.key"], check=True, capture_output=True,
    )  # fmt: skip
    result = subject.strength(file, x509.load_pem_x509_certificates(file.read_bytes())[0])
    assert (str(result.state), "SHA1" in result.found) == ("failed", True)


def test_a_problem_of_another_kind_is_told_as_it_is(made):
    result = subject.chain("f", made(), (-1, "unexpected"), time.time())
    assert result == Topic("certificate.chain", "f").failed("it is not trusted: unexpected", result.remedy)

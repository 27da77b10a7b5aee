"""The record of the key that seals, in a real zone and in a table."""

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from doubles.arc_verifiers import key, pem, record
from doubles.real_named import real_named, txt

from relay.dns import Resolver
from relay.onboarding.doctor import arc as subject
from relay.onboarding.doctor.result import Topic

OURS = key("ours")


@pytest.fixture
def file(tmp_path):
    file = tmp_path / "arc.key"
    file.write_bytes(pem(OURS))
    return file


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    zone = txt("right._domainkey", record(OURS)) + txt("other._domainkey", record(key("another")))
    with real_named(tmp_path_factory.mktemp("named"), {"sealer.example": zone}) as server:
        yield server


@pytest.mark.parametrize(
    ("domain", "selector", "state"),
    [
        ("sealer.example", "right", "ok"),
        ("sealer.example", "other", "failed"),
        ("sealer.example", "none", "failed"),
        ("refused.example", "right", "cannot tell"),
    ],
)
async def test_a_record_in_the_dns(server, gathered, file, domain, selector, state):
    (result,) = await gathered(subject.record(Resolver([server], 2.0), domain, selector, file))
    assert (str(result.state), result.subject) == (state, f"{selector}._domainkey.{domain}")


@pytest.mark.parametrize("content", [None, b"nonsense", pem(ec.generate_private_key(ec.SECP256R1()))])
async def test_a_key_that_cannot_be_used(server, gathered, file, content):
    file.unlink() if content is None else file.write_bytes(content)
    (result,) = await gathered(subject.record(Resolver([server], 2.0), "sealer.example", "right", file))
    assert str(result.state) == "failed"
    assert "nonsense" not in result.found


RIGHT = record(OURS)
P = RIGHT.partition("p=")[2]


@pytest.mark.parametrize(
    ("texts", "state"),
    [
        ([RIGHT], "ok"),
        ([f"p={P}"], "ok"),
        ([f"v=DKIM1; k=rsa; h=sha1:sha256; s=email; p={P[:100]} {P[100:]};"], "ok"),
        ([f"v=DKIM1; t=s; p={P}"], "ok"),
        ([f"v=DKIM1; t=y:s; p={P}"], "warning"),
        ([], "failed"),
        ([RIGHT, RIGHT], "failed"),
        ([""], "failed"),
        (["v=spf1 -all"], "failed"),
        (["v=DKIM1; p="], "failed"),
        (["v=DKIM1; p=!!!"], "failed"),
        ([f"v=DKIM1; p={base64.b64encode(b'nonsense').decode()}"], "failed"),
        ([f"v=DKIM1; k=ed25519; p={P}"], "failed"),
        ([f"v=DKIM2; p={P}"], "failed"),
        ([f"v=DKIM1; h=sha1; p={P}"], "failed"),
        ([f"v=DKIM1; s=other; p={P}"], "failed"),
        ([record(key("another"))], "failed"),
    ],
)
def test_records(texts, state):
    result = subject.compared(Topic("arc.record", "x"), tuple(texts), OURS.public_key())
    assert str(result.state) == state
    assert bool(result.remedy) is (state != "ok")


def test_what_to_publish_is_told_whole():
    assert RIGHT in subject.compared(Topic("arc.record", "x"), (), OURS.public_key()).remedy

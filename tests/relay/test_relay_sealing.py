"""Sealing a dressed message: in what order, over what, and what happens when it goes wrong."""

import asyncio
import subprocess
import sys
from types import SimpleNamespace

import pytest
from doubles.arc_verifiers import dkimpy_says, key, record
from doubles.signing import sets_of

from config.settings import Settings
from relay.assembly import sealer
from relay.dressing import Dresser
from relay.errors import ConfigurationError
from relay.headers.arc import Signer
from relay.observe import metrics
from relay.sealing import MAX_HEADER_BYTES, Sealer
from relay.tenants.loops import Tracer
from verdicts.fields import MAX_FIELDS, Fields
from verdicts.kit import letter, mail_of, pretend_tools

NODE = "mx1.relay.example"
SIGNER = Signer("sealer.example", "2026", key("sealer0"), ("From", "Subject", "X-PERCEPTION-POINT-CUSTOM"))
TEXTS = {"2026._domainkey.sealer.example": record(SIGNER.key)}
FORGED = b"Authentication-Results: MX1.relay.example (ours);\r\n\tdmarc=pass\r\n"
LETTER = letter("Good morning.\r\n" * 10_000)


def finding(arc="none", sets=()):
    """An authentication that finds this; a function is awaited instead."""

    async def authenticate(_mail, _tools):
        if callable(arc):
            return await arc()
        return SimpleNamespace(
            spf=SimpleNamespace(result="pass", domain="sender.example", scope="mfrom"),
            dkim=(),
            dmarc=SimpleNamespace(result="none", domain="sender.example"),
            arc=SimpleNamespace(result=arc, reason="the body was changed" if arc == "fail" else "", sets=sets),
        )

    return authenticate


def dressed(message):
    clock = SimpleNamespace(time=lambda: 1.7e9)
    mail = mail_of(message)
    return mail, Dresser(NODE, Tracer(b"k" * 32, NODE), clock, NODE).dress(mail, "01JD8Z", loop_value="k7Jq2mV9")


def whole(head):
    message = b"".join(head.pieces())
    assert len(message) == head.size
    return message


async def sealed(message, arc="none", deadline=5.0, sets=()):
    mail, head = dressed(message)
    await Sealer(SIGNER, NODE, finding(arc, sets), pretend_tools(), deadline).seal(mail, head, "01JD8Z")
    return whole(head)


def names(message):
    return [field.name.decode() for field in Fields.parse(message)]


def counted(result):
    return metrics.SEALS.labels(result)._value.get()


async def test_the_seal_covers_the_message_as_it_leaves():
    before = counted("sealed")
    message = await sealed(FORGED + LETTER)
    assert names(message)[:7] == [
        "ARC-Seal", "ARC-Message-Signature", "ARC-Authentication-Results", "Authentication-Results", "Received",
        "X-PERCEPTION-POINT-CUSTOM", "X-Sluice-Trace",
    ]  # fmt: skip
    assert message.endswith(LETTER)
    assert b"dmarc=pass" not in message
    assert b"\r\nAuthentication-Results: mx1.relay.example;\r\n\tspf=pass smtp.mailfrom=sender.example;" in message
    assert dkimpy_says(message, TEXTS) == "pass"
    assert dkimpy_says(message.replace(b"k7Jq2mV9", b"k7Jq2mV8"), TEXTS).startswith("fail")
    assert counted("sealed") == before + 1


async def test_the_second_pass_seals_over_the_first():
    first = await sealed(LETTER)
    second = await sealed(first, "pass", sets=await sets_of(first))
    assert len(await sets_of(second)) == 2
    assert b"cv=pass" in second
    assert names(second).count("Authentication-Results") == 1
    assert dkimpy_says(second, TEXTS) == "pass"


@pytest.mark.parametrize("arc", ["fail", "none"])
async def test_over_a_broken_chain_we_say_what_we_found_and_no_more(arc):
    first, before = await sealed(LETTER), counted("broken_chain")
    second = await sealed(first.replace(b"Good", b"Bad"), arc)  # "none" although there are sets
    assert len(await sets_of(second)) == 1
    assert names(second)[:2] == ["Authentication-Results", "Received"]
    assert counted("broken_chain") == before + 1


async def test_sets_that_are_not_whole_are_not_sealed_over():
    message = await sealed(b"ARC-Seal: i=1; x=y\r\n" + LETTER)
    assert names(message)[:2] == ["Authentication-Results", "Received"]


async def hangs():
    await asyncio.Event().wait()


async def breaks():
    raise OSError("no answer")


@pytest.mark.parametrize("trouble", [hangs, breaks])
async def test_without_an_answer_it_goes_unsealed(trouble):
    before = counted("failed")
    message = await sealed(LETTER, trouble, deadline=0.01)
    assert names(message)[0] == "Received"
    assert message.endswith(LETTER)
    assert counted("failed") == before + 1


@pytest.mark.parametrize("head", [b"X: " + b"y" * MAX_HEADER_BYTES + b"\r\n", b"X: y\r\n" * (MAX_FIELDS + 1)])
async def test_a_huge_header_section_goes_unsealed(head):
    before = counted("failed")
    assert names(await sealed(head + b"\r\n"))[0] == "Received"
    assert counted("failed") == before + 1


async def test_who_hangs_up_is_not_kept():
    task = asyncio.create_task(sealed(LETTER, hangs, deadline=60))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


def test_who_does_not_seal_needs_no_engines():
    program = "import sys; sys.modules['verdicts.identity.authentication'] = None; import relay.worker"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True).returncode == 0


def test_who_seals_without_them_is_told(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "verdicts.identity.authentication", None)
    table = {"domain": "sealer.example", "selector": "2026", "private_key": tmp_path / "arc.key"}
    settings = Settings.model_validate({"node": {"name": NODE, "state": tmp_path}, "arc": table})
    with pytest.raises(ConfigurationError, match='needs the extra "engines"'):
        sealer(settings, pretend_tools())

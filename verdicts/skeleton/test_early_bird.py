"""What the engine sees, and that it keeps the contract."""

import asyncio

import pytest
from early_bird import EarlyBird
from pydantic import ValidationError

from verdicts.contract import Finding, Severity
from verdicts.kit import assert_contract, letter, mail_of, pretend_tools


def judge(message: bytes, **options: object) -> list[Finding]:
    engine = EarlyBird(EarlyBird.Options.model_validate(options), pretend_tools())
    return list(asyncio.run(engine.judge(mail_of(message))))


def test_it_sees_what_it_looks_for() -> None:
    (finding,) = judge(letter(subject="URGENT offer"))
    assert (finding.name, finding.severity, finding.detail) == ("SHOUTS", Severity.SUSPICIOUS, "URGENT")


def test_it_leaves_other_mail_alone() -> None:
    assert judge(letter(subject="An offer")) == []


def test_its_words_can_be_chosen() -> None:
    assert judge(letter(subject="URGENT: you WIN"), words=["WIN"])[0].detail == "WIN"


def test_mistakes_in_its_options_are_told() -> None:
    with pytest.raises(ValidationError, match="words"):
        EarlyBird.Options.model_validate({"words": []})


def test_it_keeps_the_contract() -> None:
    asyncio.run(assert_contract(lambda: EarlyBird(EarlyBird.Options(), pretend_tools())))

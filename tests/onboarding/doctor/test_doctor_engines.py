"""Engines that answer, and those that do not, in any way an engine can."""

import asyncio
import subprocess
import sys
import threading
import time
from functools import partial

import pytest
from doubles.pretend_clamd import PretendClamd
from doubles.pretend_names import pretend_names

from relay.dns import Resolver
from relay.onboarding.doctor import engines as subject
from relay.onboarding.doctor.result import Topic
from relay.onboarding.doctor.run import Check, run
from verdicts import registry
from verdicts.contract import Engine, EngineOptions, Finding, Outcome, Severity, Unscanned, Verdict
from verdicts.panel import Seat


def resolver():
    return Resolver(["127.0.0.1:9"], 0.2)


def seated(judge, close=None, deadline=5.0, **options):
    class Odd(Engine):
        async def judge(self, mail):
            return await judge(self, mail)

        async def close(self):
            if close:
                await close()

    def build(tools):
        return Seat("odd", Odd(EngineOptions(), tools), deadline, EngineOptions(**options))

    return build


@pytest.fixture
def asked(gathered):
    async def asked(build, deadline=5.0):
        (result,) = await gathered(subject.engine("odd", build, resolver, deadline))
        return str(result.state), result.found

    return asked


async def test_one_that_answers(asked):
    seen = []

    async def judge(engine, mail):
        seen.append((mail.fields.text("Subject"), mail.content.size, mail.proven))
        return ()

    state, told = await asked(seated(judge))
    assert (state, told[:8]) == ("ok", "it answe")
    assert seen == [("A question of sluice doctor", len(subject.LETTER), True)]


async def test_one_that_finds_a_harmless_letter_malicious(asked):
    async def judge(engine, mail):
        return [Finding("Bad.Rule", Severity.MALICIOUS), Finding("Spam", Severity.SPAM)]

    assert await asked(seated(judge)) == ("warning", "it takes a harmless letter for malicious: Bad.Rule")


async def raises(engine, mail):
    raise OSError("nobody is there")


async def says_unscanned(engine, mail):
    raise Unscanned("no rules are loaded")


async def says_nonsense(engine, mail):
    return ["x"]


async def hangs(engine, mail):
    await asyncio.Event().wait()


@pytest.mark.parametrize(
    ("judge", "told"),
    [
        (raises, "failed: OSError: nobody is there"),
        (says_unscanned, "unscanned: no rules are loaded"),
        (says_nonsense, "failed: TypeError"),
        (hangs, "late: no answer within 0.1 seconds"),
    ],
)
async def test_one_that_does_not(asked, judge, told):
    state, text = await asked(seated(judge, deadline=0.1))
    assert (state, text.startswith(told)) == ("failed", True)


async def test_the_deadline_of_all_engines_counts_too(asked):
    assert await asked(seated(hangs), 0.1) == ("failed", "late: no answer within 0.1 seconds")


VERDICTS = {kind: Verdict("odd", kind, reason="why") for kind in Outcome}


@pytest.mark.parametrize(
    ("outcome", "options", "state"),
    [
        (Outcome.FAILED, {}, "failed"),
        (Outcome.FAILED, {"on_failure": "defer"}, "failed"),
        (Outcome.FAILED, {"on_failure": "ignore"}, "warning"),
        (Outcome.FAILED, {"on_late": "ignore"}, "failed"),
        (Outcome.LATE, {"on_late": "ignore"}, "warning"),
        (Outcome.LATE, {"on_failure": "ignore"}, "failed"),
        (Outcome.UNSCANNED, {"on_failure": "ignore", "on_late": "ignore"}, "failed"),
        (Outcome.UNSCANNED, {"shadow": True}, "warning"),
        (Outcome.FAILED, {"shadow": True}, "warning"),
        (Outcome.ANSWERED, {"shadow": True}, "ok"),
    ],
)
def test_what_its_silence_leads_to(outcome, options, state):
    assert str(subject.judged(Topic("x", "odd"), VERDICTS[outcome], EngineOptions(**options)).state) == state


async def test_one_that_cannot_be_built(asked):
    def build(tools):
        raise RuntimeError("no licence\nsecond line")

    assert await asked(build) == ("failed", "RuntimeError: no licence")


async def test_what_it_holds_is_given_back(asked):
    closed = []

    async def close():
        closed.append(True)

    assert (await asked(seated(raises, close)))[0] == "failed"
    assert closed == [True]


def test_one_that_blocks_holds_up_no_other():
    free = threading.Event()

    async def blocks(engine, mail):
        free.wait(20)
        return ()

    async def judge(engine, mail):
        return ()

    def check(name, build):
        return Check(Topic("engine.answers", name), partial(subject.engine, name, build, resolver, 5.0), 0.5)

    begun = time.monotonic()
    results = run([check("blocks", seated(blocks)), *(check("good", seated(judge)) for _ in range(5))], 10)
    free.set()
    assert [str(result.state) for result in results] == ["cannot tell"] + ["ok"] * 5
    assert time.monotonic() - begun < 5


@pytest.fixture
def clamd():
    clamd = PretendClamd()
    yield clamd
    clamd.close()


async def test_engines_as_they_are_configured(asked, clamd):
    build = partial(registry.seat, "clamav", {"address": clamd.address})
    assert (await asked(build))[0] == "ok"
    clamd.reply = b"INSTREAM size limit exceeded. ERROR\0"
    assert (await asked(build))[0] == "failed"
    build = partial(registry.seat, "first", {"engine": "clamav", "address": "127.0.0.1:1", "on_failure": "ignore"})
    assert (await asked(build))[0] == "warning"
    assert (await asked(partial(registry.seat, "clamav", {"adress": "x"})))[0] == "failed"
    assert (await asked(partial(registry.seat, "clamav", {"shadow": True, "address": "127.0.0.1:1"})))[0] == "warning"


LOCAL = ("attachments", "authentication", "impersonation", "links", "lists", "testpatterns", "yara")


@pytest.mark.parametrize("name", LOCAL)
async def test_engines_that_need_a_name_server_at_most_are_simply_well(gathered, name, tmp_path):
    (tmp_path / "rules.yar").write_text('rule nothing { strings: $a = "hunter2" condition: $a }')
    build = partial(registry.seat, name, {"rules": [str(tmp_path)]} if name == "yara" else {})
    with pretend_names({}) as port:
        here = lambda: Resolver([f"127.0.0.1:{port}"], 2.0)  # noqa: E731
        (result,) = await gathered(subject.engine(name, build, here, 10.0))
    assert (str(result.state), result.found[:11]) == ("ok", "it answered"), result


async def test_a_name_server_that_is_silent_is_told(asked):
    state, told = await asked(partial(registry.seat, "authentication", {}))
    assert (state, told[:10]) == ("failed", "unscanned:")


def test_one_that_hangs_in_a_thread_does_not_keep_the_program_from_ending():
    code = """
import asyncio, threading
from functools import partial
from relay.dns import Resolver
from relay.onboarding.doctor import engines, run
from relay.onboarding.doctor.result import Topic
from verdicts.contract import Engine, EngineOptions
from verdicts.panel import Seat

class Hangs(Engine):
    async def judge(self, mail):
        await asyncio.to_thread(threading.Event().wait)

build = lambda tools: Seat("hangs", Hangs(EngineOptions(), tools), 0.2)
work = partial(engines.engine, "hangs", build, lambda: Resolver(["127.0.0.1:9"], 0.2), 5.0)
for result in run.run([run.Check(Topic("x", "x"), work)], 5): print(result.state, result.found)
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=20)
    assert (ran.stdout, ran.stderr) == ("failed late: no answer within 0.2 seconds\n", "")

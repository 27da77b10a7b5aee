import asyncio
import contextlib
import os
import stat
import sys
from pathlib import Path

import pytest
import uvloop
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from verdicts import engines, outside
from verdicts.contract import EngineOptions, Finding, Outcome, Severity, Unscanned
from verdicts.engines.command import Command
from verdicts.kit import PretendClock, assert_contract, letter, mail_of, pretend_tools
from verdicts.panel import Panel, Seat

MAIL = letter()
BIG = letter(attachments=[("a.bin", bytes(3_000_000))])


@pytest.fixture
def script(tmp_path):
    """Makes an engine of a shell script; with `python=True`, of a Python program."""

    def make(text, answer="exit", *arguments, python=False):
        file = tmp_path / f"{len(list(tmp_path.iterdir()))}.sh"
        file.write_text(f"#!{sys.executable} -I\n{text}" if python else f"#!/bin/sh\n{text}\n")
        file.chmod(stat.S_IRWXU)
        return Command(Command.Options(command=[str(file), *arguments], answer=answer), pretend_tools())

    return make


def alive(pid):
    """Whether a process is there and no zombie."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


async def gone(pid):
    async with asyncio.timeout(10):
        while alive(pid):
            await asyncio.sleep(0.01)


async def read(file):
    """The file's text, as soon as it has a whole line."""
    async with asyncio.timeout(10):
        while not (file.exists() and file.read_text().endswith("\n")):
            await asyncio.sleep(0.01)
    return file.read_text()


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("cat >/dev/null", []),
        ("exit 0", []),
        ("exit 10", [Finding("COMMAND_NOTE")]),
        ("echo macros; echo more; exit 11", [Finding("COMMAND_SUSPICIOUS", Severity.SUSPICIOUS, detail="macros")]),
        ("printf 'a\\033[31m\\0b'; exit 12", [Finding("COMMAND_SPAM", Severity.SPAM, detail="a[31mb")]),
        ("cat >/dev/null; exit 13", [Finding("COMMAND_MALICIOUS", Severity.MALICIOUS)]),
    ],
)
async def test_exit_codes(script, text, found):
    for message in (MAIL, BIG, b""):
        assert await script(text).judge(mail_of(message)) == found


@pytest.mark.parametrize(("text", "reason"), [("echo too large; exit 20", "too large"), ("exit 20", "could not look")])
async def test_unscanned_by_exit_code(script, text, reason):
    with pytest.raises(Unscanned, match=reason):
        await script(text).judge(mail_of(MAIL))


@pytest.mark.parametrize("answer", ["exit", "json"])
@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("exit 1", "ended with 1$"),
        ("exit 14", "ended with 14$"),
        ("kill -SEGV $$", "ended with -11$"),
        ("echo first >&2; printf 'no \\033licence\\n\\n' >&2; exit 9", "ended with 9: no licence$"),
        ("printf 'no line end' >&2; exit 9", "ended with 9: no line end$"),
    ],
)
async def test_a_command_that_breaks_has_failed(script, answer, text, reason):
    with pytest.raises(ChildProcessError, match=reason):
        await script(text, answer).judge(mail_of(MAIL))


async def test_json(script):
    finding = '{"name": "BAD_WORD", "severity": "spam", "weight": 2.5, "detail": "two\\nlines"}'
    engine = script(f"cat >/dev/null; printf %s '{{\"findings\": [{finding}]}}'", "json")
    assert await engine.judge(mail_of(BIG)) == [Finding("BAD_WORD", Severity.SPAM, 2.5, "two lines")]
    with pytest.raises(Unscanned, match="encrypted") as unscanned:
        await script(f'printf %s \'{{"findings": [{finding}], "unscanned": "encrypted"}}\'', "json").judge(
            mail_of(MAIL)
        )
    assert [seen.name for seen in unscanned.value.findings] == ["BAD_WORD"]


@pytest.mark.parametrize(
    "output",
    [
        "", "{}", "[]", "clean", '{"findings": []} {"findings": []}', '{"findings": [], "finding": []}',
        '{"findings": [{"name": "a"}]}', '{"findings": [{"name": "", "severity": "spam"}]}',
        '{"findings": [{"name": "a", "severity": "SPAM"}]}', '{"findings": [{"name": "a b", "severity": "spam"}]}',
        '{"findings": [{"name": "a", "severity": "spam", "weight": "1"}]}',
        '{"findings": [{"name": "a", "severity": "spam", "weight": 1e999}]}', '{"findings": [], "unscanned": ""}',
    ],
)  # fmt: skip
async def test_nonsense_is_a_failure(script, output):
    with pytest.raises(ValueError, match=r"^the answer makes no sense: "):
        await script(f"echo '{output}'", "json").judge(mail_of(MAIL))


async def test_what_it_gets_is_the_message_and_the_arguments(script, tmp_path):
    copy = tmp_path / "copy"
    assert await script(f"cat >{copy}; exit $1", "exit", "10", "$(exit 3)").judge(mail_of(BIG))
    assert copy.read_bytes() == BIG


async def test_what_it_is_told(script, tmp_path, monkeypatch):
    monkeypatch.setenv("SECRET", "hunter2")
    report = "X-Forefront-Antispam-Report", "CIP:192.0.2.7;H:mail.sender.example;PTR:host.sender.example"
    mail = mail_of(
        letter(headers=[report]),
        sender="a\0\n$(id)`id`\udcff@x.example",
        recipients=["b@acme.example", "c\nSLUICE_ID=2@acme.example"] + ["\U0001f600" * 5_000] * 500,
    )
    text = f"import os; open({str(tmp_path / 'told')!r}, 'w').write(repr(dict(os.environ)) + chr(10))"
    await script(text, python=True).judge(mail)
    told = eval((tmp_path / "told").read_text())
    assert told.pop("PATH") == os.environ["PATH"]
    addresses = told.pop("SLUICE_RECIPIENTS").split("\n")
    assert addresses[:2] == ["b@acme.example", "cSLUICE_ID=2@acme.example"]
    assert (len(addresses), len(addresses[2])) == (100, 320)
    for inherited in ("LANG", "LC_CTYPE"):  # Python sets the second one itself
        told.pop(inherited, None)
    document = (Path(engines.__file__).parent / "answers.md").read_text()
    assert all(f"`{name}`" in document for name in told)
    assert told == {
        "SLUICE_ID": "1",
        "SLUICE_TENANT": "acme",
        "SLUICE_SENDER": "a$(id)`id`@x.example",
        "SLUICE_RECIPIENT_COUNT": "502",
        "SLUICE_SIZE": str(mail.content.size),
        "SLUICE_ORIGIN_ADDRESS": "192.0.2.7",
        "SLUICE_ORIGIN_NAME": "host.sender.example",
        "SLUICE_HELO": "mail.sender.example",
    }


@given(st.text())
def test_facts_can_always_be_told(text):
    cleaned = outside.clean(text)
    assert cleaned.isprintable()
    assert "\0" not in cleaned
    assert cleaned.encode().decode() == cleaned
    assert len(cleaned) <= 1_000


FLOODS = "while :; do echo xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"


@pytest.mark.parametrize("answer", ["exit", "json"])
async def test_a_flood_is_a_failure_and_ends(script, tmp_path, answer):
    pid = tmp_path / "pid"
    with pytest.raises(ValueError, match="longer than 256000 bytes"):
        await script(f"trap '' TERM; echo $$ >{pid}; {FLOODS}; done", answer).judge(mail_of(BIG))
    await gone(await read(pid))


async def test_much_on_standard_error_hurts_nobody(script):
    text = "i=0; while [ $i -lt 3000 ]; do echo 'a line of a hundred characters, more or less, as loggers write' >&2; "
    assert await script(text + "i=$((i+1)); done; cat >/dev/null; exit 10").judge(mail_of(BIG))


async def test_output_before_input_is_no_deadlock(script):
    text = "import sys; sys.stdout.write('x' * 200_000); sys.exit(len(sys.stdin.buffer.read()) % 2 + 10)"
    (finding,) = await script(text, python=True).judge(mail_of(BIG))
    assert finding.severity == len(BIG) % 2


HANGS = "trap '' TERM HUP INT; sleep 1000 & echo $$ $! >{pid}; cat >/dev/null; wait"


async def test_one_that_hangs_is_late_and_dies_with_its_children(script, tmp_path):
    panel = Panel([Seat("command", script(HANGS.format(pid=tmp_path / "pid")), 2.0)], 5, PretendClock())
    (verdict,) = (await panel.judge(mail_of(BIG))).verdicts
    assert verdict.outcome is Outcome.LATE
    for pid in (await read(tmp_path / "pid")).split():
        await gone(pid)
    await panel.close()


@pytest.mark.parametrize("text", [HANGS, "sleep 1000 & echo $$ $! >{pid}; wait"])
async def test_one_that_is_cancelled_dies_with_its_children(script, tmp_path, text):
    task = asyncio.create_task(script(text.format(pid=tmp_path / "pid")).judge(mail_of(BIG)))
    pids = (await read(tmp_path / "pid")).split()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    for pid in pids:
        await gone(pid)


async def test_one_that_is_cancelled_while_it_starts_dies(script, tmp_path):
    for turns in range(6):
        task = asyncio.create_task(script("exec sleep 1000").judge(mail_of(MAIL)))
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert children_of(os.getpid(), "sleep") == []


def children_of(parent, name):
    """Living processes of that name below a process."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError), open(f"/proc/{pid}/stat") as file:
            program, _, rest = file.read().partition("(")[2].rpartition(")")
            state, above = rest.split()[:2]
            if program == name and int(above) == parent and state != "Z":
                found.append(pid)
    return found


async def test_what_it_leaves_running_does_not_keep_us_waiting(script, tmp_path):
    assert await script(f"sleep 1000 & echo $! >{tmp_path / 'pid'}; echo spam; exit 12").judge(mail_of(MAIL))
    await gone(await read(tmp_path / "pid"))


def test_it_works_in_the_relays_loop(script, tmp_path):
    async def all_of_it():
        assert await script("cat >/dev/null; exit 13").judge(mail_of(BIG))
        assert await script("exit 0").judge(mail_of(BIG)) == []
        with pytest.raises(ValueError, match="longer"):
            await script(f"{FLOODS}; done").judge(mail_of(MAIL))
        await test_one_that_is_cancelled_dies_with_its_children(script, tmp_path, HANGS)
        await test_what_it_leaves_running_does_not_keep_us_waiting(script, tmp_path)

    uvloop.run(all_of_it())


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ([], "absolute path"),
        ([""], "absolute path"),
        (["scan.sh"], "not with 'scan.sh'"),
        (["/nonexistent/scan.sh", "-x"], "/nonexistent/scan.sh is no file that may be executed"),
        (["/etc/passwd"], "/etc/passwd is no file that may be executed"),
        (["/etc"], "/etc is no file that may be executed"),
        (["/bin/sh", "a\0"], "NUL"),
    ],
)
def test_a_command_that_cannot_be_run_is_a_mistake_in_the_configuration(command, message):
    with pytest.raises(ValidationError, match=message):
        Command.Options(command=command, answer="exit")


def test_how_it_answers_must_be_said():
    with pytest.raises(ValidationError, match="answer"):
        Command.Options(command=["/bin/true"])


async def test_a_command_that_went_away_is_a_failure(script, tmp_path):
    engine = script("exit 0")
    (tmp_path / "0.sh").unlink()
    with pytest.raises(FileNotFoundError):
        await engine.judge(mail_of(MAIL))


@pytest.mark.parametrize("text", ["exit 0", "cat >/dev/null"])
async def test_it_keeps_the_contract(script, text):
    await assert_contract(lambda: script(text))


def test_processes_are_bounded_unless_the_operator_says_otherwise():
    options = Command.Options(command=["/bin/sh"], answer="exit")
    assert EngineOptions().at_once is None
    assert options.at_once == 20

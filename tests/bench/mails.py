"""The mails that are sent: a multipart letter of any size, and what a hostile stranger would send."""

import base64
import io
import zipfile

KIB, MIB = 1_024, 1_048_576
HEAD = """\
Received: from client.example.com (client.example.com [192.0.2.7]) by mx.example.net; Mon, 02 Mar 2026 10:00:00 +0000
X-Forefront-Antispam-Report: CIP:192.0.2.7;CTRY:DE;SCL:1;SFV:NSPM;H:client.example.com;DIR:INB;
X-PERCEPTION-POINT-CUSTOM: k7Jq2mV9xT4bR8nL5wZ3cY6h
From: Sender <sender@example.com>
To: Recipient <rcpt@acme.example>
Subject: Quarterly figures
Message-ID: <1@example.com>
MIME-Version: 1.0
"""
MULTIPART = """\
Content-Type: multipart/mixed; boundary="=_b"

--=_b
Content-Type: text/plain

Please find the figures attached.
--=_b
Content-Type: application/octet-stream; name="figures.bin"
Content-Transfer-Encoding: base64

"""
LINE = ("TWFueSBoYW5kcyBtYWtlIGxpZ2h0IHdvcmsu" * 3)[:76]
END = b"\r\n.\r\n"


def letter(size):
    """About `size` bytes as sent, most of them base64 in lines of 76, with local line ends."""
    head = HEAD + MULTIPART
    lines = max(1, (size - len(head)) // 78)
    return head + (LINE + "\n") * lines + "--=_b--\n"


def wire(text):
    """As it goes over the wire, with the dot at the end. No line of ours begins with a dot."""
    return text.replace("\n", "\r\n").encode().removesuffix(b"\r\n") + END


_HEAD = HEAD.replace("\n", "\r\n").encode()
_PLAIN = _HEAD + b"\r\n"
_MIXED = _HEAD + b'Content-Type: multipart/mixed; boundary="=_b"\r\n\r\n'
_PART = b"--=_b\r\nContent-Type: text/plain; name=a\r\nContent-Transfer-Encoding: base64\r\n\r\nQUJD\r\n"
_LINK = b'<a href="https://u%d.example/%d">https://paypal.example/</a>\r\n'


def bombs():
    """Fifty archives of 100 MB of zeros each."""
    bomb = io.BytesIO()
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("zeros.bin", "w") as member:
        for _ in range(100):
            member.write(bytes(1_000_000))
    part = b"--=_b\r\nContent-Type: application/zip; name=a.zip\r\nContent-Transfer-Encoding: base64\r\n\r\n"
    part += base64.encodebytes(bomb.getvalue()).replace(b"\n", b"\r\n")
    return _MIXED + part * 50 + b"--=_b--" + END


def links():
    """A page of 10 MB that is all links."""
    page = b"".join(_LINK % (number, number) for number in range(150_000))
    return _HEAD + b"Content-Type: text/html\r\n\r\n" + page + b"." + END


HOSTILE = {
    "40 MB letter": lambda: wire(letter(40_000_000)),
    "1 MB header line": lambda: _HEAD + b"X-Long: " + b"a" * 1_000_000 + b"\r\n\r\nbody" + END,
    "1 MB of header fields": lambda: _HEAD + b"X-A: b\r\n" * 125_000 + b"\r\nbody" + END,
    "1 MB folded header": lambda: _HEAD + b"X-A: a\r\n" + b" =?utf-8?q?a?=\r\n" * 60_000 + b"\r\nbody" + END,
    "20 MB without a line break": lambda: _PLAIN + b"a" * 20_000_000 + END,
    "20 MB header without a line break": lambda: b"a" * 20_000_000 + b"\r\n\r\nbody" + END,
    "20 MB of empty lines": lambda: _PLAIN + b"\r\n" * 10_000_000 + END.removeprefix(b"\r\n"),
    "20 MB of dots": lambda: _PLAIN + b"..\r\n" * 5_000_000 + END.removeprefix(b"\r\n"),
    "20 MB of bare line feeds": lambda: _PLAIN + b"\n" * 20_000_000 + END,
    "20 MB of small parts": lambda: _MIXED + _PART * (20_000_000 // len(_PART)) + b"--=_b--" + END,
    "10 MB of links": links,
    "50 zip bombs": bombs,
    "20 MB of boundaries": lambda: _MIXED + b"--=_b\r\n" * 2_857_142 + b"--=_b--" + END,
}
"""What is sent to hold the event loop up, by name: makes the bytes that come after 354, with the dot at the end."""

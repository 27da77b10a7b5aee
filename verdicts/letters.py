"""Letters for tests: plain ones in a line, malformed ones by name."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from email.message import EmailMessage
from email.policy import SMTP

from verdicts.mail import NOBODY, Envelope, Mail, Profile, Recipient, Session

Attachment = tuple[str, bytes] | tuple[str, bytes, str]
"""File name, bytes, and the declared type where it is another than "application/octet-stream"."""
_PIECE = 65_536


def letter(
    text: str = "Good morning.\r\n",
    *,
    html: str | None = None,
    subject: str = "A letter",
    sender: str = "Ann <ann@sender.example>",
    headers: Iterable[tuple[str, str]] = (),
    attachments: Iterable[Attachment] = (),
) -> bytes:
    """A well-formed message with CRLF line ends. `headers` stand on top, as they are given: hostile ones too."""
    message = EmailMessage(policy=SMTP)
    message["From"], message["To"] = sender, "Bob <bob@acme.example>"
    message["Subject"], message["Message-ID"] = subject, "<1@sender.example>"
    message["Date"] = "Mon, 02 Nov 2026 10:00:00 +0000"
    message.set_content(text)
    if html is not None:
        message.add_alternative(html, subtype="html")
    for filename, content, *declared in attachments:
        maintype, _, subtype = (declared or ["application/octet-stream"])[0].partition("/")
        message.add_attachment(content, maintype=maintype, subtype=subtype, filename=filename)
    return "".join(f"{name}: {value}\r\n" for name, value in headers).encode() + message.as_bytes()


@dataclass(frozen=True)
class BytesContent:
    """A message that lies in memory."""

    content: bytes

    @property
    def size(self) -> int:
        """Bytes in all."""
        return len(self.content)

    def pieces(self) -> Iterator[bytes]:
        """The bytes, 64 KiB at a time."""
        for start in range(0, len(self.content), _PIECE):
            yield self.content[start : start + _PIECE]

    def view(self) -> memoryview:
        """All bytes."""
        return memoryview(self.content)


def mail_of(
    content: bytes,
    *,
    session: Session | None = None,
    sender: str = "ann@sender.example",
    recipients: Iterable[str] = ("bob@acme.example",),
    tenant: str = "acme",
    profile: Profile = NOBODY,
    proven: bool = True,
) -> Mail:
    """`content` as it would come from Exchange Online."""
    peer = Session(id="1", peer="40.107.0.1", helo="eur01.outbound.protection.outlook.com", network="exchange-online")
    envelope = Envelope(sender, tuple(map(Recipient, recipients)))
    return Mail(session or peer, envelope, BytesContent(content), tenant, profile, proven=proven)


MALFORMED: Mapping[str, bytes] = {
    "empty": b"",
    "only a line end": b"\r\n",
    "no header": b"\r\nbody\r\n",
    "no blank line": b"Subject: x\r\nFrom: y\r\n",
    "no colon": b"Subject\r\nFrom\r\n\r\nbody",
    "begins folded": b" folded\r\n\tagain\r\n\r\nbody",
    "bare line feeds": b"Subject: x\nContent-Type: text/plain\n\nbody\n",
    "bare carriage returns": b"Subject: x\rFrom: y\r\rbody\r",
    "NUL": b"Sub\0ject: \0\r\n\r\n\0body\0",
    "not UTF-8": b"Subject: \xff\xfe\r\nFrom: \x80@\xff\r\n\r\n\xff\xfe\x00",
    "every byte": bytes(range(256)) * 8,
    "long header line": b"Subject: " + b"x" * 1_000_000 + b"\r\n\r\nbody",
    "many fields": b"X: y\r\n" * 20_000 + b"\r\nbody",
    "long body line": b"Subject: x\r\n\r\n" + b"y" * 1_000_000,
    "multipart without boundary": b"Content-Type: multipart/mixed\r\n\r\n--x\r\n\r\nbody\r\n--x--\r\n",
    "multipart without end": b'Content-Type: multipart/mixed; boundary="x"\r\n\r\n--x\r\n\r\nbody',
    "multipart of itself": b'Content-Type: multipart/mixed; boundary="x"\r\n\r\n--x' * 200,
    "deep messages": b"Content-Type: message/rfc822\r\n\r\n" * 300,
    "many parts": b"Content-Type: multipart/mixed; boundary=x\r\n\r\n" + b"--x\r\n\r\n\r\n" * 5_000,
    "bad base64": b"Content-Transfer-Encoding: base64\r\n\r\n=A=\xff!A==B" + b"=" * 1_000,
    "bad quoted-printable": b"Content-Transfer-Encoding: quoted-printable\r\n\r\n=\r=G=\n=4",
    "encoded nothing": b"Content-Type: image/png; name=a\r\nContent-Transfer-Encoding: x-uuencode\r\n\r\n"
    + b" \r\n" * 400_000,
    "bad charset": b"Content-Type: text/plain; charset=\xff; name*=no'such'%zz\r\nSubject: =?no?q?=?=\r\n\r\nbody",
    "bad report": b"X-Forefront-Antispam-Report: CIP:999.1.1.1;SCL:x;H:\x00;;:;PTR\r\n\r\nbody",
}
"""Letters that nobody should send; an engine answers or raises `Unscanned` on each of them."""

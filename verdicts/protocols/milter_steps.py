"""What a milter is told of a message, step by step, as a mail server tells it while the message comes in.

The client is who handed the message to Microsoft; where Microsoft does not say so, it is our own TCP peer.
"""

import ipaddress
import re
from collections.abc import Generator, Iterator, Mapping
from typing import NamedTuple

from verdicts.contract import Unscanned
from verdicts.mail import Envelope, Mail
from verdicts.protocols.milter import CHUNK, Offer, Steps, words

_NAME = re.compile(rb"[!-9;-~]+")
_DATA_SINCE = 4
"""The version that brought the DATA step."""


class Stage(NamedTuple):
    """A kind of step, and by which flags a filter says that it skips it, or does not answer it."""

    command: bytes
    skipped: Steps = Steps(0)
    silent: Steps = Steps(0)


CONNECT = Stage(b"C", Steps.NO_CONNECT, Steps.SILENT_CONNECT)
HELO = Stage(b"H", Steps.NO_HELO, Steps.SILENT_HELO)
MAIL = Stage(b"M", Steps.NO_MAIL, Steps.SILENT_MAIL)
RCPT = Stage(b"R", Steps.NO_RCPT, Steps.SILENT_RCPT)
DATA = Stage(b"T", Steps.NO_DATA, Steps.SILENT_DATA)
HEADER = Stage(b"L", Steps.NO_HEADERS, Steps.SILENT_HEADERS)
END_OF_HEADER = Stage(b"N", Steps.NO_EOH, Steps.SILENT_EOH)
BODY = Stage(b"B", Steps.NO_BODY, Steps.SILENT_BODY)
END = Stage(b"E")


class Step(NamedTuple):
    """One step: its data, and the macros that go ahead of it."""

    stage: Stage
    data: bytes = b""
    macros: Mapping[str, str] = {}


def steps(mail: Mail, offer: Offer, hostname: str) -> Iterator[Step]:
    """All steps to the last one. Raises `Unscanned` at a header field that is longer than filters take."""
    queue = {"i": mail.session.id}
    yield from _client(mail, hostname)
    yield from _envelope(mail.envelope, queue)
    if offer.version >= _DATA_SINCE:
        yield Step(DATA, macros=queue)
    body = yield from _header(mail, leading_space=bool(offer.steps & Steps.LEADING_SPACE))
    yield Step(END_OF_HEADER, macros=queue)
    view = mail.content.view()
    for start in range(body, len(view), CHUNK):
        yield Step(BODY, bytes(view[start : start + CHUNK]))
    yield Step(END, macros=queue)


def _client(mail: Mail, hostname: str) -> Iterator[Step]:
    origin, session = mail.origin, mail.session
    known = origin.address is not None
    address = origin.address if known else session.peer
    host = (origin.ptr if known else None) or f"[{address}]"
    client = {"{client_name}": host, "{client_addr}": address or "", "{client_ptr}": host}
    ours = {"j": hostname, "{daemon_name}": "sluice", "v": "Sluice"}
    yield Step(CONNECT, words(host) + _place(address or ""), {**ours, "_": f"{host} [{address}]", **client})
    tls = session.tls
    secured = {"{tls_version}": tls.version, "{cipher}": tls.cipher} if tls else {}
    yield Step(HELO, words((origin.helo if known else session.helo) or "unknown"), secured)


def _place(address: str) -> bytes:
    """Family, port 0 and address; a family of its own says that there is none."""
    try:
        version = ipaddress.ip_address(address).version
    except ValueError:
        return b"U"
    return b"4\0\0" + words(address) if version == 4 else b"6\0\0" + words(address)


def _envelope(envelope: Envelope, queue: Mapping[str, str]) -> Iterator[Step]:
    sender = {"{mail_mailer}": "smtp", "{mail_host}": _domain(envelope.sender), "{mail_addr}": envelope.sender}
    yield Step(MAIL, words(f"<{envelope.sender}>"), {**queue, **sender})
    for recipient in envelope.recipients:
        address = recipient.address
        macros = {"{rcpt_mailer}": "smtp", "{rcpt_host}": _domain(address), "{rcpt_addr}": address}
        yield Step(RCPT, words(f"<{address}>"), macros)


def _domain(address: str) -> str:
    return address.rpartition("@")[2]


def _header(mail: Mail, *, leading_space: bool) -> Generator[Step, None, int]:
    """The fields; returns where the body begins: at the latest with the first line that is none, as mail servers do."""
    for field in mail.fields:
        if not _NAME.fullmatch(field.name):
            return field.start
        value = field.value.replace(b"\r\n", b"\n")  # a filter folds by LF
        data = words(field.name, value if leading_space else value.lstrip(b" \t"))
        if len(data) > CHUNK:
            raise Unscanned("a header field is longer than milters take")
        yield Step(HEADER, data)
    return mail.fields.end

"""Files within files that are no archives: Office's compound files, TNEF, OneNote, PDF, RTF, messages, HTML.

Sources: [MS-OLEDS] 2.3.6 (packages), [MS-OXMSG] 2.2.2 (attachments of a .msg), [MS-ONESTORE] 2.6.13 (embedded files),
[MS-OXTNEF]; ISO 32000-1 7.11.4 (files in a PDF).
"""

import base64
import io
import re
import zlib
from collections.abc import Iterator
from typing import Any

import olefile
import tnefparse
from oletools.oleobj import OleNativeStream
from oletools.rtfobj import RtfObjParser
from pypdf import PdfReader
from pypdf.generic import DictionaryObject

from verdicts.decoding import decoded_pieces
from verdicts.fields import Fields
from verdicts.files.active import of_pdf
from verdicts.files.archives import ENCRYPTED, Entry
from verdicts.files.budget import Budget
from verdicts.files.kinds import UUENCODED, kind_of, text_of
from verdicts.reading import Reading

_ONENOTE_FILE = bytes.fromhex("e716e3bd65261145a4c48d4d0b7a9eac")
_ONENOTE_HEADER = 36
_POWERPOINT_OBJECT = re.compile(rb"([\x00\x10])\x00\x11\x10([\s\S]{4})")
_BLOB = re.compile(r"[A-Za-z0-9+/]{400,}={0,2}")
_HTML_CHARACTERS = 20_000_000


def ole_files(data: bytes, budget: Budget) -> Iterator[Entry]:
    """Packages and Outlook's attachments are files by their names; other streams are Office's own business."""
    with olefile.OleFileIO(io.BytesIO(data)) as ole:
        if ole.exists("EncryptedPackage"):
            yield Entry("EncryptedPackage", b"", ENCRYPTED)
        if ole.exists("PowerPoint Document"):
            yield from _powerpoint_objects(ole.openstream("PowerPoint Document").read(), budget)
        for path in ole.listdir():
            budget.member()
            if (entry := _ole_file(ole, path)) is not None:
                budget.spend(len(entry.data))
                yield entry


def _powerpoint_objects(data: bytes, budget: Budget) -> Iterator[Entry]:
    """Objects in slides are compound files again, mostly compressed ([MS-PPT] 2.10.34, ExOleObjStg)."""
    for found in _POWERPOINT_OBJECT.finditer(data):
        budget.member()
        content = data[found.end() : found.end() + int.from_bytes(found[2], "little")]
        if found[1] == b"\x10":
            content = zlib.decompressobj().decompress(content[4:], budget.limits.total)
        budget.spend(len(content))
        yield Entry("", content)


def _ole_file(ole: olefile.OleFileIO, path: list[str]) -> Entry | None:
    name = path[-1]
    if name.lower().endswith("ole10native"):
        package = OleNativeStream(ole.openstream(path).read())
        return Entry(package.filename or package.src_path or "", package.data or b"", within="package")
    if name.startswith("__substg1.0_3701") and name.endswith("0102"):
        return Entry(_outlook_name(ole, path[:-1]), ole.openstream(path).read())
    if name in ("Package", "CONTENTS"):  # an Office file, or a PDF, as an object
        return Entry(name, ole.openstream(path).read())
    return None


def _outlook_name(ole: olefile.OleFileIO, folder: list[str]) -> str:
    for stream in ("3707001F", "3704001F"):
        path = [*folder, f"__substg1.0_{stream}"]
        if ole.exists(path):
            return str(ole.openstream(path).read().decode("utf-16-le", "replace"))
    return ""


def tnef_files(data: bytes, budget: Budget) -> Iterator[Entry]:
    """Attachments of a winmail.dat."""
    for attachment in tnefparse.TNEF(data, do_checksum=False).attachments:
        budget.member()
        budget.spend(len(attachment.data))
        name = attachment.long_filename() or ""
        yield Entry(name.rstrip("\0") if isinstance(name, str) else name.rstrip(b"\0"), bytes(attachment.data))


def onenote_files(data: bytes, budget: Budget) -> Iterator[Entry]:
    """Embedded files, whose names stand elsewhere."""
    start = data.find(_ONENOTE_FILE)
    while start >= 0:
        budget.member()
        size = int.from_bytes(data[start + 16 : start + 24], "little")
        content = data[start + _ONENOTE_HEADER : start + _ONENOTE_HEADER + size]
        budget.spend(len(content))
        yield Entry("", content, "" if len(content) == size else "damaged: an embedded file is cut off")
        start = data.find(_ONENOTE_FILE, start + 16)


def pdf_files(data: bytes, budget: Budget) -> Iterator[Entry]:
    """Files embedded in a PDF; those of one that needs a password are not seen."""
    reader = PdfReader(io.BytesIO(data))
    if reader.is_encrypted and not reader.decrypt(""):
        yield Entry("", b"", ENCRYPTED)
        return
    if not any(sight.name == "PDF_EMBEDDED_FILE" for sight in of_pdf(data)):
        return  # to read all objects of a large document takes seconds
    for number in {*reader.xref_objStm, *(number for table in reader.xref.values() for number in table)}:
        budget.spend(0)
        found = reader.get_object(number)
        if isinstance(found, DictionaryObject) and "/EF" in found:
            budget.member()
            yield from _pdf_file(found, budget)


def _pdf_file(specification: DictionaryObject, budget: Budget) -> Iterator[Entry]:
    """A file may be there in versions for several systems, and readers choose."""
    name = str(specification.get("/UF") or specification.get("/F") or "")
    versions: Any = specification["/EF"].get_object()
    for stream in {id(one.get_object()): one.get_object() for one in versions.values()}.values():
        content = stream.get_data()
        budget.spend(len(content))
        yield Entry(name, content)


def rtf_files(data: bytes, budget: Budget) -> Iterator[Entry]:
    """OLE objects of an RTF."""
    parser = RtfObjParser(data)
    parser.parse()
    for found in parser.objects:
        budget.member()
        content = found.olepkgdata or found.oledata or found.rawdata or b""
        budget.spend(len(content))
        yield Entry(found.filename or "", content)


def mail_files(data: bytes, budget: Budget) -> Iterator[Entry]:
    """The parts of a message."""
    view = memoryview(data)
    structure = Reading(view, Fields.parse(view)).structure()
    for part in structure.parts:
        budget.member()
        content = part.decoded(budget.limits.total)
        budget.spend(len(content))
        yield Entry(part.filename or "", content)
    if structure.truncated:
        yield Entry("", b"", "a message of too many parts")


def html_files(data: bytes, budget: Budget) -> Iterator[Entry]:
    """What a script would make of the long base64 strings in it, where that is a file."""
    for found in _BLOB.finditer(text_of(data[:_HTML_CHARACTERS])):
        budget.member()
        blob = found.group()
        content = base64.b64decode(blob[: len(blob) // 4 * 4])
        budget.spend(len(content))
        if kind_of(content) not in ("", "png", "jpeg", "gif", "webp", "svg", "xml"):
            yield Entry("", content)


def uuencoded_files(data: bytes, budget: Budget) -> Iterator[Entry]:
    """Files in text."""
    begins = list(UUENCODED.finditer(data))
    for begin, behind in zip(begins, [*(one.start() for one in begins[1:]), len(data)], strict=True):
        budget.member()
        end = data.find(b"\n====" if begin[1] else b"\nend", begin.end() - 1, behind)
        encoding = "base64" if begin[1] else "uuencode"
        content = b"".join(decoded_pieces(data, begin.end(), behind if end < 0 else end, encoding))
        budget.spend(len(content))
        yield Entry(begin[2], content)


READERS = {
    "ole": ole_files, "msi": ole_files, "tnef": tnef_files, "onenote": onenote_files, "pdf": pdf_files,
    "rtf": rtf_files, "mail": mail_files, "html": html_files, "svg": html_files, "hta": html_files,
    "uu": uuencoded_files,
}  # fmt: skip

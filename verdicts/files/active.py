"""What runs or leads somewhere in files that are not Office's: PDF, HTML, SVG, scripts, shortcuts, calendars.

Sources: ISO 32000-1 7.3.5 (names), 7.5.7 (object streams), 12.6.4 (actions); [MS-SHLLINK] 2.1 to 2.4; RFC 5545 3.8.1.1.
"""

import io
import re
from collections.abc import Iterator

from pypdf import PdfReader
from pypdf.generic import IndirectObject, StreamObject

from verdicts.files.kinds import text_of
from verdicts.files.sights import Sight

_TEXT_BYTES = 5_000_000
_SCRIPT_BYTES = 1_000_000
_PDF_NAMES = {
    b"JavaScript": "PDF_JAVASCRIPT", b"JS": "PDF_JAVASCRIPT", b"Launch": "PDF_LAUNCH", b"OpenAction": "PDF_OPEN_ACTION",
    b"AA": "PDF_OPEN_ACTION", b"EmbeddedFile": "PDF_EMBEDDED_FILE", b"EmbeddedFiles": "PDF_EMBEDDED_FILE",
    b"EF": "PDF_EMBEDDED_FILE",
}  # fmt: skip
_PDF_NAME = re.compile(rb"/([A-Za-z#][A-Za-z0-9#]{1,60})(?![A-Za-z0-9#])")
_HEX = re.compile(rb"#([0-9A-Fa-f]{2})")
_DECODES = re.compile(r"\batob\s*\(|fromCharCode|Uint8Array|decodeURIComponent\s*\(|unescape\s*\(", re.IGNORECASE)
_SAVES = re.compile(
    r"createObjectURL|msSaveOrOpenBlob|msSaveBlob|\bnew\s+Blob\b|\.download\s*=|download=[\"']", re.IGNORECASE
)
_PASSWORD = re.compile(r"<input\b[^<>]{0,2000}?\btype\s*=\s*[\"']?password", re.IGNORECASE)
_SVG_RUNS = re.compile(r"<(?:\w+:)?script\b|\bon[a-z]{3,20}\s*=|javascript:|<(?:\w+:)?foreignObject\b", re.IGNORECASE)
_SCRIPT = re.compile(
    r"\bWScript\s*\.\s*(?:Shell|CreateObject)|\bActiveXObject\b|\bCreateObject\s*\(|\bpowershell(?:\.exe)?[\"']?\s+[-/]"
    r"|\bInvoke-(?:Expression|WebRequest)\b|\bFromBase64String\b|\bIEX\s*\(|^[ \t]*@echo off\b|\bmshta(?:\.exe)?\s+\S",
    re.IGNORECASE | re.MULTILINE,
)
_CALENDAR_LINK = re.compile(
    r"^(ATTACH|URL|DESCRIPTION|LOCATION|X-ALT-DESC)\b[^\n]*?(https?://[^\s\"<>\\]{1,200})", re.IGNORECASE | re.MULTILINE
)


def of_pdf(data: bytes) -> Iterator[Sight]:
    """Names that are written plainly, escaped, or within object streams."""
    found = _pdf_names(data)
    for stream in _object_streams(data):
        found |= _pdf_names(stream)
    yield from (Sight(name) for name in sorted(found))


def _pdf_names(data: bytes) -> set[str]:
    """Only names with "#" need to be decoded, and names without one are searched as they are."""
    names = {match.group(1) for match in _PDF_NAME.finditer(data)}
    plain = (_HEX.sub(lambda match: bytes.fromhex(match.group(1).decode()), name) for name in names)
    return {_PDF_NAMES[name] for name in plain if name in _PDF_NAMES}


def _object_streams(data: bytes) -> Iterator[bytes]:
    if b"ObjStm" not in _HEX.sub(lambda match: bytes.fromhex(match.group(1).decode()), data):
        return
    reader = PdfReader(io.BytesIO(data))
    if reader.is_encrypted:
        reader.decrypt("")
    for number in {stream for stream, _ in reader.xref_objStm.values()}:
        stream = reader.get_object(IndirectObject(number, 0, reader))
        if isinstance(stream, StreamObject):
            yield stream.get_data()


def of_html(data: bytes) -> Iterator[Sight]:
    """An HTML file, which a browser opens with scripts on, unlike the HTML of a message."""
    text = text_of(data[:_TEXT_BYTES])
    if _DECODES.search(text) and _SAVES.search(text):
        yield Sight("HTML_SMUGGLING", "a script builds a file and saves it")
    if _PASSWORD.search(text):
        yield Sight("HTML_PASSWORD", "asks for a password")


def of_svg(data: bytes) -> Iterator[Sight]:
    """An SVG image."""
    if found := _SVG_RUNS.search(text_of(data[:_TEXT_BYTES])):
        yield Sight("SVG_SCRIPT", found.group())


def of_text(data: bytes) -> Iterator[Sight]:
    """Any text: whether it speaks to Windows' script hosts. Scripts are short, and what is not known may be large."""
    if found := _SCRIPT.search(text_of(data[:_SCRIPT_BYTES])):
        yield Sight("SCRIPT", found.group())


def of_calendar(data: bytes) -> Iterator[Sight]:
    """Links and attachments of a meeting request; folded lines are unfolded first (RFC 5545 section 3.1)."""
    text = re.sub(r"\r?\n[ \t]", "", data[:_TEXT_BYTES].decode("utf-8", "replace"))
    for found in _CALENDAR_LINK.finditer(text):
        yield Sight("CALENDAR_ATTACHMENT" if found[1].upper() == "ATTACH" else "CALENDAR_LINK", found[2])


def of_shortcut(data: bytes) -> Iterator[Sight]:
    """A .lnk file, with the arguments of what it starts."""
    yield Sight("SHORTCUT", _arguments(data))


def _arguments(data: bytes) -> str:
    flags = int.from_bytes(data[20:24], "little")
    at = 76
    if flags & 0x1:  # LinkTargetIDList
        at += 2 + int.from_bytes(data[at : at + 2], "little")
    if flags & 0x2:  # LinkInfo
        at += int.from_bytes(data[at : at + 4], "little")
    width = 2 if flags & 0x80 else 1  # IsUnicode
    text = ""
    for flag in (0x4, 0x8, 0x10, 0x20):  # name, relative path, working folder, arguments
        if flags & flag:
            size = int.from_bytes(data[at : at + 2], "little") * width
            text = data[at + 2 : at + 2 + size].decode("utf-16-le" if width == 2 else "latin-1", "replace")
            at += 2 + size
    return text if flags & 0x20 else ""

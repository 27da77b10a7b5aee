"""What Office documents do besides being read: macros, fields that start programs, links.

Sources: [MS-OVBA]; ECMA-376 part 2, 9.3 (relationships) and part 1, 17.16 (fields); oletools' mraptor says yes or no.
"""

import re
from collections.abc import Iterator
from xml.etree import ElementTree as ET

import olefile
from oletools.mraptor import MacroRaptor
from oletools.olevba import VBA_Parser

from verdicts.files.kinds import text_of
from verdicts.files.sights import Sight

_REMOTE = re.compile(
    r"\s*(?:https?|ftp|mhtml|ms-\w+|search-ms|file:/*\\\\|file:/{2,3}[^/:]+\.|x-usc):|\s*\\\\|\s*//", re.IGNORECASE
)
_FILE_SHARE = re.compile(r"\s*file:(?:/{2}[^/:]|/{4,5}|\\\\)", re.IGNORECASE)
_FIELD = re.compile(rb"<(?:\w+:)?instrText\b[^<>]*>([^<]*)|<(?:\w+:)?fldSimple\b[^<>]*?instr=[\"']([^\"']*)")
_DDE = re.compile(rb"\bDDE(?:AUTO)?\b", re.IGNORECASE)
_DDE_LINK = re.compile(rb"<(?:\w+:)?ddeLink\b")
_OLE_DDE = re.compile(rb"\x13\s{0,20}DDE(?:AUTO)?\s|\x13\0(?:\s\0){0,20}D\0D\0E\0(?:A\0U\0T\0O\0)?\s\0", re.IGNORECASE)
_EQUATION = "Equation Native".encode("utf-16-le")
_AUTOMATIC_SHEET = re.compile(rb"_xlnm\.Auto_(?:Open|Close)|name=[\"']Auto_(?:Open|Close)", re.IGNORECASE)
_HARMLESS_LINKS = ("/hyperlink", "/image", "/video", "/audio", "/media")
_RELATIONS_BYTES = 5_000_000


def of_ole(data: bytes) -> Iterator[Sight]:
    """A compound file: a .doc, .xls, .ppt, or the vbaProject.bin of a newer document. Raises what oletools raise."""
    if _OLE_DDE.search(data):
        yield Sight("DDE", "a field asks another program for data")
    if _EQUATION in data:
        yield Sight("EQUATION_OBJECT", "for Equation Editor 3, which is known for what it can be made to run")
    if olefile.isOleFile(data):
        yield from _macros(data)


def _macros(data: bytes) -> Iterator[Sight]:
    parser = VBA_Parser("file", data=data)
    try:
        if not parser.detect_macros():
            return
        code = "\n".join(str(code) for _, _, _, code in parser.extract_all_macros())
    finally:
        parser.close()
    raptor = MacroRaptor(code)
    raptor.scan()
    if raptor.suspicious:
        yield Sight("MACRO_AUTOMATIC", f"flags {raptor.get_flags()}: {', '.join(raptor.matches)}")
    else:
        yield Sight("MACRO")


def of_part(path: str, data: bytes) -> Iterator[Sight]:
    """One part of an Office Open XML package."""
    if path.endswith(".rels"):
        yield from _relations(data[:_RELATIONS_BYTES])
    elif "/macrosheets/" in path:
        yield Sight("MACRO", "an Excel 4.0 macro sheet")
    elif path.endswith(".xml"):
        fields = b"".join(one or other for one, other in _FIELD.findall(data))
        if _DDE.search(fields) or _DDE_LINK.search(data):
            yield Sight("DDE", "a field or link asks another program for data")
        if _AUTOMATIC_SHEET.search(data):
            yield Sight("MACRO_AUTOMATIC", "an Excel 4.0 macro that runs by itself")


def _relations(data: bytes) -> Iterator[Sight]:
    for relation in ET.fromstring(data):  # noqa: S314 - in a worker, and expat bounds what entities make
        kind, target = relation.get("Type", ""), relation.get("Target", "")
        if relation.get("TargetMode", "").lower() != "external" or kind.endswith(_HARMLESS_LINKS):
            continue
        if _REMOTE.match(target) or _FILE_SHARE.match(target):
            name = "TEMPLATE_INJECTION" if kind.endswith("/attachedTemplate") else "EXTERNAL_OBJECT"
            yield Sight(name, f"{kind.rpartition('/')[2]} from {target}")


def of_rtf(data: bytes) -> Iterator[Sight]:
    """An RTF document."""
    if re.search(rb"\\\*?\\template\s+(?:https?:|\\\\\\\\|//)", data, re.IGNORECASE):
        yield Sight("TEMPLATE_INJECTION", "a template from elsewhere")
    if re.search(rb"\\fldinst\b[^}]{0,200}\bDDE(?:AUTO)?\b", data, re.IGNORECASE):
        yield Sight("DDE", "a field asks another program for data")
    if b"4571756174696f6e2e33" in data.lower() or b"equation.3" in data.lower():
        yield Sight("EQUATION_OBJECT", "for Equation Editor 3, which is known for what it can be made to run")


def of_xml(data: bytes) -> Iterator[Sight]:
    """A document of Word or Excel 2003 as one XML file, or as MHTML: macros lie in it as compressed "ActiveMime"."""
    if b"ActiveMime" in data or b"QWN0aXZlTWltZ" in data or "editdata.mso" in text_of(data[:1_000_000]):
        yield Sight("MACRO", "in an ActiveMime container")

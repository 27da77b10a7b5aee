"""What a file is by its content, as far as it matters to a mail gateway. No more is told than its first bytes show.

Sources: the formats' own documents; for Windows formats [MS-SHLLINK], [MS-ONESTORE] 2.3.1, [MS-CFB] 2.2, [MS-OXTNEF]
2.1.1. A library of magic numbers was tried: for a Windows program it says ".zap".
"""

import re

_MAGIC = (
    (0, b"MZ", "exe"),
    (0, b"\x7fELF", "elf"),
    (0, b"\xfe\xed\xfa\xce", "macho"),
    (0, b"\xfe\xed\xfa\xcf", "macho"),
    (0, b"\xce\xfa\xed\xfe", "macho"),
    (0, b"\xcf\xfa\xed\xfe", "macho"),
    (0, b"\xca\xfe\xba\xbe", "class"),
    (0, b"dex\n", "dex"),
    (0, b"L\0\0\0\x01\x14\x02\0", "lnk"),
    (0, b"ITSF", "chm"),
    (0, b"?_\x03\0", "hlp"),
    (0, b"conectix", "vhd"),
    (0, b"vhdxfile", "vhdx"),
    (0, b"Windows Registry Editor", "reg"),
    (0, b"REGEDIT4", "reg"),
    (0, b"regf", "hive"),
    (0, b"PK\x03\x04", "zip"),
    (0, b"PK\x05\x06", "zip"),
    (0, b"PK\x07\x08PK\x03\x04", "zip"),
    (0, b"PK00PK\x03\x04", "zip"),
    (0, b"7z\xbc\xaf\x27\x1c", "7z"),
    (0, b"Rar!\x1a\x07", "rar"),
    (0, b"MSCF", "cab"),
    (0, b"xar!", "xar"),
    (0, b"!<arch>\n", "ar"),
    (0, b"070701", "cpio"),
    (0, b"070702", "cpio"),
    (0, b"070707", "cpio"),
    (0, b"\xc7\x71", "cpio"),
    (0, b"\x71\xc7", "cpio"),
    (2, b"-lh", "lha"),
    (0, b"\x60\xea", "arj"),
    (7, b"**ACE**", "ace"),
    (257, b"ustar", "tar"),
    (0x8001, b"CD001", "iso"),
    (0x8001, b"BEA01", "udf"),
    (0, b"\x1f\x8b", "gz"),
    (0, b"BZh", "bz2"),
    (0, b"\xfd7zXZ\0", "xz"),
    (0, b"\x5d\0\0", "lzma"),
    (0, b"\x28\xb5\x2f\xfd", "zst"),
    (0, b"\x04\x22\x4d\x18", "lz4"),
    (0, b"LZIP", "lz"),
    (0, b"\x1f\x9d", "z"),
    (0, b"SZDD\x88\xf0\x27\x33", "szdd"),
    (0, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "ole"),
    (0, b"\xe4\x52\x5c\x7b\x8c\xd8\xa7\x4d\xae\xb1\x53\x78\xd0\x29\x96\xd3", "onenote"),
    (0, b"\x78\x9f\x3e\x22", "tnef"),
    (0, b"{\\rt", "rtf"),
    (0, b"\x89PNG\r\n", "png"),
    (0, b"\xff\xd8\xff", "jpeg"),
    (0, b"GIF8", "gif"),
    (0, b"II*\0", "tiff"),
    (0, b"MM\0*", "tiff"),
    (8, b"WEBP", "webp"),
    (4, b"ftyp", "mp4"),
    (0, b"ID3", "mp3"),
    (0, b"(This file must be converted with BinHex", "hqx"),
    (0, b"\0\5\x16\0", "applesingle"),
    (0, b"#!", "shell"),
)
_MAIL = (
    r"(?:From \S[^\n]{0,300}\n)?(?:Received|From|To|Subject|Date|Return-Path|Delivered-To|MIME-Version|Message-ID"
    r"|Content-Type|Reply-To|DKIM-Signature|ARC-[\w-]{1,40}|X-[\w-]{1,60}):[^\n]{0,4000}\n(?:[ \t]|[\w-]{1,60}:)"
)
_TEXTS = tuple(
    (re.compile(pattern, re.IGNORECASE), kind)
    for pattern, kind in (
        (r"\s*BEGIN:VCALENDAR", "calendar"),
        (r"\s*\[(?:InternetShortcut|\{000214A0)", "url"),
        (r"[\s\S]*?<hta:application", "hta"),
        (r"\s*(?:<\?[^>]{0,500}>\s*)?<(?:job|package)\b", "wsf"),
        (_MAIL, "mail"),
    )
)
_MARKUP = re.compile(
    r"[\s\S]{0,4000}?<(?:(!doctype\s+html|html|head|body|script|iframe|meta)|(?:\w{1,20}:)?svg)\b", re.IGNORECASE
)
UUENCODED = re.compile(rb"begin(?<![^\n]begin)(-base64)?[ \t]+[0-7]{3,4}[ \t]+(\S[^\r\n]{0,999})\r?\n")
"""How a file begins that stands in text, at the beginning of a line; Outlook shows it as an attachment."""
_ZIP_END = b"PK\5\6"
_ZIP_END_BYTES = 65_557  # what it takes at most, its comment included (APPNOTE.TXT 4.3.16)
_MSI_CLASS = b"\x84\x10\x0c\0\0\0\0\0\xc0\0\0\0\0\0\0\x46"
_TEXT_HEAD = 8_192


def kind_of(data: bytes) -> str:
    """A word such as "exe", "zip", "ole"; empty for what is not known, which is most of all plain text."""
    kind = kind_by_magic(data)
    if kind:
        return _refined(kind, data)
    if b"%PDF-" in data[:1_024]:  # Acrobat is as patient (ISO 32000-1 annex H, note 13)
        return "pdf"
    if data[-512:].startswith(b"conectix"):
        return "vhd"
    return _kind_of_text(text_of(data[:_TEXT_HEAD]))


_ZIPS = ("zip", "ooxml", "odf", "jar")
_BY_SUFFIX = {
    "html": "html", "htm": "html", "shtml": "html", "xhtml": "html", "xht": "html", "svg": "svg", "eml": "mail",
    "mht": "mail", "mhtml": "mail", "ics": "calendar", "hta": "hta", "wsf": "wsf", "tar": "tar",
}  # fmt: skip


def kind_of_file(suffix: str, data: bytes) -> str:
    """By content; for text that does not tell, by the name's suffix, as that is what opens it.

    A zip archive may have anything in front of it, and is opened nevertheless when it is called so.
    """
    kind = kind_of(data)
    if suffix == "zip" and kind not in _ZIPS and data.rfind(_ZIP_END, -min(len(data), _ZIP_END_BYTES)) >= 0:
        return _kind_of_zip(data)
    if suffix == "uu" and UUENCODED.search(data):
        return "uu"
    return _BY_SUFFIX.get(suffix, kind) if kind in ("", "xml") else kind


def opened_as(suffix: str, data: bytes) -> str:
    """What a program takes it for that goes by the name, however it begins; empty when there is none.

    Browsers show whatever is called so as HTML; Acrobat wants "%PDF-" somewhere at the beginning.
    """
    if suffix == "pdf" and b"%PDF-" in data[:1_024]:
        return "pdf"
    return _BY_SUFFIX.get(suffix, "")


def kind_by_magic(data: bytes) -> str:
    """The same of binary files alone, in microseconds: fit for the relay's own process."""
    return next((kind for offset, magic, kind in _MAGIC if data.startswith(magic, offset)), "")


def _refined(kind: str, data: bytes) -> str:
    if kind == "zip":
        return _kind_of_zip(data)
    if kind == "ole" and _MSI_CLASS in data[:1_000_000]:
        return "msi"
    return kind


def _kind_of_zip(data: bytes) -> str:
    """Office's and Java's by the names of their members, which stand in the headers as they are."""
    if b"[Content_Types].xml" in data:
        return "ooxml"
    if data.startswith(b"mimetypeapplication/vnd.oasis", 30):
        return "odf"
    return "jar" if b"META-INF/MANIFEST.MF" in data else "zip"


def _kind_of_text(text: str) -> str:
    for pattern, kind in _TEXTS:
        if pattern.match(text):
            return kind
    markup = _MARKUP.match(text)
    if markup:
        return "html" if markup[1] else "svg"
    return "xml" if text.lstrip().startswith("<?xml") else ""


def text_of(data: bytes) -> str:
    """Text as Windows would read it: by its byte order mark, else UTF-16 when every other byte is NUL, else bytes."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16", "replace")
    if data[1:200:2].count(0) > 50:
        return data.decode("utf-16-le", "replace")
    return data.removeprefix(b"\xef\xbb\xbf").decode("latin-1")

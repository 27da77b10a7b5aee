"""What a file's name says, and what it hides. Names come from outside: any length, any character, any lie."""

import re
import unicodedata
from collections.abc import Iterator

NAME_CHARACTERS = 255
_BIDI = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_UNSEEN = re.compile("[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff]")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_TRAVERSAL = re.compile(r"(?:^|[/\\])\.\.(?:[/\\]|$)|^[/\\]|^[A-Za-z]:[/\\]")
_GAP = re.compile(r"\s{10,}")

BLOCKED = (
    "ace", "ani", "apk", "app", "application", "appref-ms", "appx", "appxbundle", "arj", "bas", "bat", "chm",
    "class", "cmd", "com", "cpl", "deb", "dex", "diagcab", "dll", "dmg", "elf", "exe", "gadget", "hive", "hlp",
    "hta", "img", "iqy", "iso", "jar", "jnlp", "js", "jse", "kext", "lib", "library", "library-ms", "lnk", "macho",
    "msc", "msi", "msix", "msp", "mst", "msu", "pif", "ppa", "ppam", "ps1", "ps1xml", "ps2", "psc1", "psm1", "rdp",
    "reg", "rev", "scf", "scr", "sct", "search-ms", "settingcontent-ms", "shb", "shs", "slk", "sys", "udf", "uif",
    "url", "vb", "vbe", "vbs", "vhd", "vhdx", "vsto", "vxd", "website", "wim", "ws", "wsb", "wsc", "wsf", "wsh",
    "xbap", "xll", "xnk",
)  # fmt: skip
"""Exchange Online's list of the common attachment filter (learn.microsoft.com, anti-malware-protection-about), without
what is looked into here (cab, lha, xz, z, docm), with what attackers have come to since: scripts, disks,
shortcuts, connections."""

_HARMLESS = frozenset((
    "pdf", "doc", "docx", "rtf", "xls", "xlsx", "csv", "ppt", "pptx", "odt", "ods", "odp", "txt", "jpg", "jpeg",
    "png", "gif", "bmp", "tif", "tiff", "mp3", "mp4", "wav", "avi", "zip", "rar", "7z", "htm", "html", "eml",
    "msg", "ics", "vcf", "xml", "json",
))  # fmt: skip
_DECLARED = {
    "application/pdf": "pdf", "image/png": "png", "image/jpeg": "jpg", "image/gif": "gif", "application/rtf": "rtf",
    "application/zip": "zip", "application/msword": "doc", "application/vnd.ms-excel": "xls", "image/tiff": "tif",
}  # fmt: skip
_KINDS = {
    "pdf": "pdf", "png": "png", "jpg": "jpeg", "jpeg": "jpeg", "gif": "gif", "tif": "tiff", "tiff": "tiff",
    "doc": "ole rtf ooxml mail html xml", "xls": "ole ooxml html xml mail", "ppt": "ole ooxml", "docx": "ooxml ole",
    "xlsx": "ooxml ole", "pptx": "ooxml ole", "docm": "ooxml", "xlsm": "ooxml", "pptm": "ooxml", "rtf": "rtf",
    "zip": "zip jar ooxml odf", "rar": "rar", "7z": "7z", "gz": "gz", "one": "onenote", "mp4": "mp4", "webp": "webp",
}  # fmt: skip


def clean(name: str | bytes | None) -> str:
    """One that may be recorded and printed: valid text, no control character, its end kept when it is too long."""
    text = name.decode("utf-8", "replace") if isinstance(name, bytes) else name or ""
    text = text[-NAME_CHARACTERS:].encode("utf-8", "replace").decode()
    return _UNSEEN.sub("\ufffd", _CONTROL.sub("\ufffd", text))


def suffix(name: str) -> str:
    """What Windows opens it by, in lower case, without the dot. It drops dots and blanks from a name's end."""
    return _plain(name).rpartition(".")[2] if "." in _plain(name) else ""


def _plain(name: str) -> str:
    shown = _UNSEEN.sub("", unicodedata.normalize("NFKC", name[-2_000:]))
    base = re.split(r"[/\\]", shown)[-1].partition("\0")[0]
    return base.partition(":")[0].rstrip(". ").lower()  # behind a colon stands the name of an NTFS stream


def tricks(name: str, blocked: frozenset[str]) -> Iterator[tuple[str, str]]:
    """Finding and detail for each trick."""
    if _BIDI.search(name):
        yield "REVERSED_NAME", "direction marks"
    parts = _plain(name).split(".")
    if len(parts) > 2 and parts[-1] in blocked and parts[-2].strip() in _HARMLESS:
        yield "DOUBLE_EXTENSION", f".{parts[-2].strip()}.{parts[-1]}"
    if _TRAVERSAL.search(name):
        yield "ODD_NAME", "leaves its folder"
    elif "\0" in name or len(name) > NAME_CHARACTERS or _GAP.search(name):
        yield "ODD_NAME", "NUL, a long gap, or very long"


def disguises(name: str, declared: str, kind: str) -> str:
    """What the content is when its name, or its declared type, promises another thing; empty when it is as promised.

    What is not known is not held against it: honest senders declare much.
    """
    promised = _KINDS.get(suffix(name)) or _KINDS.get(_DECLARED.get(declared, ""), "")
    return kind if kind and promised and kind not in promised.split() else ""

"""Files as attackers make them, built in memory; by the real archiver where only that writes the format."""

import bz2
import gzip
import io
import lzma
import struct
import subprocess
import tarfile
import zipfile
import zlib
from pathlib import Path

from doubles.need import need

PROGRAM = b"MZ\x90\0" + b"This program cannot be run in DOS mode." * 3
CLAMAV_FILES = Path("/usr/share/clamav-testfiles")


def zipped(files, method=zipfile.ZIP_DEFLATED):
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", method) as file:
        for name, data in files.items():
            file.writestr(name, data)
    return archive.getvalue()


def tarred(files):
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as file:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            file.addfile(info, io.BytesIO(data))
    return archive.getvalue()


def rar(name, data, flags=0):
    """RAR 4 with one stored file."""

    def block(kind, flags, body):
        content = struct.pack("<BHH", kind, flags, len(body) + 7) + body
        return struct.pack("<H", zlib.crc32(content) & 0xFFFF) + content

    fields = struct.pack("<IIBIIBBHI", len(data), len(data), 2, zlib.crc32(data), 0, 20, 0x30, len(name), 0x20)
    end = block(0x7B, 0x4000, b"")
    return b"Rar!\x1a\x07\0" + block(0x73, 0, bytes(6)) + block(0x74, 0x8000 | flags, fields + name) + data + end


def nested(name, data, depth):
    for level in range(depth):
        name, data = f"{level}.zip", zipped({name: data})
    return data


def wide_and_deep(width, depth):
    """As 42.zip: archives of archives of archives, each many times the same."""
    content = {"0.txt": bytes(1_000)}
    for level in range(depth):
        data = zipped(content)
        content = {f"{level}-{number}.zip": data for number in range(width)}
    return zipped(content)


def bomb(size):
    """`size` zero bytes in a zip of a thousandth."""
    return zipped({"zeros.bin": bytes(size)})


def compressed_often():
    data = b"x"
    for _ in range(40):
        data = gzip.compress(data, mtime=0)
    return data


def by_7z(folder, files, *options, kind="7z"):
    need("7z")
    return _packed(folder, files, ["7z", "a", "-bd", f"-t{kind}", *options, f"archive.{kind}"], f"archive.{kind}")


def by_zip(folder, files, *options):
    need("zip")
    return _packed(folder, files, ["zip", "-q", *options, "archive.zip"], "archive.zip")


def by_genisoimage(folder, files):
    need("genisoimage")
    return _packed(folder, files, ["genisoimage", "-quiet", "-J", "-R", "-o", "archive.iso"], "archive.iso")


def _packed(folder, files, command, archive):
    for name, data in files.items():
        (folder / name).write_bytes(data)
    subprocess.run([*command, *files], cwd=folder, check=True, capture_output=True, timeout=30)
    return (folder / archive).read_bytes()


PACKERS = {"gz": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress}


def onenote(*files):
    """The header of a section, and embedded files ([MS-ONESTORE] 2.6.13)."""
    content = bytes.fromhex("e4525c7b8cd8a74daeb15378d02996d3") + bytes(1_000)
    for data in files:
        guid = bytes.fromhex("e716e3bd65261145a4c48d4d0b7a9eac")
        content += guid + struct.pack("<Q", len(data)) + bytes(12) + data.ljust(-(-len(data) // 8) * 8, b"\0")
        content += bytes.fromhex("22a7fb71790f0b4abb13899256426b24")
    return content


def shortcut(arguments):
    """A .lnk with a list of one id, a relative path and arguments ([MS-SHLLINK])."""
    flags = 0x1 | 0x8 | 0x20 | 0x80
    header = b"L\0\0\0\x01\x14\x02\0\0\0\0\0\xc0\0\0\0\0\0\0\x46" + struct.pack("<I", flags) + bytes(52)
    texts = b"".join(struct.pack("<H", len(text)) + text.encode("utf-16-le") for text in ("..\\cmd.exe", arguments))
    return header + struct.pack("<HHH", 4, 2, 0) + texts


CONTENT_TYPES = '<?xml version="1.0"?><Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"/>'
RELATIONS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"


def document(parts=None, relation="", target="", mode="External"):
    """An Office Open XML document with more `parts`, and one relationship."""
    one = f'<Relationship Id="r1" Type="{RELATIONS}/{relation}" Target="{target}" TargetMode="{mode}"/>'
    relations = "http://schemas.openxmlformats.org/package/2006/relationships"
    files = {
        "[Content_Types].xml": CONTENT_TYPES,
        "word/document.xml": '<w:document xmlns:w="w"><w:p>Good morning</w:p></w:document>',
        "word/_rels/settings.xml.rels": f'<Relationships xmlns="{relations}">{one if relation else ""}</Relationships>',
    }
    return zipped(files | (parts or {}))


def pdf(*objects):
    """A PDF with a catalog and `objects`, and a right table of references."""
    content, places = b"%PDF-1.7\n", []
    for number, text in enumerate(objects, 1):
        places.append(len(content))
        content += b"%d 0 obj\n%s\nendobj\n" % (number, text)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    size = len(objects) + 1
    end = b"trailer\n<</Size %d/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n" % (size, len(content))
    return content + b"xref\n0 %d\n0000000000 65535 f \n%s" % (size, table) + end


def packed_pdf(*objects):
    """The same with the objects in a compressed object stream, as PDF 1.5 has them."""
    heads, bodies = b"", b""
    for number, text in enumerate(objects, 1):
        heads += b"%d %d " % (number, len(bodies))
        bodies += text + b"\n"
    stream = zlib.compress(heads + bodies)
    count = len(objects)
    number = count + 1
    holder = b"%d 0 obj\n<</Type/ObjStm/N %d/First %d/Filter/FlateDecode/Length %d>>stream\n%s\nendstream\nendobj\n"
    content = b"%PDF-1.7\n"
    at = len(content)
    content += holder % (number, count, len(heads), len(stream), stream)
    rows = b"\0\0\0\0\xff" + b"".join(struct.pack(">BHH", 2, number, index) for index in range(count))
    rows += struct.pack(">BHH", 1, at, 0) + struct.pack(">BHH", 1, len(content), 0)
    table = b"%d 0 obj\n<</Type/XRef/Size %d/W[1 2 2]/Root 1 0 R/Length %d>>stream\n%s\nendstream\nendobj\n"
    start = len(content)
    content += table % (number + 1, number + 2, len(rows), rows)
    return content + b"startxref\n%d\n%%%%EOF\n" % start

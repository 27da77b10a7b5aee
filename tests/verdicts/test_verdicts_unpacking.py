import base64
import gzip
import struct
import time
import zlib

import pytest
from compound import compound, package
from doubles.need import need
from hostile_files import (
    CLAMAV_FILES,
    PACKERS,
    PROGRAM,
    bomb,
    by_7z,
    by_genisoimage,
    by_zip,
    compressed_often,
    document,
    nested,
    onenote,
    rar,
    tarred,
    wide_and_deep,
    zipped,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from verdicts.files.unpacking import ENCRYPTED, Limits, walk
from verdicts.kit import letter


def names(data, name="a.bin", **limits):
    return [member.path for member in walk(name, data, Limits(**limits)) if not member.problem]


def problems(data, name="a.bin", **limits):
    return [member.problem for member in walk(name, data, Limits(**limits)) if member.problem]


def kinds(data, name="a.bin"):
    return {member.kind for member in walk(name, data)}


@pytest.mark.parametrize(
    "pack", [zipped, tarred, lambda files: rar(b"x.exe", files["x.exe"])], ids=["zip", "tar", "rar"]
)
def test_archives(pack):
    members = list(walk("a", pack({"x.exe": PROGRAM})))
    assert [(member.path, member.data, member.depth) for member in members[1:]] == [("a/x.exe", PROGRAM, 1)]
    assert members[1].kind == "exe"
    assert members[1].within == members[0].kind


@pytest.mark.parametrize("kind", ["7z", "zip", "tar", "wim"])
def test_archives_of_7z(tmp_path, kind):
    data = by_7z(tmp_path, {"x.exe": PROGRAM}, kind=kind)
    expected = ["a", "a/x.exe"] if kind != "wim" else ["a"]
    assert names(data, "a") == expected


def test_disk_images(tmp_path):
    assert names(by_genisoimage(tmp_path, {"x.exe": PROGRAM}), "a.iso") == ["a.iso", "a.iso/x.exe"]


@pytest.mark.parametrize("kind", ["gz", "bz2", "xz"])
def test_compressed_files(kind):
    pack = PACKERS[kind]
    assert names(pack(PROGRAM), f"x.exe.{kind}") == [f"x.exe.{kind}", f"x.exe.{kind}/x.exe"]
    assert names(pack(tarred({"x.exe": PROGRAM})), "a.tar")[-1] == "a.tar/a/x.exe"
    assert names(pack(bytes(1_000) + PROGRAM))[1:] == ["a.bin/a"]


def test_what_lies_deep_is_found():
    data = nested("x.exe", gzip.compress(tarred({"y.exe": PROGRAM})), 5)
    assert names(data, "a")[-1] == "a/3.zip/2.zip/1.zip/0.zip/x.exe/x/y.exe"


@pytest.mark.parametrize("options", [["-pinfected"], ["-pinfected", "-mhe=on"]])
def test_encrypted_7z(tmp_path, options):
    assert ENCRYPTED in problems(by_7z(tmp_path, {"x.exe": PROGRAM}, *options))


@pytest.mark.parametrize("method", ["ZipCrypto", "AES256"])
def test_encrypted_zip(tmp_path, method):
    data = by_7z(tmp_path, {"x.exe": PROGRAM, "y.txt": b"y"}, "-pinfected", f"-mem={method}", kind="zip")
    members = list(walk("a", data))
    assert {member.path: member.problem for member in members[1:]} == {"a/x.exe": ENCRYPTED, "a/y.txt": ENCRYPTED}


def test_encrypted_by_info_zip_and_rar(tmp_path):
    assert problems(by_zip(tmp_path, {"x.exe": PROGRAM}, "-P", "infected")) == [ENCRYPTED]
    assert problems(rar(b"x.exe", PROGRAM, flags=0x4)) == [ENCRYPTED]


def test_an_encrypted_document():
    assert problems(compound({"EncryptedPackage": bytes(100), "EncryptionInfo": bytes(100)})) == [ENCRYPTED]


def test_a_bomb():
    assert problems(bomb(30_000_000), total=20_000_000) == ["more than 20000000 bytes in it"]
    assert problems(bomb(40_000_000), ratio=100) == ["expands more than 100 times"]
    assert problems(bomb(40_000_000), ratio=10_000) == []


def test_a_bomb_in_another_is_bounded_too():
    assert problems(gzip.compress(gzip.compress(bytes(160_000_000)))) == ["expands more than 200 times"]


def test_archives_of_archives_of_archives():
    begun = time.monotonic()
    assert problems(wide_and_deep(10, 6)) == ["more than 1000 files in it"]
    assert time.monotonic() - begun < 10


def test_depth():
    data = nested("x.exe", PROGRAM, 30)
    assert problems(data) == ["files within files, more than 20 deep"]
    assert problems(tarred({"a": nested("x.exe", PROGRAM, 5)}), depth=3) == ["files within files, more than 3 deep"]
    assert problems(data, depth=30) == []
    beside = zipped({"deep.zip": data, "x.exe": PROGRAM})
    assert names(beside, "a")[-1] == "a/x.exe"


def test_the_same_compression_many_times():
    (problem,) = problems(compressed_often())
    assert "too many filters" in problem


def test_time():
    assert problems(zipped({"a": b"a"}), seconds=-1) == ["not unpacked within -1 seconds"]


def test_two_archives_in_one_file():
    """Some readers open the first, some the last."""
    data = zipped({"first.exe": PROGRAM}) + zipped({"last.txt": b"x"})
    assert {path.rpartition("/")[2] for path in names(data)} >= {"first.exe", "last.txt"}
    assert len(names(zipped({"a.zip": zipped({"b": b"b"}, 0)}, 0))) == 3


def test_a_zip_whose_end_is_far_away():
    assert "a/x.exe" in names(zipped({"x.exe": PROGRAM}) + bytes(100_000), "a")


HOSTILE_NAMES = [
    "../../../etc/cron.d/x",
    "C:\\Windows\\x.exe",
    "invoice\u202efdp.exe",
    "a\nb\r\x1b[2Jc",
    "x" * 60_000 + ".exe",
    "\ud83d\ude00".encode("utf-16", "surrogatepass").decode("utf-16"),
    "/",
    " ",
    "con",
]


@pytest.mark.parametrize("name", HOSTILE_NAMES)
@pytest.mark.parametrize("pack", [zipped, tarred], ids=["zip", "tar"])
def test_hostile_names(name, pack):
    for member in walk(name, pack({name: PROGRAM})):
        assert len(member.path) <= 600
        assert member.path.isprintable() or "\ufffd" in member.path
        assert not any(ord(character) < 32 or 0x202A <= ord(character) <= 0x202E for character in member.path)
        member.path.encode()


def test_a_raw_name_in_no_charset():
    data = zipped({"aaaaaa.exe": PROGRAM}).replace(b"aaaaaa", b"\xff\xfe\x80\x00\xc3(")
    assert [member.data for member in walk("a", data) if member.data][1:] == [PROGRAM]


def test_office_documents():
    ole = compound({"ObjectPool/_1/\x01Ole10Native": package(b"x.exe", PROGRAM), "WordDocument": bytes(5_000)})
    assert names(ole, "a.doc") == ["a.doc", "a.doc/x.exe"]
    data = document({"word/embeddings/oleObject1.bin": ole})
    assert names(data, "a.docx")[-1] == "a.docx/word/embeddings/oleObject1.bin/x.exe"


@pytest.mark.parametrize(("instance", "packed"), [(0, False), (0x10, True)])
def test_objects_in_slides(instance, packed):
    data = compound({"\x01Ole10Native": package(b"x.exe", PROGRAM)})
    content = struct.pack("<I", len(data)) + zlib.compress(data) if packed else data
    record = struct.pack("<HHI", instance, 0x1011, len(content)) + content
    ole = compound({"PowerPoint Document": bytes(5_000) + record + bytes(10)})
    assert names(ole, "a.ppt")[-1] == "a.ppt/?/x.exe"


def test_outlook_messages():
    folder = "__attach_version1.0_#00000000"
    streams = {
        f"{folder}/__substg1.0_37010102": PROGRAM,
        f"{folder}/__substg1.0_3707001F": "x.exe".encode("utf-16-le"),
    }
    assert names(compound(streams), "a.msg") == ["a.msg", "a.msg/x.exe"]


def test_onenote():
    assert kinds(onenote(PROGRAM, b"text")) == {"onenote", "exe", ""}
    assert problems(onenote(PROGRAM)[:1_100]) == ["damaged: an embedded file is cut off"]


def test_messages_in_archives():
    data = zipped({"x.eml": letter(attachments=[("y.zip", zipped({"z.exe": PROGRAM}))])})
    assert names(data, "a")[-1] == "a/x.eml/y.zip/z.exe"


def test_html_with_a_file_in_it():
    page = b"<html><script>const x = atob('" + base64.b64encode(PROGRAM * 5) + b"')</script>"
    assert kinds(page) == {"html", "exe"}


@pytest.mark.parametrize("cut", [10, 30, 100, 150, 200])
def test_truncated(tmp_path, cut):
    for data in (
        zipped({"x.exe": PROGRAM}),
        tarred({"x.exe": PROGRAM}),
        rar(b"x.exe", PROGRAM),
        gzip.compress(PROGRAM),
        compound({"EncryptedPackage": bytes(100)}),
        onenote(PROGRAM),
    ):
        assert list(walk("a", data[:cut]))


def all_of_clamav():
    return sorted(CLAMAV_FILES.iterdir()) if CLAMAV_FILES.exists() else []


@pytest.mark.parametrize("file", all_of_clamav(), ids=lambda file: file.name)
def test_clamav_s_files(file):
    members = list(walk(file.name, file.read_bytes()))
    assert members[0].path == file.name
    seen = any(member.kind in ("exe", "chm") for member in members)
    assert seen or any(member.problem for member in members) or file.name == "clam.sis"


def test_clamav_s_files_are_there():
    need("clamd")
    assert all_of_clamav()


SEEDS = [
    zipped({"x.exe": PROGRAM, "y/z.txt": b"text"}),
    tarred({"x.exe": PROGRAM}),
    rar(b"x.exe", PROGRAM),
    gzip.compress(tarred({"x": b"x"})),
    compound({"ObjectPool/_1/\x01Ole10Native": package(b"x.exe", PROGRAM)}),
    onenote(PROGRAM),
    document(),
    b"%PDF-1.4\n1 0 obj\n<</Type/Catalog>>\nendobj\ntrailer<</Root 1 0 R>>",
    b"{\\rtf1{\\object\\objocx{\\objdata 0105000002000000}}}",
    b"\x78\x9f\x3e\x22\x01\x00\x02\x02\x90\x06\x00\x04\x00\x00\x00abcd",
]


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(SEEDS), st.lists(st.tuples(st.integers(0, 5_000), st.integers(0, 255)), max_size=20))
def test_whatever_comes(seed, changes):
    """It ends, and raises nothing."""
    data = bytearray(seed)
    for at, value in changes:
        data[at % len(data)] = value
    for member in walk("a", bytes(data), Limits(members=50, total=10_000_000, seconds=2)):
        assert len(member.data) <= 10_000_000

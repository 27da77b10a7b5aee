import asyncio
import base64
import binascii
import email
import mmap
import quopri
import re
import tempfile
import time
import weakref
from email.message import EmailMessage, MIMEPart
from email.policy import SMTP

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from verdicts import decoding, reading
from verdicts.decoding import decoded_pieces
from verdicts.fields import MAX_FIELDS
from verdicts.reading import MAX_DEPTH, MAX_PARTS, Reading, read_parts, read_structure


def lines(*texts):
    return b"".join(text.encode() + b"\r\n" for text in texts)


def contents(message, limit=1_000_000):
    return [part.decoded(limit) for part in read_parts(message)]


def mixed(*inner, boundary="b", end=True):
    head = lines(f'Content-Type: multipart/mixed; boundary="{boundary}"', "")
    body = b"".join(lines("", f"--{boundary}") + part for part in inner)
    return head + body + (lines("", f"--{boundary}--") if end else b"")


def test_a_message_of_one_part():
    message = lines("Subject: x", "", "hello")
    (part,) = read_parts(message)
    assert (part.content_type, part.encoding, part.depth, part.filename) == ("text/plain", "7bit", 0, None)
    assert bytes(part.raw) == part.decoded(100) == b"hello\r\n"
    assert part.fields.text("Subject") == "x"


def test_a_tree():
    alternative = mixed(
        lines("Content-Type: text/plain", "", "plain"), lines("Content-Type: text/HTML", "", "html"), boundary="b-inner"
    )
    message = mixed(alternative, lines("Content-Type: application/pdf", "", "pdf"))
    assert [(p.content_type, p.depth, p.decoded(99)) for p in read_parts(message)] == [
        ("text/plain", 2, b"plain\r\n"), ("text/html", 2, b"html\r\n"), ("application/pdf", 1, b"pdf\r\n"),
    ]  # fmt: skip
    assert read_structure(message).defects == ()


def test_the_line_end_before_a_delimiter_belongs_to_it():
    message = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\none\r\n--b\r\n\r\n\r\n--b--\r\n"
    assert contents(message) == [b"one", b""]


def test_line_feeds_alone():
    message = b"Content-Type: multipart/mixed; boundary=b\n\npreamble\n--b\n\none\n--b \t\nA: b\n\ntwo\n--b--\nepilogue"
    assert contents(message) == [b"one", b"two"]


def test_preamble_and_epilogue_are_no_parts():
    message = mixed(lines("", "one")).replace(b"\r\n\r\n--b\r\n", b"\r\n\r\npreamble --b\r\n--b\r\n", 1) + b"epilogue"
    assert contents(message) == [b"one\r\n"]


def test_a_line_that_only_begins_with_the_boundary_is_no_delimiter():
    assert contents(mixed(lines("", "one", "--bc", "--b-", "--b --", "two"))) == [
        b"one\r\n--bc\r\n--b-\r\n--b --\r\ntwo\r\n"
    ]


def test_a_nested_message():
    inner = mixed(lines("", "deep"), boundary="i")
    message = mixed(lines("Content-Type: message/rfc822", "") + inner)
    assert [(p.depth, p.decoded(99)) for p in read_parts(message)] == [(3, b"deep\r\n")]


def test_a_digest_holds_messages():
    message = mixed(lines("") + mixed(lines("", "deep"), boundary="i")).replace(
        b"multipart/mixed", b"multipart/digest", 1
    )
    assert contents(message) == [b"deep\r\n"]


@pytest.mark.parametrize("encode", [base64.encodebytes, quopri.encodestring])
def test_a_nested_message_that_is_encoded_as_a_whole(encode):
    name = "base64" if encode is base64.encodebytes else "quoted-printable"
    inner = mixed(lines("", "deep"), boundary="i")
    message = lines("Content-Type: message/rfc822", f"Content-Transfer-Encoding: {name}", "") + encode(inner)
    structure = read_structure(message)
    assert [part.decoded(99) for part in structure.parts] == [b"deep\r\n"]
    assert structure.defects == ("encoded-message",)


@pytest.mark.parametrize(
    ("header", "boundary"),
    [
        ('boundary="a b"', "a b"),
        ("boundary=simple", "simple"),
        ("BOUNDARY=simple ; charset=x", "simple"),
        ("(comment; boundary=no) boundary=simple", "simple"),
        ("(a (nested) one) boundary=simple(behind)", "simple"),
        (r'boundary="quo\"te"', 'quo"te'),
        ('boundary="open', "open"),
        ("boundary*0=sim; boundary*1=ple", "simple"),
        ("boundary*=us-ascii'en'sim%70le", "simple"),
        ('x="; boundary=no"; boundary=simple', "simple"),
        ('boundary="(no comment)"', "(no comment)"),
        ("\r\n\tboundary=simple", "simple"),
        ("boundary=two words", "two words"),
        ('boundary="simple "', "simple"),
        ('boundary="simple"; type="text/html"', "simple"),
    ],
)
def test_boundaries(header, boundary):
    message = lines(f"Content-Type: multipart/mixed; {header}", "", f"--{boundary}", "", "one", f"--{boundary}--")
    structure = read_structure(message)
    assert [part.decoded(99) for part in structure.parts] == [b"one"]
    assert structure.ambiguous == (header in ODD_BOUNDARIES)


ODD_BOUNDARIES = (
    "(comment; boundary=no) boundary=simple", "(a (nested) one) boundary=simple(behind)", r'boundary="quo\"te"',
    'boundary="open', "boundary*0=sim; boundary*1=ple", "boundary*=us-ascii'en'sim%70le",
    'x="; boundary=no"; boundary=simple', "boundary=two words", 'boundary="simple "',
)  # fmt: skip
"""Which simpler readers take for other ones."""


@pytest.mark.parametrize(
    ("between", "ambiguous"),
    [
        ([], False),
        (["--bc", "Content-Type: application/x-evil", "", "hidden"], True),
        (["--b and more", "", "hidden"], True),
        (["--b", "Content-Type: multipart/mixed; boundary=bc", "", "--bc", "", "inner", "--bc--"], False),
        (["--b", "Content-Type: multipart/mixed; boundary=bc", "", "--bc", "", "x", "--bc--", "--b", "", "--bc"], True),
        (["-- b", "--x", "b"], False),
    ],
)
def test_a_line_that_begins_with_a_boundary_is_a_delimiter_for_some(between, ambiguous):
    """RFC 2046 section 5.1.1 says so; nested boundaries that begin with the outer one are innocent."""
    inside = lines(*between, "") if between else b""
    message = lines("Content-Type: multipart/mixed; boundary=b", "", "--b", "", "one") + inside + b"--b--\r\n"
    assert read_structure(message).ambiguous == ambiguous


@pytest.mark.parametrize(
    ("head", "ambiguous"),
    [
        ("Content-Type: multipart/mixed boundary=b", True),
        ("Content-Type: ; multipart/mixed; boundary=b", True),
        ("Content-Type: text/plain, multipart/mixed; boundary=b", True),
        ("Content-Type: text/plain charset=utf-8", False),
        ("Content-Type: text/plain; name=multipart.txt", False),
        ("Content-Type: html", False),
        ("Content-Transfer-Encoding: 7bit base64", True),
        ("Content-Transfer-Encoding: (base64) 7bit", True),
        ("Content-Transfer-Encoding: base64, quoted-printable", True),
        ("Content-Transfer-Encoding: x-base64", True),
        ("Content-Transfer-Encoding: Base64 (as ever)", False),
        ("Content-Transfer-Encoding: x-uuencode", False),
        ("Content-Type: message/partial; id=x; number=1; total=2", True),
        ("Content-Type: message/external-body; access-type=URL", True),
        ("Content-Disposition: inline\r\nContent-Disposition: attachment; filename=x.js", True),
    ],
)
def test_what_readers_take_in_different_ways_or_elsewhere(head, ambiguous):
    assert read_structure(lines(head, "", "text")).ambiguous == ambiguous


@pytest.mark.parametrize(
    ("fields", "names"),
    [
        (["Content-Disposition: attachment; filename=a.pdf", "Content-Type: a/b; name=a.pdf"], ("a.pdf",)),
        (["Content-Disposition: attachment; filename=a.pdf", "Content-Type: a/b; name=a.js"], ("a.pdf", "a.js")),
        (["Content-Disposition: attachment; filename=a.pdf; filename=a.js"], ("a.pdf", "a.js")),
        (["Content-Disposition: attachment; filename=a.js; filename*=utf-8''a.pdf"], ("a.pdf", "a.js")),
        (['Content-Disposition: attachment; filename="a\u202efdp.js"'], ("a\u202efdp.js",)),
        (["Content-Disposition: attachment"], ()),
    ],
)
def test_all_names_that_readers_may_take(fields, names):
    (part,) = read_parts("\r\n".join([*fields, "", "x"]).encode())
    assert part.filenames == names
    assert part.filename == ("".join(filter(str.isprintable, names[0])) if names else None)


def test_a_long_name_keeps_its_end():
    (part,) = read_parts(lines(f'Content-Disposition: attachment; filename="a.pdf{" " * 300}.js"', "", "x"))
    assert (part.filename[-3:], len(part.filename)) == (".js", 255)


@pytest.mark.parametrize(
    ("message", "defect", "found"),
    [
        (mixed(lines("", "one"), end=False), "missing-end-boundary", [b"one\r\n"]),
        (lines("Content-Type: multipart/mixed; boundary=b", "", "text"), "missing-delimiter", [b"text\r\n"]),
        (lines("Content-Type: multipart/mixed", "", "--b", "text"), "missing-boundary", [b"--b\r\ntext\r\n"]),
        (lines("Content-Type: a/b", "content-type: c/d", "", "one"), "duplicate-content-type", [b"one\r\n"]),
        (
            lines("Content-Transfer-Encoding: 7bit", "Content-Transfer-Encoding: base64", "", "one"),
            "duplicate-content-transfer-encoding",
            [b"one\r\n"],
        ),
        (mixed(lines("", "one")).replace(b'"b"', b'"b"; boundary=c'), "duplicate-boundary", [b"one\r\n"]),
        (mixed(lines("", "one")).replace(b'"b"', b'"b"; boundary*0=c'), "duplicate-boundary", [b"one\r\n"]),
        (mixed(lines("", "one")) + lines("--b", "", "two", "--b--"), "part-after-end", [b"one\r\n", b"two"]),
        (mixed(lines("A: b", "body line")), "missing-blank-line", [b"body line\r\n"]),
        (mixed(lines("A: b", "body line", "", "x")), "text-in-header", [b"body line\r\n\r\nx\r\n"]),
        (
            lines("Content-Transfer-Encoding: base64") + mixed(lines("", "one")),
            "encoded-multipart",
            [b"one\r\n"],
        ),
    ],
)  # fmt: skip
def test_defects(message, defect, found):
    structure = read_structure(message)
    assert structure.defects == (defect,)
    assert [part.decoded(99) for part in structure.parts] == found
    assert not structure.truncated


@pytest.mark.parametrize(
    ("header", "filename"),
    [
        ('Content-Disposition: attachment; filename="a b.exe"', "a b.exe"),
        ("Content-Disposition: attachment; filename=a b.exe", "a b.exe"),
        ("Content-Disposition: attachment; filename*=utf-8''%e2%82%ac.exe", "€.exe"),
        ("Content-Disposition: attachment; filename*0*=utf-8''%e2%82; filename*1*=%ac; filename*2=.exe", "€.exe"),
        ("Content-Disposition: attachment; filename*=no-such-charset''a.exe", "a.exe"),
        ("Content-Disposition: attachment; filename*=hex''61", "61"),
        ('Content-Disposition: attachment; filename="=?utf-8?B?4oKsLmV4ZQ==?="', "€.exe"),
        ('Content-Disposition: attachment; filename="=?utf-8?Q?=E2=82=AC?= =?x?q?.ex_e?="', "€.ex e"),
        ('Content-Disposition: attachment; filename="=?utf-8?B?4?="', "=?utf-8?B?4?="),
        ('Content-Disposition: attachment; filename="a\0\r\n\t.exe"', "a.exe"),
        ('Content-Type: a/b; name="n.exe"', "n.exe"),
        ('Content-Type: a/b; name="n.exe"\r\nContent-Disposition: attachment', "n.exe"),
        ("Content-Disposition: attachment; filename=", None),
        ("Content-Disposition: attachment; filename=" + "x" * 9000, "x" * 255),
    ],
)
def test_filenames(header, filename):
    assert read_parts(header.encode() + b"\r\n\r\nbody")[0].filename == filename


@pytest.mark.parametrize("value", ["", "text", "text/", "/plain", "text/pl ain", "a/b/c", '"text/html"', "multipart"])
def test_an_unreadable_type_is_plain_text(value):
    assert read_parts(f"Content-Type: {value}\r\n\r\nbody".encode())[0].content_type == "text/plain"


def test_limits_are_told():
    many = mixed(*[lines("", "x")] * (MAX_PARTS + 1))
    assert (len(read_parts(many)), read_structure(many).truncated) == (MAX_PARTS, True)
    assert not read_structure(mixed(*[lines("", "x")] * MAX_PARTS)).truncated
    assert read_structure(lines("Content-Type: message/rfc822", "") * (MAX_DEPTH + 1) + lines("", "x")).truncated
    assert not read_structure(lines("Content-Type: message/rfc822", "") * MAX_DEPTH + lines("", "x")).truncated
    long_header = mixed(b"X: " + b"x" * reading.MAX_PART_HEADER_BYTES + lines("", "", "x"))
    assert read_structure(long_header).truncated
    within = b"X: " + b"x" * (reading.MAX_PART_HEADER_BYTES - 40) + lines("")
    assert not read_structure(mixed(within + lines("", "x"))).truncated
    assert read_structure(lines(*["Content-X: y"] * (reading.MAX_CONTENT_FIELDS + 1))).truncated
    assert read_structure(lines(*["X: y"] * (MAX_FIELDS + 1), "", "x")).truncated


def test_no_more_than_so_many_candidates(monkeypatch):
    monkeypatch.setattr(reading, "MAX_CANDIDATES", 10)
    assert read_structure(mixed(lines("", *["--bx"] * 11))).truncated
    assert not read_structure(mixed(lines("", *["--bx"] * 8))).truncated


def test_no_more_unpacked_than_so_much(monkeypatch):
    monkeypatch.setattr(reading, "MAX_UNPACKED_BYTES", 1000)
    inner = base64.encodebytes(lines("", "x" * 1000))
    head = lines("Content-Type: message/rfc822", "Content-Transfer-Encoding: base64", "")
    structure = read_structure(head + inner)
    assert structure.truncated
    assert structure.parts[0].content_type == "message/rfc822"


def test_a_large_message_is_read_in_short_steps():
    message = mixed(*[lines("", "x" * 5_000_000)] * 6)
    under_way = Reading(message)
    steps, longest = 0, 0.0
    begun = last = time.perf_counter()
    while under_way.step():
        now = time.perf_counter()
        steps, longest, last = steps + 1, max(longest, now - last), now
    assert steps >= 10
    assert longest < 0.1  # 0.001 when the machine is idle
    assert len(under_way.structure().parts) == 6
    assert time.perf_counter() - begun < 2


def test_on_a_memory_map():
    message = mixed(lines("Content-Transfer-Encoding: base64", "", base64.b64encode(b"deep").decode()))
    with tempfile.TemporaryFile() as file:
        file.write(message)
        file.flush()
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
            view = memoryview(mapped)
            assert contents(view) == [b"deep"]
            view.release()


texts = st.text(st.characters(codec="utf-8", exclude_characters="\r"), max_size=200)
leaves = st.tuples(st.just("text"), texts) | st.tuples(st.just("file"), st.binary(max_size=300))
trees = st.recursive(leaves, lambda inner: st.lists(inner, min_size=1, max_size=4), max_leaves=8)


def build(tree):
    part = MIMEPart(policy=SMTP)
    if isinstance(tree, list):
        part["Content-Type"] = "multipart/mixed"
        part.set_payload([build(inner) for inner in tree])
    elif tree[0] == "text":
        part.set_content(tree[1], charset="utf-8")
    else:
        part.set_content(tree[1], maintype="application", subtype="octet-stream", filename="ü.bin")
    return part


@settings(deadline=None)
@given(trees, st.booleans())
def test_generated_trees_decode_as_the_standard_library_does(tree, nested):
    root = build(tree)
    message = root
    if nested:
        message = EmailMessage(policy=SMTP)
        message["Subject"] = "outer"
        inner = EmailMessage(policy=SMTP)
        inner.set_content("inner")
        message.set_content("outer")
        message.add_attachment(inner)
        message.attach(root)
    wire = message.as_bytes()
    expected = [
        (part.get_content_type(), part.get_filename(), part.get_payload(decode=True))
        for part in email.message_from_bytes(wire, policy=SMTP).walk()
        if not part.is_multipart()
    ]
    found = [(part.content_type, part.filename, part.decoded(10**6)) for part in read_parts(wire)]
    assert found == expected


PIECES = (
    "Content-Type: multipart/mixed; boundary=b", "Content-Type: message/rfc822", "Content-Type: multipart/digest",
    "Content-Transfer-Encoding: base64", "Content-Transfer-Encoding: quoted-printable", "", "", "--b", "--b--", "--b ",
    "boundary", "=", "==41", "QUJD", "\0", " ", "Content-Disposition: x; filename*0*=\xff'%%", "\r", "\xff",
)  # fmt: skip
garbage = st.lists(st.sampled_from(PIECES), max_size=30).map(lambda texts: lines(*texts)) | st.binary(max_size=300)


@given(garbage)
def test_garbage_never_raises(message):
    for part in read_structure(message).parts:
        part.decoded(1_000_000)
        assert part.start <= part.end <= len(part.source)


@given(garbage, st.integers(1, 40))
def test_the_structure_does_not_depend_on_the_window(message, window):
    message = mixed(message, message)
    whole = [(part.start, part.end) for part in read_parts(message)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading, "_WINDOW", window)
        assert [(part.start, part.end) for part in read_parts(message)] == whole


LINES = (
    b"--b\r\n",
    b"--b\n",
    b"--b--\r\n",
    b"--b-",
    b"--bc\n",
    b"--b \t\r\n",
    b"--b\r",
    b"x\n",
    b"\n",
    b"-",
    b"--b",
    b"\r\n",
)


@given(st.lists(st.sampled_from(LINES), max_size=20).map(b"".join))
def test_delimiters_are_the_lines_that_the_grammar_says(body):
    source = b"A:\n" + body
    naive = [
        (match.start() - (source[match.start() - 1 : match.start()] == b"\r"), match.end(), match[1] is not None)
        for match in re.finditer(rb"\n(?=--b)--b(--)?[ \t]*\r*(?:(?=\n)|\Z)", source)
    ]
    found = Reading(source)._delimiters(source, b"b", 3, len(source))
    assert [(line, behind - (source[behind - 1 : behind] == b"\n"), last) for line, behind, last in found] == naive


@given(st.binary(max_size=400), st.integers(1, 70), st.sampled_from([b"\r\n", b"\n", b" \r\n"]), st.integers(4, 64))
def test_base64_in_any_pieces(content, width, line_end, piece):
    encoded = base64.b64encode(content)
    body = line_end.join(encoded[at : at + width] for at in range(0, len(encoded), width)) + line_end
    assert pieced(body, "base64", piece) == content


@given(st.binary(max_size=400), st.integers(3, 64), st.booleans())
def test_quoted_printable_in_any_pieces(content, piece, crlf):
    encoded = quopri.encodestring(content.replace(b"\r", b""))
    expected = quopri.decodestring(encoded)
    if crlf:
        encoded, expected = encoded.replace(b"\n", b"\r\n"), expected.replace(b"\n", b"\r\n")
    assert pieced(encoded, "quoted-printable", piece) == expected


@given(st.binary(max_size=300), st.sampled_from(["base64", "quoted-printable", "7bit", "x-unknown", ""]))
def test_decoding_garbage_does_not_depend_on_pieces(body, encoding):
    whole = b"".join(decoded_pieces(body, 0, len(body), encoding))
    if encoding not in ("base64", "quoted-printable"):
        assert whole == body
    if encoding != "quoted-printable":  # a stray CR behind "=" is read differently at the end of a piece
        assert pieced(body, encoding, 7) == whole


def pieced(body, encoding, size):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(decoding, "PIECE", size)
        return b"".join(decoded_pieces(body, 0, len(body), encoding))


def test_base64_goes_on_behind_a_padding():
    body = base64.b64encode(b"harmless") + b"\r\n" + base64.b64encode(b"hidden")
    assert b"".join(decoded_pieces(body, 0, len(body), "base64")) == b"harmlesshidden"


@given(st.binary(max_size=300), st.integers(80, 200))
def test_uuencode_in_any_pieces(content, piece):
    encoded = b"".join(binascii.b2a_uu(content[at : at + 45]) for at in range(0, len(content), 45))
    assert pieced(b"begin 644 x\n" + encoded + b"`\nend\n", "x-uuencode", piece) == content


def test_a_mailbox_line_may_stand_on_top():
    assert read_structure(lines("From ann Mon Nov  2 2026", "A: b", "", "x")).defects == ()
    assert read_structure(lines("A: b", "From ann", "", "x")).defects == ("text-in-header",)


def test_a_part_header_leaves_no_index_behind():
    """900 parts with 4,990 fields each would fill a gigabyte."""
    header = b"".join(b"%x:\r\n" % number for number in range(4_990))
    part = b"--b\r\nContent-Type: text/html\r\n" + header + b"\r\nhi\r\n"
    found = read_parts(b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + part * 20 + b"--b--\r\n")
    assert len(found) == 20
    assert all(one.content_type == "text/html" and one.fields._index is None for one in found)


def test_a_reading_that_is_given_up_is_no_garbage_to_be_looked_for():
    one = Reading(b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + b"--b\r\n\r\n\r\n" * 500)
    assert one.step()
    one.close()
    assert one.structure().truncated
    gone = weakref.ref(one)
    del one
    assert gone() is None


async def test_the_beginning_is_what_decoded_says_in_turns():
    body = lines("Content-Transfer-Encoding: base64", "") + b"=\r\n" * 400_000 + b"QUJDREVG"
    (part,) = read_parts(body)
    assert [await part.beginning(limit) for limit in (1, 4, 100)] == [b"A", b"ABCD", b"ABCDEF"]
    reading, turns = asyncio.create_task(part.beginning(1)), 0
    while not reading.done():
        await asyncio.sleep(0)
        turns += 1
    assert turns > len(body) // decoding.PIECE

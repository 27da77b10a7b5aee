import email
import itertools
import mmap
import re
import tempfile
import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from verdicts import fields as fields_module
from verdicts.fields import MAX_FIELDS, Fields, find_header_end, searchable, too_many_fields
from verdicts.origin import Origin, parse_forefront

FOREFRONT = (
    b"X-Forefront-Antispam-Report: CIP:63.35.35.123;CTRY:IE;LANG:en;SCL:1;SRV:;IPV:CAL;\r\n"
    b"\tSFV:NSPM;H:mail.sender.example;PTR:ptr.sender.example;CAT:NONE;DIR:INB;SFP:;\r\n"
)
PIECES = (
    b"\r\n", b"\n", b"\r", b":", b" ", b"\t", b"\0", b"a", b"A:", b"X-Test: b", b"x-tEST", b"X-Test\t : c\r\n d",
    b"\xff", b"\n\n", b"\r\n\r\n", b"From x: y",
)  # fmt: skip
garbage = st.lists(st.sampled_from(PIECES), max_size=40).map(b"".join) | st.binary(max_size=200)


def at_once(steps):
    """What a generator returns."""
    try:
        while True:
            next(steps)
    except StopIteration as over:
        return over.value


@pytest.mark.parametrize(
    ("message", "end"),
    [
        (b"", None),
        (b"\r\n", 2),
        (b"\n", 1),
        (b"\r", None),
        (b"\r\nbody", 2),
        (b"A: b\r\n\r\nbody", 8),
        (b"A: b\n\nbody\r\n\r\n", 6),
        (b"A: b\n\r\nbody", 7),
        (b"A: b\r\n\nbody", 7),
        (b"A: b\r\rbody", None),
        (b"A: b\r\n \r\n\r\nbody", 11),
        (b"A: b\r\nC: d\r\n", None),
        (b"A: " + b"b" * 100_000 + b"\r\n\r\nbody", 100_007),
        (b"A: " + b"b" * 65_532 + b"\r\n\r\nbody", 65_539),
    ],
)
def test_header_end(message, end):
    assert find_header_end(message) == end
    assert find_header_end(memoryview(message)) == end
    assert Fields.parse(message).end == (len(message) if end is None else end)
    assert Fields.parse(message).closed == (end is not None)


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (b"Subject: hello\r\n\r\n", ["hello"]),
        (b"SUBJECT:hello\r\nsubject: again\r\n\r\nSubject: body", ["hello", "again"]),
        (b"A: Subject: x\r\nXSubject: y\r\nSubjects: z\r\nSubject : yes\r\n\r\n", ["yes"]),
        (b"Subject\t : tab\r\n\r\n", ["tab"]),
        (b"Subject: one\r\n two\r\n\tthree\r\n\r\n", ["one two\tthree"]),
        (b"Subject:\r\n folded\r\n\r\n", ["folded"]),
        (b"Subject\r\n : odd fold\r\n\r\n", ["odd fold"]),
        (b"Subject\r\n\r\n", []),
        (b" Subject: continues nothing\r\n\r\n", []),
        (b"Subject: lf\n only\nA: b\n\n", ["lf only"]),
        (b"Subject: a\rb\r\n\r\n", ["a b"]),
        (b"Subject: \xff\xc3\xa4\r\n\r\n", ["\ufffdä"]),
        (b"Subject: no end", ["no end"]),
        (b"Subject:", [""]),
        (b"A: b\r\n subject: folded away\r\n\r\n", []),
    ],
)
def test_text(message, expected):
    fields = Fields.parse(message)
    assert [field.text for field in fields.all("Subject")] == expected
    assert fields.text("subject") == (expected[0] if expected else "")
    assert fields.first("SUBJECT") == next(iter(fields.all("Subject")), None)


def test_field_spans():
    message = b"A: b\r\nX-Test :  c\r\n d \r\n\r\nbody"
    field = Fields.parse(message).first("x-test")
    assert (field.name, field.value) == (b"X-Test", b"  c\r\n d ")
    assert message[field.start : field.end] == b"X-Test :  c\r\n d \r\n"


@given(garbage)
@example(b"a\r\n\r\n")
@example(b" : \r\n\n")
def test_spans_tile_the_header_section(message):
    fields = Fields.parse(message)
    at = 0
    for field in fields:
        assert field.start == at < field.end
        assert field.value in message[field.start : field.end]
        at = field.end
    assert message[at : fields.end] in ((b"\r\n", b"\n") if fields.closed else (b"",))


@given(garbage, st.sampled_from(["X-Test", "a", "From", "x"]))
def test_search_by_name_agrees_with_going_through_all(message, name):
    fields = Fields.parse(message)
    assert fields.all(name) == tuple(f for f in fields if f.name.lower() == name.lower().encode())


@given(garbage, st.sampled_from(["X-Test", "a", "From", "x"]))
def test_search_by_name_is_the_same_with_and_without_an_index(message, name):
    with_index = Fields.parse(message)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fields_module, "_INDEXED", -1)
        without = Fields.parse(message)
        assert with_index.all(name) != () or without.first(name) is None
        expected = without.all(name)
    assert with_index.all(name) == expected
    assert with_index.first(name) == (expected[0] if expected else None)


@given(garbage, st.integers(2, 40))
def test_the_header_end_does_not_depend_on_how_far_the_first_look_goes(message, first_look):
    expected = find_header_end(message)
    naive = re.search(rb"\A\r?\n|\n\r?\n", message)
    assert expected == (naive.end() if naive else None)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fields_module, "_FIRST_LOOK", first_look)
        assert find_header_end(message) == expected


@given(garbage)
def test_a_text_among_fields_is_found_in_one_step_as_in_many(message):
    fields = Fields.parse(message)
    assert fields.find_text() == at_once(fields.seek_text())


@given(garbage, st.binary(max_size=20), st.binary(max_size=20))
def test_a_section_inside_a_message(message, before, behind):
    whole = before + message + behind
    inner = Fields.parse(whole, len(before), len(before) + len(message))
    assert inner.end - len(before) == Fields.parse(message).end
    assert [f.value for f in inner] == [f.value for f in Fields.parse(message)]
    assert all(whole[f.start : f.end].startswith(f.name) for f in inner)


@given(garbage)
def test_origin_never_raises(message):
    Origin.of(Fields.parse(message))
    Origin.of(Fields.parse(b"X-Forefront-Antispam-Report:" + message.replace(b"\n", b"") + b"\r\n\r\n"))


@pytest.mark.parametrize(
    "header",
    [
        b"a:\n" * 350_000,
        b"subject \n" * 110_000,
        b"Subject: " + b"x" * 1_000_000,
        b"Subject:\n" + b" \n" * 500_000,
        b":" * 1_000_000,
        b"\r\n ".join([b"subject"] * 100_000),
    ],
)
def test_a_megabyte_of_header_costs_milliseconds(header):
    begun = time.perf_counter()
    fields = Fields.parse(header)
    fields.all("subject")
    Origin.of(fields)
    assert time.perf_counter() - begun < 0.5  # 0.04 when the machine is idle; a quadratic search takes minutes


def test_searchable_copies_nothing_that_is_whole():
    message = b"abc" * 1000
    assert searchable(memoryview(message)) is message
    assert searchable(memoryview(message)[3:]) == message[3:]
    with tempfile.TemporaryFile() as file:
        file.write(b"A: b\r\n\r\nbody")
        file.flush()
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
            view = memoryview(mapped)
            assert searchable(view) is mapped
            assert Fields.parse(view).text("a") == "b"
            view.release()


def test_forefront_report_by_key():
    facts = parse_forefront("CIP:2001:db8::1; SCL:-1 ;;:;x;CIP:192.0.2.9;\tsfv:NSPM")
    assert facts == {"CIP": "2001:db8::1", "SCL": "-1", "SFV": "NSPM", "": ""}
    assert len(parse_forefront("A:b;" * 100_000)) == 1


def test_origin_is_microsofts_topmost_report():
    forged = b"X-Forefront-Antispam-Report: CIP:192.0.2.1;H:forged.example;SCL:-1;\r\n"
    received = b"Received: from x (192.0.2.2) by y\r\n"
    origin = Origin.of(Fields.parse(received + FOREFRONT + forged + b"\r\n"))
    assert origin == Origin("63.35.35.123", "mail.sender.example", "ptr.sender.example", 1)


@pytest.mark.parametrize(
    ("report", "origin"),
    [
        ("CIP:255.255.255.255;SCL:1;", Origin(scl=1)),
        ("CIP:999.1.1.1;H:;PTR:;SCL:", Origin()),
        ("CIP:2001:DB8::1;", Origin("2001:db8::1")),
        ("CIP:fe80::1%x y;", Origin()),
        ("PTR:InfoDomainNonexistent;SCL:10;", Origin()),
        ("H:two words;PTR:a.b\x00;", Origin()),
        ("H:" + "h" * 256 + ";SCL:٣;", Origin()),
        ("SCL:-1;H:[192.0.2.1];", Origin(helo="[192.0.2.1]", scl=-1)),
    ],
)
def test_origin_believes_only_what_it_can_read(report, origin):
    assert Origin.of(Fields.parse(f"X-Forefront-Antispam-Report: {report}\r\n\r\n".encode())) == origin


def test_origin_falls_back_to_the_connecting_address():
    name = b"X-MS-Exchange-CrossTenant-OriginalAttributedTenantConnectingIp"
    value = b" TenantId=0-0;Ip=[192.0.2.7];Helo=[mail.x.example]"
    assert Origin.of(Fields.parse(name + b":" + value + b"\r\n\r\n")) == Origin("192.0.2.7", "mail.x.example")
    inside = b"X-Forefront-Antispam-Report: CIP:255.255.255.255;SCL:1;\r\n"
    assert Origin.of(Fields.parse(inside + name + b":" + value + b"\r\n\r\n")).address is None
    both = Origin.of(Fields.parse(FOREFRONT + name + b":" + value + b"\r\n\r\n"))
    assert both.address == "63.35.35.123"
    assert Origin.of(Fields.parse(b"Received: from x ([192.0.2.1])\r\n\r\n")) == Origin()


@given(garbage, st.sampled_from(["X-Test", "a", "From", "x"]))
def test_spans_are_those_of_the_fields(message, name):
    fields = Fields.parse(message)
    spans = list(fields.spans(name))
    covered = {at for start, end in spans for at in range(start, end)}
    assert covered == {at for field in fields.all(name) for at in range(field.start, field.end)}
    assert all(end < start for (_, end), (start, _) in itertools.pairwise(spans))


@pytest.mark.parametrize(
    ("header", "too_many"),
    [
        (b"", False),
        (b"a:\r\n" * MAX_FIELDS, False),
        (b"a:\n" * (MAX_FIELDS + 1), True),
        (b"a:\r\n" + b" x\r\n\tx\r\n" * MAX_FIELDS, False),
    ],
)
def test_too_many_fields(header, too_many):
    assert too_many_fields(Fields.parse(header + b"\r\nbody\n" * MAX_FIELDS)) == too_many


@given(garbage)
def test_the_body_begins_where_the_standard_library_says(message):
    message = message.replace(b"\r", b"")
    fields = Fields.parse(message)
    parsed = email.message_from_bytes(message)
    if b"\nFrom " in message or message.startswith(b"From ") or parsed.is_multipart() or b"content-" in message.lower():
        return
    text = at_once(fields.seek_text())
    start = fields.end if text is None else text
    assert parsed.get_payload(decode=True) == message[start:]

import base64
import hashlib
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.tenants.loops import Tracer, too_many_hops
from verdicts.fields import Fields

KEY = b"0123456789abcdef"
TRACER = Tracer(KEY, "mx1.relay.example")


def fields(*traces: bytes) -> Fields:
    return Fields.parse(b"".join(traces) + b"Subject: x\r\n\r\n")


def tags(trace: bytes) -> list[str]:
    return re.sub(rb"\s", b"", trace).partition(b"r=")[2].rstrip(b";").decode().split(",")


def test_the_form_of_a_trace():
    trace = TRACER.trace("acme", ["a@acme.example"], "01JD8Z")
    assert re.fullmatch(
        rb"X-Sluice-Trace: v=1; id=01JD8Z;\r\n\tnode=mx1\.relay\.example;\r\n\tr=([A-Za-z0-9_-]{16}[,;]){4}\r\n", trace
    )


@pytest.mark.parametrize(
    ("tenant", "recipients", "looping"),
    [
        ("acme", ["a@acme.example"], True),
        ("acme", ["A@ACME.Example"], True),
        ("acme", ["x@acme.example", "b@bücher.example"], True),
        ("acme", ["B@XN--bcher-kva.example"], True),
        ("acme", ["c@acme.example"], False),
        ("acme", [], False),
        ("books", ["a@acme.example"], False),
        ("acme", ["a@other.example"], False),
    ],
)
def test_a_loop_is_the_same_tenant_and_any_of_the_recipients(tenant, recipients, looping):
    trace = TRACER.trace("acme", ["a@acme.example", "b@BÜCHER.example"], "id1")
    assert TRACER.loops(fields(trace), tenant, recipients) is looping


def test_any_of_several_traces_counts():
    others = [TRACER.trace("acme", [f"x{number}@acme.example"], f"id{number}") for number in range(10)]
    mine = TRACER.trace("acme", ["a@acme.example"], "mine")
    assert TRACER.loops(fields(*others, mine), "acme", ["a@acme.example"])
    assert not TRACER.loops(fields(*others), "acme", ["a@acme.example"])


def test_a_trace_is_read_after_others_folded_it_anew_or_changed_its_case():
    trace = TRACER.trace("acme", [f"{number}@acme.example" for number in range(9)], "id1")
    name, _, value = trace.decode().partition(":")
    unfolded = f"{name.lower()} :{' '.join(value.split())}\r\n".encode()
    assert unfolded.count(b"\r\n") == 1
    assert TRACER.loops(fields(unfolded), "acme", ["7@acme.example"])


def test_a_line_that_continues_the_trace_does_not_spoil_it():
    trace = TRACER.trace("acme", ["a@acme.example"], "id1")
    assert TRACER.loops(fields(trace + b" r=; v=2; id=other\r\n"), "acme", ["a@acme.example"])


def test_only_who_has_the_key_makes_or_reads_a_trace():
    other = Tracer(b"another key, another house", "mx1.relay.example")
    trace = other.trace("acme", ["a@acme.example"], "id1")
    assert not TRACER.loops(fields(trace), "acme", ["a@acme.example"])
    assert other.loops(fields(trace), "acme", ["a@acme.example"])


def test_a_key_is_not_short_and_not_shown():
    with pytest.raises(ValueError):
        Tracer(b"short", "mx1")
    with pytest.raises(ValueError):
        Tracer(b"x" * 65, "mx1")
    assert "0123" not in repr(TRACER)


@pytest.mark.parametrize(
    ("recipients", "count"), [(0, 4), (1, 4), (4, 4), (5, 8), (17, 32), (1000, 1024), (5000, 2048)]
)
def test_the_number_of_tags_does_not_tell_the_number_of_recipients(recipients, count):
    trace = TRACER.trace("acme", [f"u{number}@acme.example" for number in range(recipients)], "id1")
    found = tags(trace)
    assert len(set(found)) == len(found) == count
    assert found == sorted(found)
    assert max(map(len, trace.split(b"\r\n"))) <= 78


def test_a_trace_tells_nothing_of_other_messages_or_of_the_order():
    one = TRACER.trace("acme", ["a@acme.example", "b@acme.example"], "id1")
    two = TRACER.trace("acme", ["b@acme.example", "a@acme.example"], "id1")
    assert tags(one) == tags(two)
    assert not set(tags(one)) & set(tags(Tracer(b"another key" * 3, "mx1").trace("acme", ["a@acme.example"], "id1")))
    assert not set(tags(one)) & set(tags(TRACER.trace("acme", ["a@acme.example"], "id2")))
    assert not set(tags(one)) & set(tags(TRACER.trace("books", ["c@books.example"], "id3")))


def test_a_loop_of_a_thousand_recipients_is_found_by_any():
    recipients = [f"u{number}@acme.example" for number in range(1000)]
    trace = TRACER.trace("acme", recipients, "id1")
    assert all(TRACER.loops(fields(trace), "acme", [recipient]) for recipient in recipients[::99])


def test_what_is_read_has_a_limit():
    mine = TRACER.trace("acme", ["a@acme.example"], "mine")
    forged = b"X-Sluice-Trace: v=1; id=x; node=y; r=AAAAAAAAAAAAAAAA;\r\n"
    assert TRACER.loops(fields(forged * 19, mine), "acme", ["a@acme.example"])
    assert not TRACER.loops(fields(forged * 20, mine), "acme", ["a@acme.example"])


@given(st.text(max_size=20), st.lists(st.text(max_size=20), max_size=5), st.text(max_size=20))
def test_any_recipient_and_id_make_one_folded_field_that_is_found(tenant, recipients, mail_id):
    tenant = tenant.replace("\0", "")
    trace = TRACER.trace(tenant, recipients, mail_id)
    (field,) = fields(trace).all("X-Sluice-Trace")
    assert field.end == len(trace)
    assert TRACER.loops(fields(trace), tenant, recipients) is bool(recipients)


def trace_naively(tenant: str, recipients: list[str], mail_id: str) -> bytes:
    """The trace as its description says, decoys included."""

    def text(tag: bytes) -> str:
        return base64.urlsafe_b64encode(tag).decode()

    key = hashlib.blake2b(f"{tenant}\0{mail_id}".encode(), key=KEY).digest()
    tags = [text(hashlib.blake2b(to.lower().encode(), key=key, digest_size=12).digest()) for to in recipients]
    wanted = next(size for size in (4, 8, 16, 32, 64) if size >= len(tags))
    noise = hashlib.shake_256(key).digest(12 * (wanted - len(tags)))
    tags = sorted(tags + [text(noise[at : at + 12]) for at in range(0, len(noise), 12)])
    lines = [",".join(tags[at : at + 4]) for at in range(0, len(tags), 4)]
    written = ",\r\n\t".join(lines)
    return f"X-Sluice-Trace: v=1; id={mail_id};\r\n\tnode=mx1.relay.example;\r\n\tr={written};\r\n".encode()


@given(
    st.sampled_from(["acme", "Büro 1"]),
    st.lists(st.from_regex(r"[a-zA-Z]{1,5}@[a-zA-Z]{1,5}\.example", fullmatch=True), max_size=40),
    st.from_regex(r"[0-9a-v]{0,26}", fullmatch=True),
)
def test_a_trace_is_what_its_description_says(tenant, recipients, mail_id):
    assert TRACER.trace(tenant, recipients, mail_id) == trace_naively(tenant, recipients, mail_id)


@pytest.mark.parametrize("mail_id", ["", "a;b=c,\r\n", "x" * 5000, "ü"])
@pytest.mark.parametrize("recipient", ["\udcff@acme.example", "a@\udcff", "a", "", '"a b"@acme.example'])
def test_odd_ids_and_recipients(mail_id, recipient):
    trace = TRACER.trace("acme", [recipient], mail_id)
    assert TRACER.loops(fields(trace), "acme", [recipient])
    assert max(map(len, trace.split(b"\r\n"))) <= 998


@given(st.binary(max_size=200))
def test_a_forged_trace_is_never_a_loop_and_never_an_error(junk):
    assert not TRACER.loops(fields(b"X-Sluice-Trace: v=1; " + junk + b"\r\n"), "acme", ["a@acme.example"])
    assert not TRACER.loops(fields(b"X-Sluice-Trace:" + junk + b"\r\n"), "acme", ["a@acme.example"])


@pytest.mark.parametrize(("hops", "many"), [(0, False), (100, False), (101, True), (5000, True)])
def test_more_than_a_hundred_received_fields_are_a_loop(hops, many):
    assert too_many_hops(fields(b"rEcEiVeD : by a;\r\n now\r\nReceived-SPF: x\r\n" * hops)) is many

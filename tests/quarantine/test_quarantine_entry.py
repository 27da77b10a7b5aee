import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.quarantine.entry import SUBJECT_LIMIT, Damaged, Entry, from_json, to_json

# Any text, lone surrogates and NUL too: what an outsider wrote must never keep a message out of quarantine.
texts = st.text(st.characters(), max_size=30)
plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
tables = st.dictionaries(texts, plain, max_size=4)
entries = st.builds(
    Entry,
    id=texts,
    at=st.floats(0, 1e11),
    tenant=texts,
    session=tables,
    sender=texts,
    recipients=st.lists(tables, max_size=3),
    body=st.none() | texts,
    smtputf8=st.booleans(),
    ret=st.none() | texts,
    envid=st.none() | texts,
    size=st.integers(0),
    next_hop=texts,
    verdicts=st.lists(tables, max_size=3),
    decision=tables,
    message_id=texts,
    subject=texts,
    released=st.none() | texts,
)


@given(entries)
def test_what_is_written_is_read(entry: Entry) -> None:
    assert from_json(to_json(entry)) == entry


@given(entries, st.data())
def test_half_a_file_is_damage(entry: Entry, data: st.DataObject) -> None:
    written = to_json(entry)
    with pytest.raises(Damaged):
        from_json(written[: data.draw(st.integers(0, len(written) - 1))])


@given(st.binary())
def test_garbage_is_damage(data: bytes) -> None:
    with pytest.raises(Damaged):
        from_json(data)


@pytest.mark.parametrize("data", [b"null", b"[]", b"{}", b'"x"', b"[" * 100_000, b"\xff\xfe", b'{"id": "x"}'])
def test_other_json_is_damage(data: bytes) -> None:
    with pytest.raises(Damaged):
        from_json(data)


def test_a_wrong_type_is_damage_and_a_strange_name_is_not(entry) -> None:
    good = to_json(entry())
    assert from_json(good.replace(b'"size"', b'"new": 1, "size"')).tenant == "acme"
    with pytest.raises(Damaged):
        from_json(good.replace(b'"acme"', b"[]"))


def test_what_outsiders_wrote_is_cut(entry) -> None:
    long = dataclasses.replace(entry(), subject="s" * 10_000, message_id="m" * 10_000)
    read = from_json(to_json(long))
    assert (len(read.subject), len(read.message_id)) == (SUBJECT_LIMIT, SUBJECT_LIMIT)

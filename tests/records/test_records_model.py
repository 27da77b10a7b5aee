import dataclasses
import json

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sqlalchemy import JSON

from relay.records import queries
from relay.records.model import LONGEST, Record, from_row, to_row, to_values
from relay.records.schema import scans
from verdicts.contract import Severity

NAMES = tuple(field.name for field in dataclasses.fields(Record))
DOCUMENTS = {column.name for column in scans.columns if isinstance(column.type, JSON)}

wild = st.text(st.characters(), max_size=20)  # lone surrogates and NUL too
plain = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)


def jsons(texts: st.SearchStrategy[str], numbers: st.SearchStrategy[float]) -> st.SearchStrategy[object]:
    leaves = st.none() | st.booleans() | numbers | texts
    return st.recursive(leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3))


def records(texts: st.SearchStrategy[str], floats: st.SearchStrategy[float], whole: st.SearchStrategy[int]):
    names = [field.name for field in dataclasses.fields(Record) if field.type is str]
    return st.builds(
        Record,
        **dict.fromkeys(names, texts),
        at=floats,
        size=whole,
        would=st.none() | texts,
        quarantine_id=st.none() | texts,
        recipients=st.lists(texts, max_size=4),
        verdicts=st.lists(st.dictionaries(texts, jsons(texts, floats | whole), max_size=4), max_size=3),
        seconds=st.dictionaries(texts, floats, max_size=3),
    )


tame = records(plain, st.floats(allow_nan=False, allow_infinity=False), st.integers(-(2**63) + 1, 2**63 - 1))


@given(tame)
def test_a_plain_record_is_not_changed(record: Record) -> None:
    assert from_row(to_row(record)) == record


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(record=records(wild, st.floats(), st.integers()))
@example(record=Record(id="\ud800\0", at=float("nan"), node="n", outcome="o", size=2**70))
def test_any_record_goes_through_the_database(store, record: Record) -> None:
    row = to_row(record)
    json.dumps(row, allow_nan=False)
    with store.writing() as connection:
        connection.execute(scans.delete())
        store.insert_once(connection, scans, [to_values(record)])
    assert queries.scan(store, row["id"]) == from_row(row)


@given(records(wild, st.floats(), st.integers()))
def test_making_plain_twice_changes_nothing_more(record: Record) -> None:
    once = to_row(record)
    if all(len(once[name]) < longest for name, longest in LONGEST.items()):
        assert to_row(from_row(once)) == once


@pytest.mark.parametrize(("name", "longest"), LONGEST.items())
def test_what_outsiders_wrote_is_cut(name: str, longest: int) -> None:
    record = Record(id="1", at=0.0, node="n", outcome="refused", **{name: "é" * 10_000})
    assert to_row(record)[name] == "é" * longest


@given(records(wild, st.floats(), st.integers()) | tame)
@example(
    Record(id="1", at=0.0, node="n", outcome="o", verdicts=[{"weight": float("inf"), "null": None, "text": "null"}])
)
@example(Record(id="1", at=0.0, node="n", outcome="o", recipients=["\\u0000", "\0"]))
@example(Record(id="1", at=0.0, node="n", outcome="o", verdicts=[{"weight": 2**63}]))
@example(Record(id="1", at=0.0, node="n", outcome="o", verdicts=[{1: (Severity.SPAM, "x")}]))
@example(Record(id="1", at=0.0, node="n", outcome="o", helo="x" * 300, reply="y" * 3000))
def test_the_quick_way_to_a_row_says_the_same(record: Record) -> None:
    values = [
        json.loads(value) if name in DOCUMENTS else value for name, value in zip(NAMES, to_values(record), strict=True)
    ]
    assert dict(zip(NAMES, values, strict=True)) == to_row(record)


def test_the_columns_are_the_fields_in_their_order() -> None:
    assert tuple(column.name for column in scans.columns) == NAMES

"""The scanner of TOML lines against generated documents: a value that tells its own line must be found there."""

import tomllib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from config.lines import lines_of

NAMES = st.one_of(
    st.from_regex(r"[A-Za-z0-9_-]{1,6}", fullmatch=True),
    st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=6),
)
NOISE = st.sampled_from(["", " ", "\t", "  # a comment with = [ ] { } \" ' in it"])
STRINGS = st.sampled_from(
    [
        '""', "''", '"a # b"', "'a \"] = 1'", '"\\" = [\\\\"', '"\\u0041\\U00000042"', '"""a"""', '""""a"""""',
        '"""\n[no.table]\nx = 1\n"""', "'''\n[[no]]\n# no comment\n'''", "''''a'''''", '"""\\\n   a \\""" """',
        '""""""',
    ]
)  # fmt: skip
SCALARS = st.sampled_from(["0x1F", "1_0.5e3", "true", "1979-05-27 07:32:00", "inf", "07:32:00"])
GAPS = st.sampled_from(["", " ", "\n", "\n# ] comment\n  ", "\t"])


def spelled(name: str, style: int) -> str:
    """`name` as a key: bare where it may be, else quoted."""
    if style == 0 and name and name.isascii() and all(char.isalnum() or char in "-_" for char in name):
        return name
    if style == 1 and "'" not in name:
        return f"'{name}'"
    return '"' + "".join(f"\\U{ord(char):08x}" if char in '"\\' or style == 2 else char for char in name) + '"'


@st.composite
def values(draw, depth=0):
    """A value's text."""
    kind = draw(st.integers(0, 3 if depth < 3 else 1))
    if kind == 0:
        return draw(STRINGS)
    if kind == 1:
        return draw(SCALARS)
    if kind == 2:
        items = draw(st.lists(values(depth + 1), max_size=3))
        gaps = draw(st.lists(GAPS, min_size=2 * len(items) + 1, max_size=2 * len(items) + 1))
        text = "".join(f"{gaps[2 * n]}{item}{gaps[2 * n + 1]}," for n, item in enumerate(items))
        return f"[{text}{gaps[-1]}]"
    names = draw(st.lists(NAMES, max_size=3, unique=True))
    pairs = [f" {spelled(name, draw(st.integers(0, 2)))} = {draw(values(depth + 1))} " for name in names]
    return "{" + ",".join(pairs) + "}"


@st.composite
def documents(draw):
    """Lines of a document, and the expected line of each key that was written by itself."""
    lines: list[str] = []
    expected: dict[tuple, int] = {}
    sizes: dict[tuple, int] = {}

    def pairs(table):
        for name in draw(st.lists(NAMES, max_size=3, unique=True)):
            expected[(*table, name)] = sum(line.count("\n") + 1 for line in lines) + 1
            key = spelled(name, draw(st.integers(0, 2)))
            lines.append(f"{draw(st.sampled_from(['', '  ']))}{key} = {draw(values())}{draw(NOISE)}")

    pairs(())
    for number in range(draw(st.integers(0, 4))):
        lines.extend(draw(st.lists(NOISE, max_size=2)))
        repeated = draw(st.integers(0, 2))
        name = f"table {number}{draw(NAMES)}"
        for _ in range(max(1, repeated)):
            here = sum(line.count("\n") + 1 for line in lines) + 1
            key = spelled(name, draw(st.integers(0, 2)))
            if repeated:
                index = sizes[(name,)] = sizes.get((name,), -1) + 1
                lines.append(f"[[ {key} ]]")
                table = (name, index)
                expected.setdefault((name,), here)
            else:
                lines.append(f"[{key}]")
                table = (name,)
            expected[table] = here
            pairs(table)
            if draw(st.booleans()):
                expected[(*table, "inner table", "x")] = sum(line.count("\n") + 1 for line in lines) + 1
                lines.append(f"[{key} . 'inner table'.x]")
                pairs((*table, "inner table", "x"))
    return "\n".join(lines) + draw(st.sampled_from(["", "\n", "\n\n"])), expected


def paths(value, path=()):
    """Every path in parsed data."""
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield from paths(inner, (*path, key))


@settings(deadline=None, derandomize=True)
@given(documents())
def test_every_key_of_any_document_is_found_on_its_line(document):
    text, expected = document
    lines = lines_of(text)
    assert set(paths(tomllib.loads(text))) == set(lines)
    assert {key: lines[key] for key in expected} == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", {(): 1}),
        ("# only\n", {(): 1}),
        ("a.b.c = 1\na.d = 2", {(): 1, ("a",): 1, ("a", "b"): 1, ("a", "b", "c"): 1, ("a", "d"): 2}),
        ("[a.b]\nx=1\n[a]\ny=2", {(): 1, ("a",): 3, ("a", "b"): 1, ("a", "b", "x"): 2, ("a", "y"): 4}),
        ("a = [\n 1,\n [2,\n 3],\n]", {(): 1, ("a",): 1, ("a", 0): 2, ("a", 1): 3, ("a", 1, 0): 3, ("a", 1, 1): 4}),
        ("a = {b.c = [{}]}", {(): 1, ("a",): 1, ("a", "b"): 1, ("a", "b", "c"): 1, ("a", "b", "c", 0): 1}),
    ],
)
def test_places(text, expected):
    assert lines_of(text) == expected


def test_tables_below_an_array_belong_to_its_latest_item():
    lines = lines_of("[[t]]\n[[t.d]]\nn=1\n[[t.d]]\nn=2\n[[t]]\n[[t.d]]\nn=3\n[t.p]\nq=1\n")
    assert lines[("t", 0, "d", 1, "n")] == 5
    assert lines[("t", 1, "d", 0, "n")] == 8
    assert lines[("t", 1, "p", "q")] == 10
    assert lines[("t",)] == 1
    assert lines[("t", 1)] == 6

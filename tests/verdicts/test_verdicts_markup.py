import html.parser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from verdicts.web.markup import MAX_VALUE, Kind, Markup, resolved


def told(text, size=None):
    """All events, text that touches joined."""
    markup, events = Markup(), []
    pieces = [text[at : at + size] for at in range(0, len(text), size)] if size else [text]
    for event in [event for piece in pieces for event in markup.feed(piece)] + list(markup.feed("", over=True)):
        begins = event[0] is Kind.COMMENT and not event[2]
        if event[0] in (Kind.TEXT, Kind.COMMENT) and events and events[-1][0] is event[0] and not begins:
            events[-1] = event[0], "", events[-1][2] + event[2]
        else:
            events.append(event)
    return events


def attributes(text):
    return [(name, value) for kind, name, value in told(text) if kind is Kind.ATTRIBUTE]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('<a href="x">', [("href", "x")]),
        ("<a href='x'>", [("href", "x")]),
        ("<A HREF=x>", [("href", "x")]),
        ("<a\n\thref\n=\nx\n>", [("href", "x")]),
        ("<a/href=x>", [("href", "x")]),
        ('<a title=">" href=x>', [("title", ">"), ("href", "x")]),
        ('<a b="c"href="x">', [("b", "c"), ("href", "x")]),
        ("<a b c href=x>", [("href", "x")]),
        ("<a href=x/>", [("href", "x/")]),
        ('<a href="&#104;&#x74;&#0000116;p&colon;&sol;">', [("href", "http:/")]),
        ('<a href="x', [("href", "x")]),
        ("<a href=x", [("href", "x")]),
        ('<a ""href=x>', [('""href', "x")]),
        ("<!-- <a href=x> --><a href=y>", [("href", "y")]),
        ("<!--><a href=y>", [("href", "y")]),
        ("<!-- x --!><a href=y>", [("href", "y")]),
        ("<title><a href='</title><a href=y>", [("href", "y")]),
        ("<SCRIPT>'<a href=x>'</Script ><a href=y>", [("href", "y")]),
        ("<!DOCTYPE html><?xml x='1'?></ ><a href=y>", [("href", "y")]),
        ("a < b <a href=y>", [("href", "y")]),
        ("<" + "b" * 100 + " href=y>", [("href", "y")]),
        (f"<a href='{'x' * 100_000}' src=y>", [("href", "x" * MAX_VALUE), ("src", "y")]),
        (f"<a href={'x' * 100_000} src=y>", [("href", "x" * MAX_VALUE), ("src", "y")]),
    ],
)
def test_attributes(text, found):
    assert attributes(text) == found


def test_events():
    assert told("a&amp;b<a href=x>c</a >") == [
        (Kind.TEXT, "", "a&b"),
        (Kind.OPEN, "a", ""),
        (Kind.ATTRIBUTE, "href", "x"),
        (Kind.END, "a", ""),
        (Kind.TEXT, "", "c"),
        (Kind.CLOSE, "a", ""),
        (Kind.END, "a", ""),
    ]


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("&#" + "9" * 100_000 + ";", "\ufffd"),
        ("&#x" + "0" * 10_000 + "68;", "h"),
        ("&#" + "0" * 10_000 + "104abc", "habc"),
        ("&&amp;&nosuch;&", "&&&nosuch;&"),
        ("plain", "plain"),
    ],
)
def test_references(text, read):
    assert resolved(text) == read


SOME_HTML = st.lists(
    st.sampled_from([
        "<a", "<", ">", " href", "=", '"', "'", "x", "<!--", "-->", "-", "!", "</a>", "<script>", "</script>", "</",
        "/", " ", "\n", "&", "&#104;", "&amp;", "#", "<title", "x" * 200, "<b>", "</title ", "?", "\u00e9",
    ]),
    max_size=40,
).map("".join)  # fmt: skip


@settings(deadline=None)
@given(SOME_HTML, st.integers(1, 7))
def test_it_can_be_cut_anywhere(text, size):
    whole = told(text)
    assert told(text, size) == whole
    assert all(name == name.lower() for _, name, _ in whole)


def told_by_the_standard_library(text):
    found = []

    def tag(_self, _tag, attrs):
        found.extend((name, value) for name, value in attrs if value)

    standard = type("Standard", (html.parser.HTMLParser,), {"handle_starttag": tag})()
    standard.feed(text)
    standard.close()
    return found


WELL_FORMED = st.lists(
    st.builds(
        "<{0} {1}={quote}{2}{quote}>{3}</{0}>".format,
        st.sampled_from(["a", "td", "b"]),
        st.sampled_from(["href", "src", "x-y"]),
        st.text("abc:/.&;#1 <>?=", min_size=1, max_size=12),
        st.text("abc &;", max_size=9),
        quote=st.sampled_from(["'", '"']),
    ),
    max_size=5,
).map("".join)


@settings(deadline=None)
@given(WELL_FORMED)
def test_what_is_well_formed_is_read_as_the_standard_library_does(text):
    assert [said for said in attributes(text) if said[1]] == told_by_the_standard_library(text)

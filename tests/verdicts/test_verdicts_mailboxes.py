import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from verdicts.domains import host_of
from verdicts.fields import Fields
from verdicts.identity.author import author_of
from verdicts.identity.mailboxes import MAX_CHARACTERS, MAX_MAILBOXES, mailboxes, parse


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("ann@acme.example", [("", "ann@acme.example")]),
        ("<ann@acme.example>", [("", "ann@acme.example")]),
        ("Ann Archer <ann@acme.example>", [("Ann Archer", "ann@acme.example")]),
        ('"Archer, Ann" <ann@acme.example>', [("Archer, Ann", "ann@acme.example")]),
        ("Archer, Ann <ann@acme.example>", [("Archer, Ann", "ann@acme.example")]),
        (r'"Ann \"A\" Archer" <a@b>', [('Ann "A" Archer', "a@b")]),
        ("ann@acme.example (Ann Archer)", [("Ann Archer", "ann@acme.example")]),
        ("Ann (the boss) <a@b>", [("Ann", "a@b")]),
        ("=?utf-8?q?Ann_Archer?= <a@b>", [("Ann Archer", "a@b")]),
        ("=?utf-8?b?QW5u?= =?utf-8?b?IEFyY2hlcg==?= <a@b>", [("Ann Archer", "a@b")]),
        ('"=?utf-8?q?Ann_Archer?=" <a@b>', [("Ann Archer", "a@b")]),
        ("=?no?q?Ann?= <a@b>", [("Ann", "a@b")]),
        ('"ann@acme.example" <x@evil.example>', [("ann@acme.example", "x@evil.example")]),
        ("ann@acme.example <x@evil.example>", [("ann@acme.example", "x@evil.example")]),
        ("A <a@b>, C <c@d>", [("A", "a@b"), ("C", "c@d")]),
        ("a@b, c@d", [("", "a@b"), ("", "c@d")]),
        ("A <a@b> <c@d>", [("A", "a@b"), ("", "c@d")]),
        ("A <a@b>; C <c@d>", [("A", "a@b"), ("C", "c@d")]),
        ('"Ann Archer <x@evil.example>', [("Ann Archer", "x@evil.example")]),
        ('Ann" Archer <x@evil.example>', [("Ann  Archer", "x@evil.example")]),
        ("<ann@\tacme.example >", [("", "ann@acme.example")]),
        ("Ann", [("Ann", "")]),
        ("undisclosed-recipients:;", [("undisclosed-recipients:", "")]),
        ("", []),
        (" , ;, ", []),
        ("<>", []),
        ("A <a@b", [("A", "a@b")]),
        ('"', []),
        ('"\\', [("\\", "")]),
        ('x"y"z@b', [("", "xyz@b")]),
        ("Ann :( <a@b>", [("Ann :[", "a@b")]),
        ("Ann (a (b) c) <a@b>", [("Ann", "a@b")]),
        ("Team: a@b, c@d;", [("", "a@b"), ("", "c@d")]),
        ("A <<a@b>>", [("A >", "a@b")]),
    ],
)
def test_mailboxes_are_read_as_clients_show_them(text, found):
    assert parse(text) == found


def boxes(head):
    return mailboxes(Fields.parse(head), "From")


def test_all_fields_of_a_name_count():
    read = boxes(b"From: a@b\r\nX: y\r\nfrom: Ann\r\n Archer <c@d>\r\n\r\n")
    assert read == ((("", "a@b"), ("Ann Archer", "c@d")), False)
    assert [box.domain for box in read.boxes] == ["b", "d"]


@pytest.mark.parametrize(
    "head",
    [
        b"From: " + b" " * 5 + b"x" * (MAX_CHARACTERS + 1) + b" <a@b>\r\n\r\n",
        b"From: a@b\r\n" * 5 + b"\r\n",
        b"From: " + b"a@b," * (MAX_MAILBOXES + 1) + b"\r\n\r\n",
        b"From: a@b" + b";" * 300 + b"\r\n\r\n",
        b"From: " + b"=?utf-8?q??= " * 65 + b"<a@b>\r\n\r\n",
    ],
)
def test_more_than_is_read_is_told(head):
    read = boxes(head)
    assert read.truncated
    assert len(read.boxes) <= MAX_MAILBOXES


@given(st.text(alphabet='a@b.<>",;()\\ =?utf-8q', max_size=200))
def test_garbage_raises_nothing_and_every_box_says_something(text):
    assert all(box.name or box.address for box in parse(text))


LINES = st.lists(
    st.sampled_from(
        ["a@x.example", "b@y.example", "<b@y.example>", "Ann", '"Ann"', "(Ann)", *'"()<>,;:\\ @.'],
    ),
    max_size=9,
).map("".join)


@settings(deadline=None)
@given(LINES)
@example('a@ac""me.example')
@example("<a@x.example.,>")
@example('<a@x.example"b@y.example>')
def test_an_author_is_who_is_shown(line):
    fields = Fields.parse(f"From: {line}\r\n\r\n".encode())
    author = author_of(fields)
    if author.domain:
        assert {host_of(box.domain) for box in mailboxes(fields, "From").boxes} == {author.domain}


@pytest.mark.parametrize("before", ["", '"', "(", "((", "<", '("'])
@pytest.mark.parametrize(
    "piece", ['"', '"\\', "(", "(\\", "<", "\\", ",", "a<", '""', "=?", "()", "=?a?q?", "a@", "<>", ";", "@,", "((a)"]
)
def test_nothing_is_slow(before, piece):
    text = (before + piece * MAX_CHARACTERS)[:MAX_CHARACTERS]
    begun = time.process_time()
    parse(text)
    assert time.process_time() - begun < 0.05  # it takes five milliseconds

"""Dot-stuffing against find and replace, with windows and counts so small that each edge is met."""

from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay import dots

TEXT = st.lists(st.sampled_from([b"\r\n.", b"\r\n", b"\r", b"\n", b".", b"a", b"aaaa"]), max_size=40).map(b"".join)
SMALL = st.tuples(st.integers(1, 9), st.integers(0, 3))


def small(sizes):
    return patch.multiple(dots, WINDOW=sizes[0], MANY=sizes[1])


@given(TEXT, SMALL)
def test_first(text, sizes):
    found = text.find(b"\r\n.")
    with small(sizes):
        assert dots.first(text) == (found + 2 if found >= 0 else -1)


@given(TEXT, st.integers(0, 40), SMALL)
def test_find_end(text, start, sizes):
    found = text.find(b"\r\n.\r\n", max(start - 2, 0))
    with small(sizes):
        assert dots.find_end(text, start) == (found + 2 if found >= 0 else -1)


@pytest.mark.parametrize("new", [b"", b".."])
@given(text=TEXT, sizes=SMALL)
def test_replaced(text, sizes, new):
    with small(sizes):
        assert dots.replaced(text, new) == text.replace(b"\r\n.", b"\r\n" + new)


@pytest.mark.parametrize("count", [1, dots.MANY, dots.MANY + 1, 5000])
def test_as_it_is(count):
    text = (b"x" * dots.WINDOW + b"\r\n.y") * count + b"\r\n"
    assert dots.replaced(text, b"..") == text.replace(b"\r\n.", b"\r\n..")
    assert dots.find_end(text + b".\r\n", 0) == len(text)


def test_what_has_none_is_not_copied():
    text = b"a.b\r\n" * 3000
    assert dots.replaced(text, b"..") is text

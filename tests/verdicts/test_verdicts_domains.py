import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from verdicts.domains import a_label, host_of
from verdicts.web.hosts import read_host


@pytest.mark.parametrize(
    ("name", "proven", "seen"),
    [
        ("Acme.Example.", "acme.example", "acme.example"),
        ("b\u00fccher.example", "xn--bcher-kva.example", "xn--bcher-kva.example"),
        ("B\u00dcCHER\u3002example", "xn--bcher-kva.example", "xn--bcher-kva.example"),
        ("\uff41cme.example", "acme.example", "acme.example"),
        ("_dmarc.acme.example", "_dmarc.acme.example", "_dmarc.acme.example"),
        ("\U0001f4a9.example", "", "xn--ls8h.example"),  # forbidden by IDNA 2008, and registered by some
        ("acme.example..", "", "acme.example"),
        (" acme.example ", "", "acme.example"),
        ("a b.example", "", "a b.example"),
        ("a..example", "", "a..example"),
        ("x" * 64 + ".example", "", "x" * 64 + ".example"),
        ("y." * 130, "", ("y." * 127)),
        ("", "", ""),
    ],
)
def test_names(name, proven, seen):
    assert a_label(name) == proven
    assert host_of(name) == seen


@given(st.text(st.characters(codec=None), max_size=40) | st.from_regex(r"[a-zA-Z\u00c0-\u00ff.-]{1,30}"))
@example("\ud800.example")
@example("\u2024.example")
def test_all_who_read_a_name_agree_on_it_or_do_not_take_it(name):
    seen = host_of(name)
    assert host_of(seen) == seen
    if a_label(name):
        assert a_label(name) == seen
        assert a_label(seen) == seen
    browsers = None if set(name) & set("%[]") else read_host(name)
    if browsers and not browsers.address and name == name.strip():
        assert browsers.name == seen

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from verdicts.web.prose import READABLE, WRITTEN_OUT, Prose
from verdicts.web.redirectors import is_shortener, targets
from verdicts.web.urls import read_url

BASE = read_url("https://base.example/a/b?c=/d")


@pytest.mark.parametrize(
    ("text", "url", "tricks"),
    [
        ("https://evil.example/a?b#c", "https://evil.example/a?b#c", ""),
        ("HTTPS://EVIL.example", "https://evil.example", ""),
        ("https://paypal.com@evil.example/x", "https://evil.example/x", "userinfo"),
        ("https://paypal.com:pw%40@evil.example:8443?a@b", "https://evil.example?a@b", "userinfo"),
        ("https://good.example\\@evil.example", "https://good.example/@evil.example", ""),
        ("http:\\\\evil.example\\a", "http://evil.example/a", "odd-slashes"),
        ("https:/evil.example", "https://evil.example", "odd-slashes"),
        ("https:evil.example", "https://evil.example", "odd-slashes"),
        ("https:////evil.example", "https://evil.example", "odd-slashes"),
        (" \x01ht\ntps:/\t/ev\r\nil.example/ ", "https://evil.example/", "blanks"),
        ("hxxps[:]//evil[.]example/a", "https://evil.example/a", "defanged"),
        ("hXXp://evil(dot)example", "http://evil.example", "defanged"),
        ("http[://]evil{.}example", "http://evil.example", "defanged"),
        ("meow://evil.example", "http://evil.example", "defanged"),
        ("https://%65vil.example/", "https://evil.example/", "hidden-host"),
        ("http://0x7f.1/", "http://127.0.0.1/", "odd-address"),
        ("http://2130706433:80/", "http://127.0.0.1/", "odd-address"),
        ("http://127.0.0.1/", "http://127.0.0.1/", ""),
        ("http://[2001:db8::1]:80/", "http://[2001:db8::1]/", ""),
        ("http://evil.example./", "http://evil.example/", ""),
        ("http://evil.example:000000000080/a", "http://evil.example/a", ""),
        ("http://evil.example/a/./b/../c/%2E%2e/d?e/../f", "http://evil.example/a/d?e/../f", ""),
        ("http://evil.example/a/..", "http://evil.example/", ""),
        ("http://evil.example/../../a/.", "http://evil.example/a/", ""),
        ("http://evil.example?a/../b", "http://evil.example?a/../b", ""),
        ("//evil.example/x", "https://evil.example/x", ""),
        ("\\\\evil.example\\x", "https://evil.example/x", "odd-slashes"),
        ("file://evil.example/share", "file://evil.example/share", ""),
        ("file:////evil.example/share", "file://evil.example/share", ""),
        ("www.evil.com", "http://www.evil.com", ""),
        ("evil.com:8080/x", "http://evil.com/x", ""),
        ("evil[.]com", "http://evil.com", "defanged"),
        ("java\nscript:alert(1)", "javascript:alert(1)", "blanks"),
        ("data:text/html,<a", "data:text/html,<a", ""),
        *((text, None, "") for text in (
            "", "#top", "mailto:bob@acme.com", "bob@acme.com", "cid:1", "index.html", "file:///etc/pass.wd", "http://",
            "http://a b.example/", "http://evil.example:x/", "tel:+1", "about:blank", "evil.unheardof",
        )),
    ],
)  # fmt: skip
def test_a_url(text, url, tricks):
    found = read_url(text)
    assert (found and found.text) == url
    assert (set(found.tricks) if found else set()) == set(tricks.split())


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("x", "https://base.example/a/x"),
        ("/x", "https://base.example/x"),
        ("//evil.example/x", "https://evil.example/x"),
        ("http://evil.example", "http://evil.example"),
        ("?x", "https://base.example/a/?x"),
        ("#x", None),
        ("", None),
        ("mailto:x", None),
    ],
)
def test_a_relative_url(text, url):
    found = read_url(text, BASE)
    assert (found and found.text) == url


@settings(deadline=None)
@given(
    st.text(st.characters(codec=None)) | st.from_regex(r"h[tx]{2}ps?:[/\\]{0,3}[\w.%@:\[\]()\\/?#&=\t]{0,60}"),
    st.booleans(),
)
def test_any_text_is_a_url_or_none(text, based):
    found = read_url(text, BASE if based else None)
    if found is not None:
        assert found.host.isascii()
        assert found.domain in found.host
        assert isinstance(targets(found), list)
        again = read_url(found.text)
        assert again is None or again.host == found.host


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("https://www.google.com/url?q=https%3A%2F%2Fevil.example%2Fx&sa=D", "https://evil.example/x"),
        ("https://google.de/url?sa=t&url=evil.com", "evil.com"),
        ("https://www.google.com/amp/s/evil.example/x", "http://evil.example/x"),
        ("https://evil--site-com.translate.goog/x", "http://evil-site.com"),
        (
            "https://eur01.safelinks.protection.outlook.com/?url=https%3A%2F%2Fevil.example%2F&data=05",
            "https://evil.example/",
        ),
        ("https://urldefense.com/v3/__https://evil.example__;!!abc", "https://evil.example"),
        ("https://urldefense.com/v3/__https:/evil.example/a__;Kg!!abc", "https:/evil.example/a"),
        ("https://urldefense.proofpoint.com/v2/url?u=http-3A__evil.example_a-2Db&d=x", "http://evil.example/a-b"),
        ("https://urldefense.proofpoint.com/v1/url?u=http://evil.example/&k=x", "http://evil.example/"),
        ("https://secure-web.cisco.com/1abc/https%3A%2F%2Fevil.example%2Fx", "https://evil.example/x"),
        ("https://protect.checkpoint.com/v2/___https://evil.example___.abc", "https://evil.example"),
        ("https://www.bing.com/ck/a?!&&p=1&u=a1aHR0cHM6Ly9ldmlsLmV4YW1wbGUv&ntb=1", "https://evil.example/"),
        ("https://l.facebook.com/l.php?u=https%3A%2F%2Fevil.example%2F&h=A", "https://evil.example/"),
        ("https://linkprotect.cudasvc.com/url?a=https%3a%2f%2fevil.example&c=E", "https://evil.example"),
        ("https://any.example/r?to=https%253A%252F%252Fevil.example", "https://evil.example"),
        ("https://any.example/http://evil.example/", "http://evil.example/"),
        ("https://any.example/#aHR0cHM6Ly9ldmlsLmV4YW1wbGUv", "https://evil.example/"),
    ],
)
def test_where_a_redirector_leads(url, target):
    assert target in targets(read_url(url))


def test_who_does_not_redirect():
    assert targets(read_url("https://acme.example/a?b=c&u=evil.com#http")) == []
    assert is_shortener(read_url("https://bit.ly/abc"))
    assert not is_shortener(read_url("https://bit.ly/"))
    assert not is_shortener(read_url("https://acme.example/abc"))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("see http://evil.example/a, or not.", ["http://evil.example/a"]),
        ("(https://evil.example/a(b))", ["https://evil.example/a(b"]),
        ("<https://evil.example>", ["https://evil.example"]),
        ("at [2001:db8::1] http://[2001:db8::1]", ["http://[2001:db8::1]"]),
        ("xhttp://evil.example", ["http://evil.example"]),
        ("HXXPS[:]//evil[.]example.", ["HXXPS[:]//evil[.]example"]),
        ("go to evil.com/x or www.evil.org!", ["evil.com/x", "www.evil.org"]),
        ("evil[.]com, evil(dot)com evil\u3002com", ["evil[.]com", "evil(dot)com", "evil\u3002com", "evil"]),
        ("bob.smith@acme.com wrote 3.14, e.g. this", []),
        ("http://evil.example/\u8bf7\u70b9\u51fb", ["http://evil.example/\u8bf7\u70b9\u51fb", "http://evil.example/"]),
        ("http://evil.example\u8bf7", ["http://evil.example\u8bf7", "http://evil.example"]),
    ],
)
def test_urls_in_prose(text, found):
    assert list(Prose(READABLE).feed(text, over=True)) == found


SOME_PROSE = st.lists(
    st.sampled_from(
        ["http://", "evil.com", "[.]", "hxxp[:]//", " ", "\n", "/a?b", "@", "x" * 50, "(dot)", "<", '"', ".", ","]
    ),
    max_size=30,
).map("".join)


@settings(deadline=None)
@given(SOME_PROSE, st.integers(1, 9))
def test_prose_can_be_cut_anywhere(text, size):
    for pattern in (READABLE, WRITTEN_OUT):
        prose = Prose(pattern)
        pieces = [text[at : at + size] for at in range(0, len(text), size)]
        found = [url for piece in pieces for url in prose.feed(piece)] + list(prose.feed("", over=True))
        assert found == list(Prose(pattern).feed(text, over=True))


def test_text_without_a_blank_is_not_kept():
    prose = Prose(READABLE)
    for _ in range(300):
        assert list(prose.feed("x" * 4_000)) == []
    assert "http://evil.example/" in [*prose.feed("http://evil.example/ "), *prose.feed("", over=True)]
    assert len(prose._rest) < 10_000

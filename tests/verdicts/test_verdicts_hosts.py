import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from verdicts.web.hosts import Host, core, has_known_suffix, read_host, registered, unicode_name


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("acme.example", Host("acme.example")),
        ("WWW.Acme.Example.", Host("www.acme.example")),
        ("a_b.acme.example", Host("a_b.acme.example")),
        ("%65vil.example", Host("evil.example", odd=True)),
        ("\uff45\uff56\uff49\uff4c.example", Host("evil.example", odd=True)),
        ("ev\u200bi\u00adl.example", Host("evil.example", odd=True)),
        ("evil\u3002example", Host("evil.example", odd=True)),
        ("b\u00fccher.example", Host("xn--bcher-kva.example")),
        ("B\u00dcCHER.example", Host("xn--bcher-kva.example")),
        ("XN--BCHER-KVA.example", Host("xn--bcher-kva.example")),
        ("\U0001f4a9.example", Host("xn--ls8h.example")),
        ("1.2.3.4.example", Host("1.2.3.4.example")),
        ("192.0.2.1", Host("192.0.2.1", True)),
        ("192.0.2.1.", Host("192.0.2.1", True)),
        ("3221225985", Host("192.0.2.1", True, True)),
        ("0xC0000201", Host("192.0.2.1", True, True)),
        ("030000001001", Host("192.0.2.1", True, True)),
        ("192.0.513", Host("192.0.2.1", True, True)),
        ("0xc0.0.0x2.01", Host("192.0.2.1", True, True)),
        ("%31%39%32.0.2.1", Host("192.0.2.1", True, True)),
        ("\uff11\uff19\uff12.0.2.1", Host("192.0.2.1", True, True)),
        ("[2001:DB8:0::1]", Host("2001:db8::1", True)),
        ("[fe80::1%25eth0]", Host("fe80::1", True, True)),
        ("[::ffff:192.0.2.1]", Host("192.0.2.1", True, True)),
        ("[::FFFF:c000:201]", Host("192.0.2.1", True, True)),
        *((text, None) for text in (
            "", ".", "a..example", "[::1::2]", "[]", "256.1.1.1", "1.2.3.4.5", "08.1", "9" * 100, "a b.example",
            "evil.example%2fpath", "x" * 64 + ".example", "y." * 130 + "example", "z" * 2_000, "<.example",
        )),
    ],
)  # fmt: skip
def test_host(text, host):
    assert read_host(text) == host


@settings(deadline=None)
@given(st.text(st.characters(codec=None)) | st.from_regex(r"[0-9a-fx.%\[\]:]{1,40}"))
@example("\ud800.example")
@example("xn--\u00e9.example")
@example("xn--99999999.example")
def test_any_text_is_a_host_or_none(text):
    host = read_host(text)
    if host is not None:
        assert host.name.isascii()
        assert host.name == host.name.lower()
        assert not set(host.name) & set(" /\\@?#%<>[]")
        assert read_host(f"[{host.name}]" if ":" in host.name else host.name)[:2] == host[:2]
        assert host.name.endswith(registered(host.name))
        assert isinstance(unicode_name(host.name), str)


@pytest.mark.parametrize(
    ("name", "domain", "label", "known"),
    [
        ("www.acme.co.uk", "acme.co.uk", "acme", True),
        ("a.b.acme.com", "acme.com", "acme", True),
        ("x.me.github.io", "me.github.io", "me", True),  # of the private section
        ("github.io", "github.io", "github", False),
        ("www.acme.unheardof", "acme.unheardof", "acme", False),
        ("com", "com", "com", False),
        ("a.xn--bcher-kva.xn--p1ai", "xn--bcher-kva.xn--p1ai", "xn--bcher-kva", True),
        ("mail.acme.onmicrosoft.com", "acme.onmicrosoft.com", "acme", True),
        ("a.acme.mail.onmicrosoft.com", "acme.mail.onmicrosoft.com", "acme", True),
        ("a.acme.mail.onmicrosoft.us", "acme.mail.onmicrosoft.us", "acme", True),
        ("a.acme.partner.onmschina.cn", "acme.partner.onmschina.cn", "acme", True),
        ("a.acme.partner.mail.onmschina.cn", "acme.partner.mail.onmschina.cn", "acme", True),
        ("onmicrosoft.com", "onmicrosoft.com", "onmicrosoft", False),
        ("notonmicrosoft.com", "notonmicrosoft.com", "notonmicrosoft", True),
        ("192.0.2.1", "192.0.2.1", "192", False),
        ("2001:db8::1", "2001:db8::1", "2001:db8::1", False),
    ],
)
def test_what_was_registered(name, domain, label, known):
    assert registered(name) == domain
    assert core(name) == label
    assert has_known_suffix(name) == known

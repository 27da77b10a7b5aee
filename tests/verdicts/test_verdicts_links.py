import asyncio
import base64
import gc
import time
import weakref

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from verdicts.kit import MALFORMED, letter, mail_of
from verdicts.web.links import Limits, Links, links, links_of

WORST_STEP = 0.05


def page(text, charset="utf-8"):
    encoded = base64.encodebytes(text.encode(charset))
    head = f"Content-Type: text/html; charset={charset}\r\nContent-Transfer-Encoding: base64\r\n\r\n"
    return mail_of(head.encode() + encoded)


async def hosts(mail, **limits):
    return [link.url.host for link in (await links(mail, Limits(**limits))).links]


@pytest.mark.parametrize(
    ("html", "found"),
    [
        ("<a href='https://evil.example/'>x</a>", ["evil.example"]),
        ("<a href='//evil.example/'>x</a>", ["evil.example"]),
        ("<a href='evil.com'>x</a>", ["evil.com"]),
        ("<a href='h&#116;tp&colon;//evil.example/'>x</a>", ["evil.example"]),
        ("<area href=//a.example><img src=//b.org><form action=//c.net>", ["a.example", "b.org", "c.net"]),
        ("<button formaction=//evil.example><td background=//two.example>", ["evil.example", "two.example"]),
        ("<meta http-equiv=refresh content=\"0; URL='//evil.example/'\">", ["evil.example"]),
        ("<base href='https://evil.example/x/'><a href=y>x</a>", ["evil.example", "evil.example"]),
        ("<img srcset='//one.example/a 1x, //two.example/b 2x'>", ["one.example", "two.example"]),
        ("<svg><a xlink:href='//evil.example'>x</a></svg>", ["evil.example"]),
        ("<!--[if mso]><a href='https://evil.example/'>x</a><![endif]-->", ["evil.example"]),
        ("<!--[if mso]><a href='h&#116;tps://evil.example/'>x</a><![endif]-->", ["evil.example"]),
        ("<!--[if mso]><a href='//evil.example/'>x</a><![endif]-->", ["evil.example"]),
        ("<!-- <a x=' --><!--[if mso]><script>--><!--[if mso]><a href='//evil.example'>x", ["evil.example"]),
        ("<a href=//a.example><!-- <a href=//b.example><!-- <a href=//c.example> -->", ["a.example", "b.example"]),
        ("<noembed><a href='h&#116;tps://evil.example/'>x</a></noembed>", ["evil.example"]),
        ("<a href='ms-word:ofe|u|h&#116;tps://evil.example/x.docm'>x</a>", ["evil.example"]),
        ("<a onclick='location=&quot;h&#116;tps://evil.example&quot;'>x</a>", ["evil.example"]),
        ("<meta http-equiv=refresh content='0;//evil.example/'>", ["evil.example"]),
        ("<a href='https://evil.example:00000000443/'>x</a>", ["evil.example"]),
        ("<script>location = 'https://evil.example/'</script>", ["evil.example"]),
        ("<style>a { background: url(https://evil.example/) }</style>", ["evil.example"]),
        ("<a href='x' title='<b' https://evil.example/", ["evil.example"]),
        ("<p>Go to ev<b>il</b>.com now</p>", ["evil.com"]),
        ("<p>one.com</p><p>two.com</p>", ["one.com", "two.com"]),
        ("<a href='#top'>x</a><a href='mailto:bob@acme.com'>bob@acme.com</a><img src='cid:1'>", []),
        ("<a href='https://eur01.safelinks.protection.outlook.com/?url=https%3A%2F%2Fevil.example%2F&amp;data=05'>x</a>",
         ["eur01.safelinks.protection.outlook.com", "evil.example"]),
    ],
)  # fmt: skip
async def test_links_of_html(html, found):
    seen = await hosts(page(html))
    assert list(dict.fromkeys(seen)) == list(dict.fromkeys(found))


@pytest.mark.parametrize("size", [1, 4_090, 4_096])
async def test_a_reference_that_is_cut_is_whole(size):
    assert await hosts(page("x" * size + "<!-- " + "h&#116;&#116;ps://evil.example/ -->")) == ["evil.example"]


async def test_a_soft_line_break_may_have_white_space_behind_it():
    head = b"Content-Type: text/html\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
    assert await hosts(mail_of(head + b"<a href=3D'https://ev= \t\r\nil.example/'>x</a>")) == ["evil.example"]


@pytest.mark.parametrize(
    ("html", "shown"),
    [
        ("<a href='https://evil.example/'>https://www.acme.com/login</a>", "www.acme.com"),
        ("<a href='https://evil.example/'> <b>acme</b>.com </a>", "acme.com"),
        ("<a href='https://evil.example/'>www.acme.com<a href='https://acme.com/'>www.acme.com</a>", "www.acme.com"),
        ("<a href='https://evil.example/'>acme.com", "acme.com"),
        ("<a href='https://login.acme.com/'>www.acme.com</a>", ""),
        ("<a href='https://evil.example/'>Visit acme.com now</a>", ""),
        ("<a href='https://evil.example/'>bob@acme.com</a>", ""),
        ("<a href='https://www.google.com/url?q=https%3A%2F%2Facme.com'>acme.com</a>", ""),
        ("<a href='https://evil.example/'>click</a> acme.com", ""),
    ],
)
async def test_what_people_see_in_its_stead(html, shown):
    found = await links(page(html))
    assert {link.shown for link in found.links} - {""} == ({shown} if shown else set())


async def test_a_base_is_of_what_follows():
    found = await links(page("<a href=x><base href='//one.example/a/b'><base href='//two.example'><a href=c>x</a>"))
    assert [link.url.text for link in found.links] == [
        "https://one.example/a/b",
        "https://two.example",
        "https://one.example/a/c",
    ]


async def test_links_of_text_and_subject():
    mail = mail_of(letter("See https://one.example/a,\r\nor hxxp://two[.]example.\r\n", subject="three.com"))
    found = await links(mail)
    assert [(link.url.text, link.place) for link in found.links] == [
        ("http://three.com", "subject"),
        ("https://one.example/a", "text"),
        ("http://two.example", "text"),
    ]
    assert found.unread == ()
    encoded = mail_of(b"Subject: =?utf-8?b?aHR0cHM6Ly9ldmlsLmV4YW1wbGUv?=\r\n\r\n")
    assert await hosts(encoded) == ["evil.example"]


@pytest.mark.parametrize("charset", ["utf-16", "utf-16-le", "utf-7", "iso-8859-5", "gb18030", "iso-2022-jp"])
async def test_charsets(charset):
    assert "evil.example" in await hosts(page("<a href='https://evil.example/'>x</a>", charset))


@pytest.mark.parametrize(
    "charset", ["nosuch", "idna", "unicode_escape", "rot13", "hex", "undefined", "x" * 3_000, "utf-16", ""]
)
async def test_charsets_that_are_none(charset):
    text = f"Content-Type: text/plain; charset={charset}\r\n\r\nhttps://evil.example/ \ud800\r\n"
    found = await links(mail_of(text.encode("utf-8", "surrogatepass")))
    assert charset == "utf-16" or [link.url.host for link in found.links] == ["evil.example"]


async def test_an_attached_page_is_read_whatever_it_is_called():
    mail = mail_of(
        letter(attachments=[("Invoice.HTML", b"<a href=//evil.example>x</a>"), ("a.bin", b"http://no.example")])
    )
    assert await hosts(mail) == ["evil.example"]


@settings(deadline=None)
@given(
    st.lists(st.sampled_from(["<a href=", "'", "http://x.example/", ">", "y.com", " ", "<!--", "-->", "&#104;"])).map(
        "".join
    )
)
def test_hostile_html_is_read(html):
    found = asyncio.run(links(page(html)))
    assert isinstance(found, Links)


@pytest.mark.parametrize("name", MALFORMED)
async def test_malformed(name):
    assert isinstance(await links(mail_of(MALFORMED[name])), Links)


@pytest.mark.parametrize(
    ("text", "limits", "count", "reason"),
    [
        (
            "http://a.example " + "x" * 5_000 + " http://b.example",
            {"bytes": 5_000},
            1,
            "it has more text than is looked at",
        ),
        (" ".join(f"http://h{n}.example" for n in range(30)), {"urls": 20}, 20, "it has more than 20 links"),
        (" ".join(f"http://[{n}" for n in range(30)), {"urls": 2}, 0, "it has more than 20 strings that may be links"),
        ("http://x.example/" + "x" * 9_000 + "?http://y.example", {}, 2, "it has a link of more than 8192 characters"),
        ("http://x.example/?" * 8, {}, 6, "it has a link through more than 5 redirectors"),
    ],
)
async def test_limits_are_told(text, limits, count, reason):
    found = await links(mail_of(letter(text)), Limits(**limits))
    assert len(found.links) == count
    assert found.unread == (reason,)


async def test_parts_that_are_not_found_are_told():
    found = await links(mail_of(MALFORMED["many parts"]))
    assert found.unread == ("not all parts of the message were found",)
    long_subject = await links(mail_of(b"Subject: " + b"x" * 20_000 + b"\r\n\r\nbody"))
    assert long_subject.unread == ("the subject is too long",)


async def test_engines_share_one_reading_and_may_be_cancelled():
    mail = mail_of(letter("http://a.example " * 100_000 + "http://b.example"))
    first, second = asyncio.create_task(links(mail)), asyncio.create_task(links(mail))
    for _ in range(5):
        await asyncio.sleep(0)
    first.cancel()
    found = await second
    assert [link.url.host for link in found.links] == ["a.example", "b.example"]
    assert await links(mail) == found
    assert len([key for key in mail.cache if key.startswith("links:")]) == 1


def test_half_a_reading_is_gone_with_the_mail():
    mail = mail_of(letter("http://a.example " * 100_000))
    asking = links(mail)
    for _ in range(5):
        asking.send(None)
    asking.close()
    (reading,) = [value for key, value in mail.cache.items() if key.startswith("links:")]
    gone = weakref.ref(reading)
    gc.disable()
    try:
        del mail, asking, reading
        assert gone() is None
    finally:
        gc.enable()


HOSTILE = {
    "tags": b"<a" * 500_000,
    "attributes": b"<a " * 300_000,
    "quotes": b"<a href='" * 100_000,
    "links": b"".join(b"<a href=//h%d.example/>x.com</a>" % n for n in range(30_000)),
    "references": b"&#1" * 300_000,
    "comments": b"<!--" * 250_000,
    "brackets": b"a[.]" * 250_000,
    "dots": b"a.bc" * 250_000,
    "no blank": b"x" * 1_000_000,
    "schemes": b"http:" * 200_000,
}


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("kind", [b"html", b"plain"])
async def test_the_loop_is_not_held(name, kind):
    mail = mail_of(b"Content-Type: text/" + kind + b"\r\n\r\n" + HOSTILE[name])
    await mail.read_structure()
    gc.collect()
    task, longest, last = asyncio.create_task(links(mail)), 0.0, time.thread_time()
    while not task.done():
        await asyncio.sleep(0)
        now = time.thread_time()
        longest, last = max(longest, now - last), now
    assert longest < WORST_STEP


async def test_urls_found_elsewhere():
    found = await links_of([("https://www.google.com/url?q=https://evil.example", "qr"), ("hello", "qr")])
    assert [(link.url.host, link.place, link.behind) for link in found.links] == [
        ("www.google.com", "qr", ""),
        ("evil.example", "qr", "www.google.com"),
    ]
    assert (await links_of([(f"http://h{n}.example", "pdf") for n in range(9)], Limits(urls=5))).unread
    assert (await links_of([(f"x{n}", "pdf") for n in range(99)], Limits(urls=5))).unread

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from verdicts.web.hosts import read_host
from verdicts.web.lookalikes import disguised, likeness, one_edit_apart

PROTECTED = (
    "contoso.com", "acme.example", "mail.microsoft.com", "xn--bcher-kva.example", "fabrikam.onmicrosoft.com",
)  # fmt: skip


@pytest.mark.parametrize(
    ("domain", "like"),
    [
        ("contoso.org", "contoso.com"),
        ("c0ntoso.com", "contoso.com"),
        ("contos\u043e.com", "contoso.com"),
        ("c\u00f6ntoso.com", "contoso.com"),
        ("\u0441\u043e\u043d\u0442\u043e\u0455\u043e.com", "contoso.com"),
        ("cantoso.com", "contoso.com"),
        ("contso.net", "contoso.com"),
        ("conttoso.com", "contoso.com"),
        ("contsoo.com", "contoso.com"),
        ("contoso-login.com", "contoso.com"),
        ("my-contoso.com", "contoso.com"),
        ("contosologin.com", "contoso.com"),
        ("securecontoso.com", "contoso.com"),
        ("contoso.com.evil.example", "contoso.com"),
        ("login.contoso.com.evil.example", "contoso.com"),
        ("contoso-com.evil.example", "contoso.com"),
        ("c0ntoso.com.evil.example", "contoso.com"),
        ("contoso.com\u2215login.evil.example", "contoso.com"),
        ("rnicrosoft.com", "mail.microsoft.com"),
        ("acme.org", "acme.example"),
        ("bucher.example", "xn--bcher-kva.example"),
        ("acme-example.evil.org", "acme.example"),
        ("fabrlkam.onmicrosoft.com", "fabrikam.onmicrosoft.com"),
        ("fabrikam-login.onmicrosoft.com", "fabrikam.onmicrosoft.com"),
        ("fabrikam.onmicrosoft.us", "fabrikam.onmicrosoft.com"),
        ("fabrikamlogin.mail.onmicrosoft.com", "fabrikam.onmicrosoft.com"),
        # themselves, and what is only somewhat like them
        ("contoso.com", None),
        ("www.contoso.com", None),
        ("www.microsoft.com", None),
        ("mail.fabrikam.onmicrosoft.com", None),
        ("fabrikam.mail.onmicrosoft.com", None),
        ("other.onmicrosoft.com", None),
        ("onmicrosoft-portal.example", None),
        ("acne.example", None),  # too short a name for one edit
        ("contoso.sharepoint.com", None),
        ("notcontosoatall.com", None),
        ("contest.com", None),
        ("evil.example", None),
        ("example", None),
        ("192.0.2.1", None),
    ],
)
async def test_lookalike(domain, like):
    assert (await likeness(read_host(domain).name, PROTECTED)).like == (like or "")


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("\u0430\u0440\u0440\u04cf\u0435.com", True),
        ("pa\u0443pal.com", True),
        ("www.\u0430cme.example", True),
        ("\u043f\u043e\u0447\u0442\u0430.com", False),
        ("\u0441\u043e\u0440.\u0440\u0444", False),
        ("b\u00fccher.example", False),
        ("\u65e5\u672ctv.example", False),
        ("acme.example", False),
    ],
)
def test_disguised(name, answer):
    assert disguised(read_host(name).name) is answer


@settings(deadline=None)
@given(st.text("abc", max_size=6), st.text("abc", max_size=6))
def test_one_edit_apart_is_what_edits_make(one, other):
    places = range(len(one) + 1)
    edited = {one[:at] + one[at + 1 :] for at in places}
    edited |= {one[:at] + letter + one[at + more :] for at in places for letter in "abc" for more in (0, 1)}
    edited |= {one[:at] + one[at : at + 2][::-1] + one[at + 2 :] for at in places}
    assert one_edit_apart(one, other) == (other in edited - {one})


@settings(deadline=None)
@given(
    st.from_regex(r"[a-z0-9.\-]{1,60}", fullmatch=True),
    st.lists(st.from_regex(r"[a-z-]{1,9}\.[a-z]{2}", fullmatch=True)),
)
def test_anything_can_be_compared(domain, protected):
    assert asyncio.run(likeness(domain, protected)).like in ("", *protected)
    assert asyncio.run(likeness("contoso.org", PROTECTED)).like == "contoso.com"

"""All who ask whose a domain is have the same view of it, also where two customers share one of Microsoft's."""

import time

import pytest
from doubles.signing import key, signed

from verdicts.engines.authentication import AuthenticationEngine
from verdicts.engines.impersonation import Impersonation
from verdicts.engines.links import LinkEngine
from verdicts.engines.lists import Lists as ListsEngine
from verdicts.kit import PretendDns, PretendHistory, letter, mail_of, pretend_tools
from verdicts.lists import Entry, Lists
from verdicts.mail import Profile

WELL_KNOWN = PretendHistory({("acme", "x@evil.onmicrosoft.com"): 9, ("acme", "x@evil.mail.onmicrosoft.com"): 9})
REPORT = ("X-Forefront-Antispam-Report", "CIP:192.0.2.7;CTRY:DE;H:mail.sender.example;SCL:1;DIR:INB;")
SHARED = pytest.mark.parametrize("shared", ["onmicrosoft.com", "mail.onmicrosoft.com"])


class Asked(PretendDns):
    """Remembers the names, and signs for all of Microsoft's customers but one."""

    def __init__(self):
        super().__init__(
            {f"s._domainkey.evil.{shared}": [key().record] for shared in ("onmicrosoft.com", "mail.onmicrosoft.com")}
        )
        self.names = []

    async def records(self, name, kind):
        self.names.append(name)
        return await super().records(name, kind)


def message(author, text="Good morning.", **more):
    return letter(text, **{"headers": [REPORT], **more}).replace(b"Ann <ann@sender.example>", author.encode())


async def names(engine, content, *, dns=None, profile=None, sender="", **options):
    tools = pretend_tools(dns=dns or Asked(), history=WELL_KNOWN)
    tools.clock.now = time.time()  # signatures are of today
    judging = engine(engine.Options.model_validate(options), tools)
    mail = mail_of(content, sender=sender, profile=profile or Profile(domains=("acme.example",)))
    return [finding.name for finding in await judging.judge(mail)]


@SHARED
async def test_a_signature_of_one_customer_proves_nothing_of_another(shared):
    content = signed(message(f"<boss@bank.{shared}>"), f"evil.{shared}")
    dns = Asked()
    dns.texts[f"_dmarc.bank.{shared}"] = ["v=DMARC1; p=reject"]
    assert "DMARC_FAIL" in await names(AuthenticationEngine, content, dns=dns)
    allowed = Lists([Entry("allow", "sender", f"bank.{shared}", "ticket 1")])
    assert await names(ListsEngine, content, profile=Profile(lists=allowed)) == ["LIST_ALLOW_UNUSED"]
    own = signed(message(f"<x@evil.{shared}>"), f"evil.{shared}")
    allowed = Lists([Entry("allow", "sender", f"evil.{shared}", "ticket 1")])
    assert await names(ListsEngine, own, profile=Profile(lists=allowed)) == ["LIST_ALLOW"]


@SHARED
async def test_answers_and_names_of_one_customer_are_not_another_s(shared):
    content = message(f"<x@evil.{shared}>", headers=[("Reply-To", f"<x@other.{shared}>")])
    assert await names(Impersonation, content, sender=f"x@evil.{shared}") == ["REPLY_TO_ELSEWHERE"]
    content = message(f'"boss@bank.{shared}" <x@evil.{shared}>')
    assert await names(Impersonation, content, sender=f"x@evil.{shared}") == ["NAME_HAS_OTHER_ADDRESS"]


@SHARED
async def test_links_to_one_customer_are_not_another_s(shared):
    page = f"<a href='http://evil.{shared}/'>bank.{shared}</a>".encode()
    content = message("<x@sender.example>", attachments=[("a.html", page)])
    dns = Asked()
    assert await names(LinkEngine, content, dns=dns, lists=[{"preset": "surbl"}]) == ["LINK_SHOWS_OTHER"]
    assert f"evil.{shared}.multi.surbl.org" in dns.names


@SHARED
async def test_who_looks_like_a_customer_of_microsoft_is_told(shared):
    text, profile = f"http://fabrlkam.{shared}/", Profile(domains=("fabrikam.onmicrosoft.com",))
    assert await names(LinkEngine, message("<x@sender.example>", text), profile=profile) == ["LINK_LOOKALIKE"]
    content = message(f"<x@fabrlkam.{shared}>")
    assert await names(Impersonation, content, profile=profile) == ["LOOKALIKE_DOMAIN"]
    for own in ("fabrikam.onmicrosoft.com", "fabrikam.mail.onmicrosoft.com", "other.onmicrosoft.com"):
        assert await names(LinkEngine, message("<x@sender.example>", f"http://{own}/"), profile=profile) == []

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from relay.policy.model import Action
from relay.tenants.hops import WRONG_HOSTS, NextHop
from relay.tenants.model import Tenant, TenantFile
from relay.tenants.names import a_label

SECRET = "k7Jq2mV9xT4bR8nL5wZ3cY6h"


def table(**changes):
    return {
        "name": "acme",
        "loop_values": [SECRET],
        "domain": [{"name": "acme.example", "next_hop": "acme-example.mail.protection.outlook.com", "verified": True}],
    } | changes


def domains(*names, hop="mx.acme.example"):
    return [{"name": name, "next_hop": hop} for name in names]


def mistakes(*tenants):
    with pytest.raises(ValidationError) as caught:
        TenantFile.model_validate({"tenant": list(tenants)})
    assert SECRET not in str(caught.value)
    return {error["loc"]: error["msg"] for error in caught.value.errors()}


def test_a_tenant_file_as_an_operator_writes_it():
    text = """
    [[tenant]]
    name = "acme"
    loop_values = ["k7Jq2mV9xT4bR8nL5wZ3cY6h"]
    microsoft_tenant_id = "2B6E8F4A-9C1D-4F3B-8A57-D0C4E1F2A3B5"
    originator_domains = ["ACME.example"]
    [tenant.policy]
    spam = "quarantine"
    [[tenant.domain]]
    name = "Acme.Example"
    next_hop = "acme-example.mail.protection.outlook.com"
    verified = true
    [[tenant.domain]]
    name = "Bücher.example"
    next_hop = "127.0.0.1:2526"
    """
    (tenant,) = TenantFile.model_validate(tomllib.loads(text)).tenant
    assert tenant.microsoft_tenant_id == "2b6e8f4a-9c1d-4f3b-8a57-d0c4e1f2a3b5"
    assert tenant.originator_domains == ("acme.example",)
    assert tenant.policy.spam is Action.QUARANTINE
    assert tenant.proof == "require"
    assert [(domain.name, domain.next_hop, domain.verified) for domain in tenant.domain] == [
        ("acme.example", NextHop("acme-example.mail.protection.outlook.com", 25), True),
        ("xn--bcher-kva.example", NextHop("127.0.0.1", 2526), False),
    ]


def test_a_stored_document_reads_back():
    file = TenantFile.model_validate({"tenant": [table(domain=domains("acme.example", hop="[::1]:2525"))]})
    assert TenantFile.model_validate_json(file.model_dump_json()) == file
    assert TenantFile.model_validate(file.model_dump()) == file


def test_no_repr_shows_a_loop_value():
    file = TenantFile.model_validate({"tenant": [table()]})
    assert SECRET not in f"{file!r}{file}{file.tenant[0]!r}{file.tenant}"


@pytest.mark.parametrize(
    ("change", "place", "word"),
    [
        ({"name": ""}, ("name",), "letters and digits"),
        ({"name": "a\r\nb"}, ("name",), "letters and digits"),
        ({"loop_values": []}, ("loop_values",), "1 to 10"),
        ({"loop_values": ["x" * 9] * 11}, ("loop_values",), "1 to 10"),
        ({"loop_values": ["1234567"]}, ("loop_values", 0), "8 to 200"),
        ({"loop_values": [SECRET, "x" * 201]}, ("loop_values", 1), "8 to 200"),
        ({"loop_values": [SECRET + "\r\nX: y"]}, ("loop_values", 0), "printable"),
        ({"loop_values": [SECRET + "ü"]}, ("loop_values", 0), "printable"),
        ({"loop_values": [" " + SECRET]}, ("loop_values", 0), "space"),
        ({"microsoft_tenant_id": "acme.onmicrosoft.com"}, ("microsoft_tenant_id",), "GUID"),
        ({"originator_domains": ["*.acme.example"]}, ("originator_domains", 0), "not a domain name"),
        ({"proof": "maybe"}, ("proof",), "'require' or 'log'"),
        ({"policy": {"malicious": "deliver"}}, ("policy", "malicious"), "observe = true"),
        ({"contacts": ["acme.example"]}, ("contacts", 0), "ann@acme.example"),
        ({"scope": {"users": ["Ann <ann@acme.example>"]}}, ("scope", "users", 0), "ann@acme.example"),
        ({"domain": domains("acme.example.")}, ("domain", 0, "name"), "without a dot"),
        ({"domain": domains("*.acme.example")}, ("domain", 0, "name"), "sub-domain"),
        ({"domain": domains("[192.0.2.1]")}, ("domain", 0, "name"), "not a domain name"),
        ({"domain": domains("a.example", hop="mx:0")}, ("domain", 0, "next_hop"), "1 to 65535"),
        ({"domain": domains("a.example", hop=25)}, ("domain", 0, "next_hop"), "text"),
        ({"tenant_id": "x"}, ("tenant_id",), "not permitted"),
    ],
)
def test_a_mistake_is_told_at_its_key(change, place, word):
    found = mistakes(table(**change))
    assert list(found) == [("tenant", 0, *place)]
    assert word in found["tenant", 0, *place]


@pytest.mark.parametrize("host", sorted(WRONG_HOSTS))
def test_hosts_that_are_often_entered_and_never_right(host):
    found = mistakes(table(domain=domains("acme.example", hop=f"{host.upper()}.:587")))
    message = found["tenant", 0, "domain", 0, "next_hop"]
    assert WRONG_HOSTS[host] in message
    assert "MX record" in message


def test_all_clashes_are_told_at_once_each_at_its_key():
    first = table(domain=domains("acme.example", "acme.example"))
    second = table(name="ACME", domain=domains("other.example"))
    third = table(name="third", domain=domains("Other.Example", "ACME.example", "fine.example"))
    assert mistakes(first, second, third) == {
        ("tenant", 1, "name"): "another tenant has this name already",
        ("tenant", 0, "domain", 1, "name"): 'the domain belongs to tenant "acme" already',
        ("tenant", 2, "domain", 0, "name"): 'the domain belongs to tenant "ACME" already',
        ("tenant", 2, "domain", 1, "name"): 'the domain belongs to tenant "acme" already',
    }


def test_what_is_read_cannot_be_changed():
    tenant = Tenant.model_validate(table())
    with pytest.raises(ValidationError):
        tenant.name = "other"


@pytest.mark.parametrize(
    ("text", "host", "port", "back"),
    [
        ("mx.acme.example", "mx.acme.example", 25, "mx.acme.example"),
        (" MX.Acme.Example. ", "mx.acme.example", 25, "mx.acme.example"),
        ("localhost:2525", "localhost", 2525, "localhost:2525"),
        ("mail_box:25", "mail_box", 25, "mail_box"),
        ("192.0.2.1:26", "192.0.2.1", 26, "192.0.2.1:26"),
        ("[2001:DB8::1]", "2001:db8::1", 25, "[2001:db8::1]"),
        ("[::1]:65535", "::1", 65535, "[::1]:65535"),
        ("bücher.example", "xn--bcher-kva.example", 25, "xn--bcher-kva.example"),
    ],
)
def test_next_hops(text, host, port, back):
    hop = NextHop.parse(text)
    assert (hop.host, hop.port, str(hop)) == (host, port, back)
    assert NextHop.parse(str(hop)) == hop


@pytest.mark.parametrize(
    "text",
    [
        "", ":25", "mx:", "mx:0", "mx:65536", "mx:smtp", "mx:²5", "mx:-1", "mx: 25", "2001:db8::1", "[mx.example]",
        "[::1]:", "[::1]x", "[192.0.2.1]", "mx..example", "a b", "user@mx.example", "smtp://mx.example",
        "mx.example/25", "1.2.3", "256.1.1.1", "0.0.0.0", "[::]", "224.0.0.1", "-mx.example", "x" * 64,
        "a." * 127 + "a.b", "mx\r\n.example",
    ],
)  # fmt: skip
def test_what_is_no_next_hop(text):
    with pytest.raises(ValueError):
        NextHop.parse(text)


@given(st.text(max_size=40) | st.from_regex(r"[a-z0-9.:\[\]-]{0,20}", fullmatch=True))
def test_a_next_hop_that_is_read_reads_back_the_same(text):
    try:
        hop = NextHop.parse(text)
    except ValueError:
        return
    assert NextHop.parse(str(hop)) == hop
    assert 1 <= hop.port <= 65535


@given(st.text(max_size=300) | st.text(st.characters(categories=["Cs", "Lo"]), max_size=20))
def test_an_a_label_is_stable_or_a_value_error(text):
    try:
        name = a_label(text)
    except ValueError:
        return
    assert a_label(name) == name == name.lower()
    assert name.isascii()
    assert len(name) <= 253

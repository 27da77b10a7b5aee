import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.tenants.directory import Directory
from relay.tenants.hops import NextHop
from relay.tenants.model import Tenant


def tenant(name, *domains, verified=True):
    return Tenant.model_validate(
        {
            "name": name,
            "loop_values": [f"{name}-k7Jq2mV9xT4bR8nL"],
            "domain": [{"name": domain, "next_hop": hop, "verified": verified} for domain, hop in domains],
        }
    )


ACME = tenant("acme", ("acme.example", "mx1.example"), ("acme.test", "mx1.example"), ("acme.other", "mx2.example:26"))
BOOKS = tenant("books", ("bücher.example", "mx1.example"), ("straße.example", "mx1.example"))
UNVERIFIED = tenant("later", ("later.example", "mx1.example"), verified=False)
DIRECTORY = Directory([ACME, BOOKS, UNVERIFIED])


@pytest.mark.parametrize(
    ("address", "domain"),
    [
        ("a@acme.example", "acme.example"),
        ("A@ACME.Example", "acme.example"),
        ('"a@evil.example"@acme.example', "acme.example"),
        ("a@b@acme.test", "acme.test"),
        ("ü@bücher.example", "xn--bcher-kva.example"),
        ("a@BÜCHER.example", "xn--bcher-kva.example"),
        ("a@xn--bcher-kva.example", "xn--bcher-kva.example"),
        ("a@XN--BCHER-KVA.EXAMPLE", "xn--bcher-kva.example"),
        ("a@bu\u0308cher.example", "xn--bcher-kva.example"),
        ("a@straße.example", "xn--strae-oqa.example"),
    ],
)
def test_a_protected_address_has_a_route(address, domain):
    assert DIRECTORY.route(address).domain.name == domain


@pytest.mark.parametrize(
    "address",
    [
        "", "@", "a", "acme.example", "@acme.example", "a@", "a@sub.acme.example", "a@xacme.example", "a@acme.example.",
        "a@later.example", "a@[192.0.2.1]", "a@[IPv6:::1]", "a@acme.example@evil.example", "a@strasse.example",
        "a@acme.example ", "a@acme.example\r\n", "a@acme.example\0", "a@.acme.example", "a@\udcff.example", "a@ü",
        "a@.ü", "a@*.acme.example", "ü" * 5000 + "@bücher.example", "a@" + "ü" * 5000,
    ],
)  # fmt: skip
def test_everything_else_has_none(address):
    assert DIRECTORY.route(address) is None


@given(st.text(max_size=60))
def test_garbage_has_no_route_and_raises_nothing(text):
    assert DIRECTORY.route(f"a@x{text}.invalid") is None
    assert Directory([]).route(text) is None


def test_routes_are_equal_by_tenant_and_next_hop():
    example, test, other = (DIRECTORY.route(f"a@{name}") for name in ("acme.example", "acme.test", "acme.other"))
    assert example == test
    assert len({example, test, other}) == 2
    assert example != other
    assert example != DIRECTORY.route("a@bücher.example")
    assert example == Directory([ACME]).route("b@acme.test")
    assert example != "acme"
    assert other.hop == NextHop("mx2.example", 26)


def test_a_directory_tells_how_many_domains_it_protects():
    assert len(DIRECTORY) == 5


def test_a_domain_of_two_tenants_is_an_error():
    with pytest.raises(ValueError, match=r"two tenants have the domain acme\.example"):
        Directory([ACME, tenant("other", ("acme.example", "mx3.example"))])


def test_a_domain_is_protected_by_its_operators_word_or_by_its_record():
    later = tenant("later", ("a.example", "mx1.example"), ("bücher.example", "mx1.example"), verified=False)
    known = Directory([ACME, later], {("later", "a.example"), ("other", "xn--bcher-kva.example")})
    assert known.route("bob@a.example").tenant == later
    assert known.route("bob@a.example").profile.domains == ("a.example",)
    assert [known.route("bob@bücher.example"), known.waits("bob@bücher.example")] == [None, True]
    assert not any(map(known.waits, ["bob@a.example", "bob@acme.example", "bob@b.a.example", "xn--bcher-kva.example"]))


def test_a_domain_that_two_tenants_prove_is_an_error():
    two = [tenant(name, ("acme.example", "mx1.example"), verified=False) for name in ("one", "other")]
    with pytest.raises(ValueError, match=r"two tenants have the domain acme\.example"):
        Directory(two, {("one", "acme.example"), ("other", "acme.example")})

import hmac

import pytest

from relay.tenants.model import Tenant
from relay.tenants.proof import Proof, prove
from verdicts.fields import Fields

FIRST = "k7Jq2mV9xT4bR8nL5wZ3cY6h"
SECOND = "p4Ws6dG1zH8jC3vB7nM2qX9t"
GUID = "2b6e8f4a-9c1d-4f3b-8a57-d0c4e1f2a3b5"
OTHER = "00000000-9c1d-4f3b-8a57-d0c4e1f2a3b5"
TENANT = Tenant.model_validate(
    {
        "name": "acme",
        "loop_values": [FIRST, SECOND],
        "microsoft_tenant_id": GUID,
        "originator_domains": ["acme.example", "bücher.example"],
        "domain": [{"name": "acme.example", "next_hop": "mx.example"}],
    }
)
PLAIN = Tenant.model_validate(TENANT.model_dump() | {"microsoft_tenant_id": None, "originator_domains": []})
RIGHT = f"X-PERCEPTION-POINT-CUSTOM: {FIRST}\r\n"

PROVED = Proof(ok=True, present=True, told="ok")
BY_SECOND = Proof(ok=True, present=True, told="ok, old value")
NONE = Proof(ok=False, present=False, told="no loop value")
WRONG = Proof(ok=False, present=False, told="wrong loop value")
OTHER_ID = Proof(ok=False, present=True, told="other tenant id")
OTHER_ORG = Proof(ok=False, present=True, told="other originator")


def proof(header: str, tenant: Tenant = TENANT) -> Proof:
    return prove(
        Fields.parse(header.encode() + b"Subject: x\r\n\r\nX-PERCEPTION-POINT-CUSTOM: " + FIRST.encode()), tenant
    )


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("", NONE),
        (RIGHT, PROVED),
        (f"X-PERCEPTION-POINT-CUSTOM:{SECOND}\r\n", BY_SECOND),
        (f"x-perception-point-custom\t : \t{SECOND} \t\r\n", BY_SECOND),
        (f"X-PERCEPTION-POINT-CUSTOM:\r\n {FIRST}\r\n", PROVED),
        ("X-PERCEPTION-POINT-CUSTOM: guess\r\n" + RIGHT, PROVED),
        (RIGHT + "X-PERCEPTION-POINT-CUSTOM: guess\r\n", PROVED),
        (f"X-PERCEPTION-POINT-CUSTOM: {SECOND}\r\n" + RIGHT, PROVED),
        ("X-PERCEPTION-POINT-CUSTOM:\r\n", WRONG),
        ("X-PERCEPTION-POINT-CUSTOM: guess\r\n", WRONG),
        (f"X-PERCEPTION-POINT-CUSTOM: {FIRST.lower()}\r\n", WRONG),
        (f"X-PERCEPTION-POINT-CUSTOM: {FIRST[:-1]}\r\n", WRONG),
        (f"X-PERCEPTION-POINT-CUSTOM: {FIRST}x\r\n", WRONG),
        (f"X-PERCEPTION-POINT-CUSTOM: {FIRST}, {SECOND}\r\n", WRONG),
        ("X-PERCEPTION-POINT-CUSTOM: \xff\u20ac\r\n", WRONG),
        (f"X-PERCEPTION-POINT-CUSTOMS: {FIRST}\r\n", NONE),
        (f"Subject: x\r\n X-PERCEPTION-POINT-CUSTOM: {FIRST}\r\n", NONE),
        (RIGHT + f"X-MS-Exchange-CrossTenant-Id: {GUID.upper()}\r\n", PROVED),
        (RIGHT + f"X-MS-Exchange-CrossTenant-Id: {OTHER}\r\n", OTHER_ID),
        (RIGHT + "X-MS-Exchange-CrossTenant-Id:\r\n", OTHER_ID),
        (RIGHT + f"X-MS-Exchange-CrossTenant-Id: {GUID}\r\nX-ms-Exchange-CrossTenant-ID: {OTHER}\r\n", OTHER_ID),
        (RIGHT + f"X-MS-Exchange-CrossTenant-Id: {OTHER}\r\nX-ms-Exchange-CrossTenant-ID: {GUID}\r\n", OTHER_ID),
        (RIGHT + "X-OriginatorOrg: ACME.example\r\n", PROVED),
        (RIGHT + "X-OriginatorOrg: bücher.example\r\n", PROVED),
        (RIGHT + "X-OriginatorOrg: evil.example\r\n", OTHER_ORG),
        (RIGHT + "X-OriginatorOrg: sub.acme.example\r\n", OTHER_ORG),
        (RIGHT + "X-OriginatorOrg: acme.example.\r\n", OTHER_ORG),
        (RIGHT + "X-OriginatorOrg: acme.example\r\nX-OriginatorOrg: evil.example\r\n", OTHER_ORG),
        (f"X-MS-Exchange-CrossTenant-Id: {GUID}\r\nX-OriginatorOrg: acme.example\r\n", NONE),
        (RIGHT + f"X-MS-Exchange-CrossTenant-Id: {GUID}\r\n" * 60, OTHER_ID),
        (RIGHT + f"X-MS-Exchange-CrossTenant-Id: {GUID}\r\n" * 51, OTHER_ID),
        (RIGHT + f"X-MS-Exchange-CrossTenant-Id: {GUID}\r\n" * 50, PROVED),
        ("X-PERCEPTION-POINT-CUSTOM: guess\r\n" * 49 + RIGHT, PROVED),
        ("X-PERCEPTION-POINT-CUSTOM: guess\r\n" * 50 + RIGHT, WRONG),
    ],
)  # fmt: skip
def test_proofs(header, expected):
    assert proof(header) == expected


@pytest.mark.parametrize("name", ["X-MS-Exchange-CrossTenant-Id", "X-OriginatorOrg"])
def test_what_the_tenant_has_not_set_is_not_contradicted(name):
    assert proof(f"{RIGHT}{name}: anything\r\n", PLAIN) == PROVED


def test_every_value_is_compared_whichever_is_right(monkeypatch):
    compared = []
    constant_time = hmac.compare_digest

    def counting(one, other):
        compared.append(other)
        return constant_time(one, other)

    monkeypatch.setattr("relay.tenants.proof.hmac.compare_digest", counting)
    for value in (FIRST, SECOND, "guess"):
        proof(f"X-PERCEPTION-POINT-CUSTOM: {value}\r\nX-PERCEPTION-POINT-CUSTOM: again\r\n")
    assert compared == [FIRST.encode(), FIRST.encode(), SECOND.encode(), SECOND.encode()] * 3


def test_no_proof_shows_a_value():
    for header in (RIGHT, "X-PERCEPTION-POINT-CUSTOM: guess\r\n", f"{RIGHT}X-OriginatorOrg: evil.example\r\n"):
        shown = repr(proof(header))
        assert not any(value in shown for value in (FIRST, "guess", "evil"))

"""The script in a small PowerShell, against a strict Exchange: what it makes, changes, leaves alone and takes back."""

import copy
import datetime as dt
from dataclasses import replace

import pytest
from doubles.exchange import TENANT
from doubles.powershell_values import Strange, Thrown
from doubles.rule_engine import Mail, apply
from onboarding.exchange_kit import EU, NEW, OLD, Exchange, details, parse, plan, results, run, written

from relay.onboarding.exchange.rules import LOOP, OUTBOUND

INBOUND = "Disable IP Throttling on Sluice Connector"
ORDER = [
    "Sluice Guard Rule",
    "Sluice Redirect Rule",
    "Send Office 365 spam emails to Junk folder (High)",
    "Send Office 365 spam emails to Junk folder (Low)",
    "Sluice Spam Rule",
    "Sluice Trust Rule",
    "Sluice Clean Rule",
]
REDIRECT = "Send mail from outside to Sluice"
SCRIPT = parse(written())


@pytest.fixture
def exchange():
    return Exchange("acme.example", "other.example")


@pytest.fixture
def ready(exchange):
    """An organisation in which the script has run, some time ago."""
    assert run(exchange, SCRIPT).status == 0
    exchange.now += dt.timedelta(hours=2)
    exchange.changes.clear()
    return exchange


def names(exchange):
    return [rule["Name"] for rule in exchange.rules]


def rule(exchange, name="Sluice Redirect Rule"):
    return next(one for one in exchange.rules if one["Name"] == name)


def foreign(**values):
    """A rule of somebody else's."""
    made = Exchange()
    made.call(
        "New-TransportRule",
        {"Name": "Block a country", "SenderIpRanges": ["198.51.100.0/24"], "SetSCL": 9, "ErrorAction": "Stop"} | values,
    )
    return made.rules[0]


def state(exchange):
    kept = {key: value for key, value in vars(exchange).items() if key not in ("changes", "now", "connections")}
    return copy.deepcopy(kept)


# The first run, and the second.


def test_the_first_run_makes_everything(exchange):
    ran = run(exchange, SCRIPT)
    assert ran.status == 0
    assert set(results(ran).values()) == {"done", "unchanged"}
    assert names(exchange) == ORDER
    assert exchange.connection["IPAllowList"] == ["99.81.216.78", "34.249.190.60"]
    assert exchange.connection["EnableSafeList"] is True
    assert exchange.content["HighConfidenceSpamAction"] == exchange.content["PhishSpamAction"] == "MoveToJmf"
    assert exchange.sealers == ["sluice.example"]
    pairs = {(one["SpoofedUser"], one["SendingInfrastructure"], one["SpoofType"]) for one in exchange.spoof}
    assert pairs == {("*", "mx.sluice.example", "External"), ("*", "mx.sluice.example", "Internal")}
    (inbound,) = exchange.inbound
    assert (inbound["Name"], inbound["SenderDomains"]) == (INBOUND, ["*"])
    assert (inbound["RestrictDomainsToIPAddresses"], inbound["RequireTls"]) == (False, True)
    (outbound,) = exchange.outbound
    assert (outbound["SmartHosts"], outbound["TlsSettings"], outbound["TlsDomain"]) == (
        ["in.sluice.example"],
        "DomainValidation",
        "in.sluice.example",
    )
    assert (outbound["IsTransportRuleScoped"], outbound["IsValidated"]) == (True, True)
    assert outbound["LastValidationTimestamp"] == exchange.now


def test_the_redirect_rule_comes_last_and_does_what_the_article_says(exchange):
    run(exchange, SCRIPT)
    assert exchange.changes[-1][1]["Name"] == "Sluice Redirect Rule"
    redirect = rule(exchange)
    assert redirect["RecipientDomainIs"] == ["acme.example"]
    assert redirect["FromScope"] == "NotInOrganization"
    assert redirect["RouteMessageOutboundConnector"] == OUTBOUND
    assert (redirect["SetHeaderName"], redirect["SetHeaderValue"]) == (LOOP, OLD)
    assert redirect["ExceptIfHeaderContainsWords"] == [OLD]
    assert redirect["ExceptIfMessageSizeOver"] == "40000KB"
    assert redirect["StopRuleProcessing"] is True
    assert redirect["SenderAddressLocation"] == "Header"
    assert (redirect["ExceptIfSenderIpRanges"], redirect["RuleErrorAction"]) == (None, "Defer")


def test_the_second_run_changes_nothing(ready):
    before = state(ready)
    ran = run(ready, SCRIPT)
    assert ran.status == 0
    assert set(results(ran).values()) == {"unchanged"}
    assert ready.changes == []
    assert state(ready) == before


def test_what_if_changes_nothing(exchange, ready):
    ran = run(Exchange(), SCRIPT, WhatIf=True)
    assert ran.status == 0
    assert results(ran)[REDIRECT] == "would"
    for switches in ({}, {"Remove": True}, {"Remove": True, "NoWait": True}, {"Rotate": True}, {"AsInArticle": True}):
        before = state(ready)
        run(ready, SCRIPT, WhatIf=True, **switches)
        assert ready.changes == []
        assert state(ready) == before


def test_as_in_the_article(exchange):
    ran = run(exchange, SCRIPT, AsInArticle=True)
    assert ran.status == 0
    assert sorted(names(exchange)) == sorted(set(ORDER) - {ORDER[0], *ORDER[5:]})
    assert names(exchange)[0] == "Sluice Redirect Rule"
    redirect = rule(exchange)
    assert redirect["ExceptIfSenderIpRanges"] == ["99.81.216.78", "34.249.190.60"]
    assert redirect["RuleErrorAction"] == "Ignore"
    assert rule(exchange, ORDER[2])["HeaderMatchesPatterns"] == ["SCL:9", "SCL:8", "SCL:7"]
    assert {one["SendingInfrastructure"] for one in exchange.spoof} == {"99.81.216.0/24", "34.249.190.0/24"}
    exchange.changes.clear()
    assert run(exchange, SCRIPT, AsInArticle=True).status == 0
    assert exchange.changes == []


def test_from_one_variant_to_the_other_and_back(ready):
    before = state(ready)["rules"]
    assert run(ready, SCRIPT, AsInArticle=True).status == 0
    assert len(ready.rules) == 4
    assert [call for call, _ in ready.changes].index("Set-TransportRule") < [call for call, _ in ready.changes].index(
        "Remove-TransportRule"
    )
    assert run(ready, SCRIPT).status == 0
    for one in (*before, *ready.rules):
        del one["WhenChanged"]
    assert ready.rules == before


def test_multi_region_allows_the_second_region_too(exchange):
    assert run(exchange, script_of={"multi_region": True}).status == 0
    every = ["99.81.216.78", "34.249.190.60", "52.12.169.124"]
    assert exchange.connection["IPAllowList"] == exchange.inbound[0]["SenderIPAddresses"] == every
    assert exchange.outbound[0]["SmartHosts"] == ["all.sluice.example"]
    assert rule(exchange, "Sluice Guard Rule")["ExceptIfSenderIpRanges"] == every


# Drift.

DRIFT = {
    "a spam action": lambda x: x.content.update(SpamAction="Quarantine"),
    "an address": lambda x: x.connection["IPAllowList"].remove("99.81.216.78"),
    "the safe list": lambda x: x.connection.update(EnableSafeList=False),
    "a spoof pair": lambda x: x.spoof.pop(),
    "the seal": lambda x: x.sealers.clear(),
    "an inbound address": lambda x: x.inbound[0].update(SenderIPAddresses=["99.81.216.78"]),
    "inbound without TLS": lambda x: x.inbound[0].update(RequireTls=False),
    "a connector gone": lambda x: x.inbound.clear(),
    "another smart host": lambda x: x.outbound[0].update(SmartHosts=["evil.example"]),
    "test mode": lambda x: x.outbound[0].update(TestMode=True),
    "not for rules": lambda x: x.outbound[0].update(IsTransportRuleScoped=False),
    "not validated": lambda x: x.outbound[0].update(IsValidated=False),
    "a disabled rule": lambda x: rule(x).update(State="Disabled"),
    "a rule gone": lambda x: x.rules.pop(2),
    "the guard gone": lambda x: x.rules.pop(0),
    "the last rule first": lambda x: x.rules.insert(0, x.rules.pop()),
    "the first rule last": lambda x: x.rules.append(x.rules.pop(0)),
    "upside down": lambda x: x.rules.reverse(),
    "another size": lambda x: rule(x).update(ExceptIfMessageSizeOver="4000KB"),
    "another score": lambda x: rule(x, "Sluice Spam Rule").update(SetSCL=5),
    "more exceptions": lambda x: rule(x).update(ExceptIfSenderIpRanges=["203.0.113.0/24"]),
    "other people": lambda x: rule(x).update(RecipientDomainIs=None, SentTo=["bob@acme.example"]),
    "only tried": lambda x: rule(x).update(Mode="Audit"),
    "an unknown loop value": lambda x: rule(x).update(SetHeaderValue=NEW),
    "a pattern's case": lambda x: rule(x, "Sluice Spam Rule").update(HeaderMatchesPatterns=[r"^\s*fail\s*$"]),
}


@pytest.mark.parametrize("change", DRIFT.values(), ids=DRIFT.keys())
def test_drift_is_put_right(ready, change):
    def comparable():
        told = state(ready)
        for one in (*told["rules"], *told["inbound"], *told["outbound"]):
            del one["WhenChanged"]
        for one in told["spoof"]:
            del one["Identity"]
        for one in told["outbound"]:
            del one["LastValidationTimestamp"]
        return told

    before = comparable()
    change(ready)
    assert comparable() != before
    ran = run(ready, SCRIPT)
    assert ran.status == 0
    assert "done" in results(ran).values()
    after = comparable()
    for told in (before, after):
        told["spoof"].sort(key=str)
        told["connection"]["IPAllowList"].sort()
    assert after == before
    ready.changes.clear()
    run(ready, SCRIPT)
    assert ready.changes == []


# What is not ours.


def test_what_others_made_stays(exchange):
    exchange.connection["IPAllowList"] = ["192.0.2.7"]
    exchange.sealers = ["other.example"]
    other = {"SpoofedUser": "*", "SendingInfrastructure": "other.example", "SpoofType": "External", "Action": "Allow"}
    exchange.spoof = [other | {"Identity": "375e76f1-eefb-1626-c8bc-5efefd057488"}]
    exchange.rules = [foreign()]
    before = copy.deepcopy(exchange.rules[0])
    for switches in ({}, {"Remove": True, "NoWait": True}):
        assert run(exchange, SCRIPT, **switches).status == 0
        assert "192.0.2.7" in exchange.connection["IPAllowList"]
        assert "other.example" in exchange.sealers
        assert other.items() <= exchange.spoof[0].items()
        assert before in exchange.rules
    assert exchange.rules == [before]
    assert exchange.connection["IPAllowList"] == ["192.0.2.7"]
    assert exchange.sealers == ["other.example"]
    assert len(exchange.spoof) == 1


def test_a_rule_that_the_administrator_puts_first_stays_there(ready):
    ready.rules.insert(0, foreign())
    assert run(ready, SCRIPT).status == 0
    assert names(ready) == ["Block a country", *ORDER]
    assert ready.changes == []
    told = [one.get("Detail") for one in run(ready, SCRIPT).output if one.get("Step") == REDIRECT]
    assert told == ["comes after rules that are not Sluice's: Block a country"]
    ready.rules.remove(rule(ready, "Sluice Guard Rule"))
    run(ready, SCRIPT)
    assert names(ready) == ["Block a country", *ORDER]


@pytest.mark.parametrize("comment", [None, "Made by Perception Point", "Made by Sluice for tenant other"])
def test_an_object_of_the_same_name_that_is_not_ours_is_not_touched(exchange, comment):
    exchange.rules = [foreign(Name=ORDER[2]) | {"Comments": comment}]
    before = copy.deepcopy(exchange.rules[0])
    ran = run(exchange, SCRIPT)
    assert ran.status == 1
    (told,) = details(ran, "failed")
    assert told.startswith(f"{ORDER[2]} is there, with another comment")
    assert results(ran)[REDIRECT] == "skipped"
    assert before in exchange.rules
    assert "Sluice Redirect Rule" not in names(exchange)
    ran = run(exchange, SCRIPT, Remove=True)
    assert ran.status == 0
    assert exchange.rules == [before]


def test_a_block_entry_of_the_tenants_own_is_not_turned_round(exchange):
    exchange.spoof = [
        {"SpoofedUser": "*", "SendingInfrastructure": "mx.sluice.example", "SpoofType": "External", "Action": "Block",
         "Identity": "375e76f1-eefb-1626-c8bc-5efefd057488"}
    ]  # fmt: skip
    ran = run(exchange, SCRIPT)
    assert details(ran, "failed")[0].startswith("*, mx.sluice.example (External) is blocked by an entry of yours")
    assert "Sluice Redirect Rule" not in names(exchange)
    run(exchange, SCRIPT, Remove=True)
    assert len(exchange.spoof) == 1


# Another environment, another region.

EAST = replace(EU, name="east", egress=("3.81.182.154",), secondary_egress=(), smart_host="in.east.example")
MOVES = {
    "another environment": ({}, {"environment": EAST}),
    "a region more": ({}, {"multi_region": True}),
    "a region less": ({"multi_region": True}, {}),
}
FROM = {"in.sluice.example": EU.egress, "in.east.example": EAST.egress, "all.sluice.example": EU.addresses(True)}
TO_SLUICE = "Make the connector on which mail goes to Sluice"


def comes_back(exchange, before=()):
    """Whether mail that goes now, and mail that went `before`, is not sent to Sluice a second time."""
    sent = apply(exchange.rules, Mail())
    hosts = {*exchange.outbound[0]["SmartHosts"], *before}
    back = [replace(sent, address=address, route=None) for host in hosts for address in FROM[host]]
    return sent.route == OUTBOUND and not any(apply(exchange.rules, one).route for one in back)


@pytest.mark.parametrize(("old", "new"), MOVES.values(), ids=MOVES.keys())
def test_on_a_move_mail_comes_back_from_wherever_it_went(exchange, old, new):
    run(exchange, script_of=old)
    script, before, statuses = parse(written(**new)), tuple(exchange.outbound[0]["SmartHosts"]), []
    for _ in range(4):
        exchange.now += dt.timedelta(minutes=31)
        statuses.append(run(exchange, script).status)
        assert comes_back(exchange, before if statuses[-1] else ())
        accepted = rule(exchange, "Sluice Guard Rule")["ExceptIfSenderIpRanges"]
        assert set(accepted) >= set(FROM[exchange.outbound[0]["SmartHosts"][0]])
    assert statuses == sorted(statuses, reverse=True)
    assert statuses[0] == 2
    assert statuses[2:] == [0, 0]
    every = list(plan(**new).step("addresses").properties[0].value)
    assert sorted(exchange.connection["IPAllowList"]) == sorted(every)
    assert exchange.inbound[0]["SenderIPAddresses"] == accepted == every


@pytest.mark.parametrize(("old", "new"), MOVES.values(), ids=MOVES.keys())
@pytest.mark.parametrize("cmdlet", ["Set-TransportRule", "Get-TransportRule", "Set-InboundConnector",
    "Set-OutboundConnector", "Validate-OutboundConnector", "Get-OutboundConnector",
    "Set-HostedConnectionFilterPolicy"])  # fmt: skip
def test_a_move_that_fails_half_way_loses_no_mail(exchange, old, new, cmdlet):
    run(exchange, script_of=old)
    script, before = parse(written(**new)), tuple(exchange.outbound[0]["SmartHosts"])
    for failing in ({cmdlet: "throttled"}, {}, {cmdlet: "throttled"}, {}, {}, {}):
        exchange.now += dt.timedelta(minutes=31)
        exchange.failing = failing
        assert run(exchange, script).status in ((0, 1, 2) if failing else (0, 2))
        assert comes_back(exchange)
    assert run(exchange, script).status == 0
    assert exchange.outbound[0]["SmartHosts"] != list(before)


def test_mail_goes_to_another_smart_host_only_when_all_of_exchange_knows_what_comes_back(ready):
    script = parse(written(environment=EAST))
    for minutes in (0, 29):
        ready.now += dt.timedelta(minutes=minutes)
        ran = run(ready, script)
        assert (ran.status, results(ran)[TO_SLUICE]) == (2, "waiting")
        assert ready.outbound[0]["SmartHosts"] == ["in.sluice.example"]
    assert run(ready, script, NoWait=True).status == 0
    assert ready.outbound[0]["SmartHosts"] == ["in.east.example"]
    assert rule(ready, "Sluice Guard Rule")["ExceptIfSenderIpRanges"] == list(EAST.egress)


def test_a_strangers_address_in_a_rule_is_taken_out(ready):
    rule(ready, "Sluice Guard Rule")["ExceptIfSenderIpRanges"].append("203.0.113.0/24")
    assert run(ready, SCRIPT).status == 0
    assert rule(ready, "Sluice Guard Rule")["ExceptIfSenderIpRanges"] == list(EU.egress)


def test_spoof_entries_of_the_other_variant_go(exchange):
    run(exchange, SCRIPT, AsInArticle=True)
    assert run(exchange, SCRIPT).status == 0
    assert {one["SendingInfrastructure"] for one in exchange.spoof} == {"mx.sluice.example"}
    run(exchange, SCRIPT, AsInArticle=True)
    run(exchange, SCRIPT, Remove=True, NoWait=True)
    assert exchange.spoof == []


# Failures.


@pytest.mark.parametrize("groups_and_users", [False, True])
@pytest.mark.parametrize("cmdlet", ["New-TransportRule", "Set-TransportRule", "Remove-TransportRule"])
def test_a_change_of_scope_that_fails_half_way_leaves_nobody_unprotected(exchange, groups_and_users, cmdlet):
    scopes = [{}, {"groups": ["staff@acme.example"], "users": ["bob@acme.example"]}]
    old, new = reversed(scopes) if groups_and_users else scopes
    run(exchange, script_of={"scope": old})
    exchange.now += dt.timedelta(hours=2)
    exchange.failing = {cmdlet: "throttled"}
    run(exchange, script_of={"scope": new})
    assert apply(exchange.rules, Mail(recipient="bob@acme.example")).route == OUTBOUND


@pytest.mark.parametrize(
    ("cmdlet", "failed", "protected"),
    [
        ("Get-AcceptedDomain", 1, False),
        ("New-TenantAllowBlockListSpoofItems", 1, False),
        ("Set-HostedContentFilterPolicy", 1, True),
        ("Set-ArcConfig", 1, True),
        ("New-InboundConnector", 1, False),
        ("New-OutboundConnector", 1, False),
        ("Validate-OutboundConnector", 1, False),
        ("New-TransportRule", 6, False),
        ("Get-TransportRule", 6, False),
    ],
)
def test_a_failure_is_told_and_mail_is_redirected_only_when_it_can_come_back(exchange, cmdlet, failed, protected):
    exchange.failing = {cmdlet: f"no rights, says {OLD}"}
    ran = run(exchange, SCRIPT)
    assert ran.status == 1
    assert len(details(ran, "failed")) == failed
    assert all(told.startswith("no rights, says ***") for told in details(ran, "failed"))
    assert ("Sluice Redirect Rule" in names(exchange)) is protected
    exchange.failing = {}
    assert run(exchange, SCRIPT).status == 0
    assert names(exchange) == ORDER


def test_a_connector_that_reaches_nobody_is_not_used(exchange):
    exchange.unreachable = True
    ran = run(exchange, SCRIPT)
    (told,) = details(ran, "failed")
    assert told.startswith("Check connectivity to 'in.sluice.example': 450 4.4.316 Does Sluice run")
    assert exchange.outbound[0]["IsValidated"] is False
    assert results(ran)[REDIRECT] == "skipped"
    exchange.unreachable = False
    assert run(exchange, SCRIPT).status == 0


def test_the_wrong_organisation_is_not_touched():
    exchange = Exchange("initech.example")
    ran = run(exchange, SCRIPT)
    assert ran.status == 1
    assert details(ran, "failed")[0].startswith("this organisation does not accept acme.example")
    assert set(results(ran).values()) == {"failed", "skipped"}
    assert exchange.changes == []
    assert run(exchange, SCRIPT, Remove=True, NoWait=True).status == 1
    assert exchange.changes == []


def test_an_accepted_sub_domain_that_sluice_would_refuse_is_told():
    exchange = Exchange("acme.example", "sub.acme.example")
    ran = run(exchange, SCRIPT)
    assert "Sluice would refuse it: sub.acme.example." in details(ran, "failed")[0]
    assert exchange.rules == []
    both = ("acme.example", "sub.acme.example")
    assert run(exchange, script_of={"domains": both}).status == 0
    scope = {"users": ["bob@acme.example"]}
    assert run(Exchange(*both), script_of={"scope": scope}).status == 0


def test_direct_send_is_told(exchange):
    exchange.organisation["RejectDirectSend"] = True
    ran = run(exchange, SCRIPT)
    assert any("RejectDirectSend is on" in line for line in ran.said)


# Signing in.


def test_it_signs_in_unless_that_is_done(exchange):
    run(exchange, SCRIPT)
    assert len(exchange.connections) == 1
    run(exchange, SCRIPT)
    assert len(exchange.connections) == 1


def test_the_module_must_be_there(exchange):
    with pytest.raises(Thrown, match="Install-Module ExchangeOnlineManagement"):
        run(exchange, SCRIPT, installed=False)


def test_only_one_connection_is_used(exchange):
    exchange.sign_in()
    exchange.sign_in(tenant="another")
    with pytest.raises(Thrown, match="There must be one connection"):
        run(exchange, SCRIPT)
    exchange.connections.pop()
    exchange.sign_in(IsEopSession=True)
    assert run(exchange, SCRIPT).status == 0


def test_a_tenant_that_is_known_must_be_the_one(exchange):
    right, wrong = ({"microsoft_tenant_id": guid} for guid in (TENANT, "2b6e8f4a-9c1d-4f3b-8a57-000000000000"))
    with pytest.raises(Thrown, match="this script is for 2b6e8f4a-9c1d-4f3b-8a57-000000000000"):
        run(exchange, script_of=wrong)
    assert exchange.changes == []
    assert run(exchange, script_of=right).status == 0


# Removal.


def test_removal_disables_first_and_takes_the_rest_later(ready):
    ran = run(ready, SCRIPT, Remove=True)
    assert ran.status == 2
    assert [call for call, _ in ready.changes] == ["Disable-TransportRule"]
    assert results(ran)[REDIRECT] == "waiting"
    ready.now += dt.timedelta(minutes=29)
    assert run(ready, SCRIPT, Remove=True).status == 2
    assert len(ready.changes) == 1
    ready.now += dt.timedelta(minutes=1)
    assert run(ready, SCRIPT, Remove=True).status == 0
    assert (ready.rules, ready.inbound, ready.outbound, ready.spoof, ready.sealers) == ([], [], [], [], [])
    assert ready.connection["IPAllowList"] == []
    calls = [call for call, _ in ready.changes]
    assert calls[1:9] == ["Remove-TransportRule", "Remove-OutboundConnector"] + ["Remove-TransportRule"] * 6
    assert ready.changes[1][1]["Identity"] == "Sluice Redirect Rule"
    ready.changes.clear()
    assert run(ready, SCRIPT, Remove=True).status == 0
    assert ready.changes == []


@pytest.mark.parametrize("made", [{}, {"AsInArticle": True}])
@pytest.mark.parametrize("removed", [{}, {"AsInArticle": True}])
def test_removal_at_once_by_any_variant(exchange, made, removed):
    run(exchange, SCRIPT, **made)
    run(exchange, SCRIPT, Remove=True, NoWait=True, **removed)
    assert (exchange.rules, exchange.inbound, exchange.outbound) == ([], [], [])


def test_two_rules_that_redirect_are_removed_in_two_runs_as_well(exchange):
    script = parse(written(scope={"groups": ["staff@acme.example"], "users": ["bob@acme.example"]}))
    run(exchange, script)
    exchange.now += dt.timedelta(hours=2)
    assert run(exchange, script, Remove=True).status == 2
    assert [one["Name"] for one in exchange.rules if one["State"] == "Disabled"] == [
        "Sluice Redirect Rule",
        "Sluice Redirect Rule (users)",
    ]
    exchange.now += dt.timedelta(minutes=31)
    assert run(exchange, script, Remove=True).status == 0
    assert (exchange.rules, exchange.outbound) == ([], [])


def test_removal_of_what_is_not_there(exchange):
    ran = run(exchange, SCRIPT, Remove=True)
    assert ran.status == 0
    assert exchange.changes == []


def test_a_rule_that_cannot_be_removed_keeps_its_connector(ready):
    ready.failing = {"Disable-TransportRule": "no rights", "Remove-TransportRule": "no rights"}
    ran = run(ready, SCRIPT, Remove=True, NoWait=True)
    assert ran.status == 1
    assert len(ready.outbound) == 1
    assert results(ran)["Make the connector on which mail goes to Sluice"] == "skipped"


# Rotation.

BOTH = parse(written(loop_values=[NEW, OLD]))
ONLY_NEW = parse(written(loop_values=[NEW]))


def accepted(exchange):
    return [
        rule(exchange)["ExceptIfHeaderContainsWords"],
        *(rule(exchange, name)["HeaderContainsWords"] for name in ORDER[5:]),
    ]


def test_rotation_first_accepts_the_new_value_and_then_sets_it(ready):
    ran = run(ready, BOTH, Rotate=True)
    assert ran.status == 2
    assert accepted(ready) == [[NEW, OLD]] * 3
    assert rule(ready)["SetHeaderValue"] == OLD
    assert ready.changes[-1][1]["Identity"] == "Sluice Redirect Rule"
    ready.now += dt.timedelta(minutes=29)
    assert run(ready, BOTH, Rotate=True).status == 2
    assert rule(ready)["SetHeaderValue"] == OLD
    ready.now += dt.timedelta(minutes=1)
    assert run(ready, BOTH, Rotate=True).status == 0
    assert rule(ready)["SetHeaderValue"] == NEW
    assert accepted(ready) == [[NEW, OLD]] * 3
    ready.changes.clear()
    assert run(ready, BOTH, Rotate=True).status == 0
    assert run(ready, BOTH).status == 0
    assert ready.changes == []
    assert run(ready, ONLY_NEW).status == 0
    assert accepted(ready) == [[NEW]] * 3


def test_the_new_value_is_not_set_while_another_rule_is_still_told_of_it(ready):
    run(ready, BOTH, Rotate=True)
    ready.now += dt.timedelta(hours=1)
    rule(ready, "Sluice Clean Rule")["HeaderContainsWords"] = [OLD]
    assert run(ready, BOTH, Rotate=True).status == 2
    assert rule(ready)["SetHeaderValue"] == OLD


@pytest.mark.parametrize("failing", [None, "Sluice Redirect Rule", "Sluice Redirect Rule (users)"])
def test_of_two_rules_that_redirect_none_sets_what_the_other_does_not_accept(exchange, monkeypatch, failing):
    scope = {"groups": ["staff@acme.example"], "users": ["bob@acme.example"]}
    run(exchange, script_of={"scope": scope})
    both = parse(written(scope=scope, loop_values=[NEW, OLD]))
    change, throttles = exchange.set_transportrule, []

    def throttled(Identity, **values):  # noqa: N803
        if Identity in throttles:
            raise Thrown("throttled")
        change(Identity=Identity, **values)

    monkeypatch.setattr(exchange, "set_transportrule", throttled)
    mail = Mail(recipient="bob@acme.example", groups=("staff@acme.example",))
    for fails, minutes in [(failing, 120), (failing, 31), (None, 31), (None, 10), (None, 31), (None, 31)]:
        throttles[:] = [fails]
        exchange.now += dt.timedelta(minutes=minutes)
        status = run(exchange, both, Rotate=True).status
        for one in (mail, replace(mail, groups=())):
            back = replace(apply(exchange.rules, one), address=EU.egress[0], route=None)
            assert apply(exchange.rules, back).route is None
    assert status == 0
    assert [one["SetHeaderValue"] for one in exchange.rules if one["SetHeaderValue"]] == [NEW, NEW]


def test_a_run_without_rotate_accepts_both_and_sets_what_was_set(ready):
    assert run(ready, BOTH).status == 0
    assert accepted(ready) == [[NEW, OLD]] * 3
    assert rule(ready)["SetHeaderValue"] == OLD


def test_rotation_at_once_if_one_insists(ready):
    assert run(ready, BOTH, Rotate=True, NoWait=True).status == 0
    assert rule(ready)["SetHeaderValue"] == NEW


def test_rotation_touches_only_rules_that_know_the_value(ready):
    ready.connection["IPAllowList"].clear()
    run(ready, BOTH, Rotate=True)
    assert {values["Identity"] for _, values in ready.changes} == {ORDER[1], *ORDER[5:]}


def test_rotation_of_what_is_not_set_up_fails(exchange):
    ran = run(exchange, BOTH, Rotate=True)
    assert ran.status == 1
    assert exchange.rules == []
    assert "run this script without -Rotate first" in details(ran, "failed")[0]


def test_rotation_with_one_value_changes_nothing(ready):
    ran = run(ready, SCRIPT, Rotate=True)
    assert ran.status == 0
    assert ready.changes == []


@pytest.mark.parametrize("variant", [{}, {"AsInArticle": True}])
def test_nothing_that_is_said_has_the_value(variant):
    exchange = Exchange()
    exchange.failing = {"Set-ArcConfig": f"what is {OLD}?"}
    for switches in ({"WhatIf": True}, {}, {"Rotate": True}, {"Remove": True}):
        ran = run(exchange, SCRIPT, **switches, **variant)
        told = "\n".join([*ran.said, *map(str, ran.output)])
        assert OLD not in told
        assert NEW not in told


# The double itself is strict.


@pytest.mark.parametrize(
    ("cmdlet", "parameters"),
    [
        ("New-Rule", {}),
        ("New-TransportRule", {"Name": "x", "SetSCL": 6, "Colour": "red"}),
        ("New-TransportRule", {"Name": "x" * 65, "FromScope": "InOrganization", "SetSCL": 6}),
        ("New-TransportRule", {"Name": "x", "FromScope": "Outside", "SetSCL": 6}),
        ("New-TransportRule", {"Name": "x", "FromScope": "InOrganization", "SetSCL": 10}),
        ("New-TransportRule", {"Name": "x", "FromScope": "InOrganization", "SetSCL": "6"}),
        ("New-TransportRule", {"Name": "x", "FromScope": "InOrganization"}),
        ("New-TransportRule", {"Name": "x", "SetSCL": 6}),
        ("New-TransportRule", {"Name": "x", "HeaderContainsWords": ["y"], "SetSCL": 6}),
        ("New-TransportRule", {"Name": "x", "SenderIpRanges": ["10.0.0.0/23"], "SetSCL": 6}),
        ("New-TransportRule", {"Name": "x", "MessageSizeOver": "40000 KB", "SetSCL": 6}),
        ("Set-TransportRule", {"Identity": "x", "Enabled": True}),
        ("Remove-TransportRule", {"Identity": "x"}),
        ("New-InboundConnector", {"Name": "x"}),
        ("New-InboundConnector", {"Name": "x", "SenderDomains": ["*"], "RestrictDomainsToIPAddresses": True}),
        ("New-OutboundConnector", {"Name": "x", "UseMXRecord": False}),
        ("New-OutboundConnector", {"Name": "x", "TlsSettings": "DomainValidation"}),
        ("Set-HostedConnectionFilterPolicy", {"Identity": "Default", "IPAllowList": ["192.0.2.1"]}),
        ("Set-HostedContentFilterPolicy", {"Identity": "Default", "HighConfidencePhishAction": "NoAction"}),
        ("New-TenantAllowBlockListSpoofItems", {"Identity": "Default", "Action": "Allow", "SpoofedUser": "*",
         "SpoofType": "External", "SendingInfrastructure": "192.0.2.1/32"}),
        ("Set-ArcConfig", {"Identity": "Default", "ArcTrustedSealers": []}),
    ],
)  # fmt: skip
def test_the_double_refuses_what_the_documentation_does_not_know(exchange, cmdlet, parameters):
    with pytest.raises(Strange):
        exchange.call(cmdlet, parameters | {"ErrorAction": "Stop"})

"""A tenant's Exchange Online as its cmdlets show it: strict about parameters, and with its habits of telling things.

It keeps what it is told, gives it back as the real one does (sizes as texts, address spaces as smtp:*;1, connectors of
rules only to who asks for them), and fails when it should: names that are taken, connectors that rules use.
"""

import datetime as dt
import re
import uuid

from doubles.exchange_parameters import ACTIONS, CONDITIONS, RULE, check
from doubles.powershell_values import Strange, Table, Thing, Thrown

TENANT = "2b6e8f4a-9c1d-4f3b-8a57-d0c4e1f2a3b5"
RULE_SIZE = 8192
_UNITS = {"B": 1, "KB": 1024, "MB": 1024**2}


def cmdlet(method):
    """A method that is called by a cmdlet's name: New-InboundConnector is `new_inboundconnector`."""
    return method


class Exchange:
    """One organisation. `now` moves when a test says so."""

    def __init__(self, *domains):
        self.now = dt.datetime(2026, 11, 28, 12, tzinfo=dt.UTC)
        self.accepted = [*(domains or ["acme.example"]), "acme.onmicrosoft.com"]
        self.organisation = {"RejectDirectSend": False}
        self.content = {"Name": "Default", "SpamAction": "MoveToJmf", "HighConfidenceSpamAction": "Quarantine",
                        "PhishSpamAction": "Quarantine", "HighConfidencePhishAction": "Quarantine"}  # fmt: skip
        self.connection = {"Name": "Default", "IPAllowList": [], "EnableSafeList": False}
        self.sealers = []
        self.spoof = []
        self.inbound = []
        self.outbound = []
        self.rules = []
        self.connections = []
        self.failing = {}
        """Cmdlets that fail, and what they say."""
        self.unreachable = False
        self.changes = []
        """The calls that changed something."""

    # What the script sees.

    def call(self, cmdlet, parameters):
        if cmdlet == "Get-ConnectionInformation":
            return [Thing(one) for one in self.connections]
        if cmdlet == "Connect-ExchangeOnline":
            assert parameters == {"ShowBanner": False}
            self.sign_in()
            return []
        parameters = dict(parameters)
        if parameters.pop("ErrorAction", None) != "Stop":
            raise Strange(f"{cmdlet}: errors would not stop the step")
        check(cmdlet, parameters)
        if cmdlet in self.failing:
            raise Thrown(self.failing[cmdlet])
        if not cmdlet.startswith(("Get-", "Validate-")):
            self.changes.append((cmdlet, parameters))
        return getattr(self, cmdlet.replace("-", "_").lower())(**parameters) or []

    def sign_in(self, tenant=TENANT, **more):
        self.connections.append({"State": "Connected", "IsEopSession": False, "TenantID": tenant} | more)

    # Policies and lists.

    @cmdlet
    def get_accepteddomain(self):
        return [Thing({"DomainName": name, "Name": name}) for name in self.accepted]

    @cmdlet
    def get_organizationconfig(self):
        return [Thing(self.organisation)]

    @cmdlet
    def get_hostedcontentfilterpolicy(self):
        return [Thing({"Name": "Strict", "SpamAction": "Quarantine"}), Thing(self.content)]

    @cmdlet
    def set_hostedcontentfilterpolicy(self, Identity, **values):  # noqa: N803 - Exchange's names
        assert Identity == "Default"
        self.content |= values

    @cmdlet
    def get_hostedconnectionfilterpolicy(self):
        return [Thing(self.connection)]

    @cmdlet
    def set_hostedconnectionfilterpolicy(self, Identity, IPAllowList=None, **values):  # noqa: N803
        assert Identity == "Default"
        if isinstance(IPAllowList, Table):
            kept = [one for one in self.connection["IPAllowList"] if one not in (IPAllowList["Remove"] or [])]
            values["IPAllowList"] = kept + [one for one in IPAllowList["Add"] or [] if one not in kept]
        elif IPAllowList is not None:
            raise Strange("the list would be overwritten")
        self.connection |= values

    @cmdlet
    def get_arcconfig(self):
        return [Thing({"Identity": "Default", "ArcTrustedSealers": ",".join(self.sealers)})]

    @cmdlet
    def set_arcconfig(self, Identity, ArcTrustedSealers):  # noqa: N803
        self.sealers = [one for one in ArcTrustedSealers if one.strip()]

    @cmdlet
    def get_tenantallowblocklistspoofitems(self):
        return [Thing(one) for one in self.spoof]

    @cmdlet
    def new_tenantallowblocklistspoofitems(self, Identity, **values):  # noqa: N803
        for one in self.spoof:
            if all(one[key] == value for key, value in values.items() if key != "Action"):
                raise Thrown("the entry is there already")
        self.spoof.append(values | {"Identity": str(uuid.uuid4())})

    @cmdlet
    def remove_tenantallowblocklistspoofitems(self, Identity, Ids, **_):  # noqa: N803
        assert {one["Identity"] for one in self.spoof} >= set(Ids)
        self.spoof = [one for one in self.spoof if one["Identity"] not in Ids]

    # Connectors.

    @cmdlet
    def get_inboundconnector(self):
        for one in self.inbound:
            yield Thing(one | {"SenderDomains": [f"smtp:{space};1" for space in one["SenderDomains"]]})

    @cmdlet
    def new_inboundconnector(self, Name, **values):  # noqa: N803
        taken(self.inbound, Name)
        defaults = {"Enabled": True, "RequireTls": True, "ConnectorType": "Partner", "Comment": None,
                    "RestrictDomainsToIPAddresses": False, "RestrictDomainsToCertificate": False,
                    "SenderIPAddresses": []}  # fmt: skip
        self.inbound.append(restricted(defaults | values | {"Name": Name, "WhenChanged": self.now}))

    @cmdlet
    def set_inboundconnector(self, Identity, **values):  # noqa: N803
        restricted(there(self.inbound, Identity)).update(values, WhenChanged=self.now)

    @cmdlet
    def remove_inboundconnector(self, Identity, **_):  # noqa: N803
        self.inbound.remove(there(self.inbound, Identity))

    @cmdlet
    def get_outboundconnector(self, IsTransportRuleScoped=False, IncludeTestModeConnectors=False):  # noqa: N803
        for one in self.outbound:
            if (one["IsTransportRuleScoped"], one["TestMode"]) == (IsTransportRuleScoped, IncludeTestModeConnectors):
                yield Thing(one)

    @cmdlet
    def new_outboundconnector(self, Name, **values):  # noqa: N803
        taken(self.outbound, Name)
        defaults = {"Enabled": True, "IsTransportRuleScoped": False, "TestMode": False, "UseMXRecord": True,
                    "SmartHosts": [], "TlsSettings": None, "TlsDomain": None, "ConnectorType": "Partner",
                    "Comment": None, "IsValidated": False, "LastValidationTimestamp": None}  # fmt: skip
        self.outbound.append(routed(defaults | values | {"Name": Name, "WhenChanged": self.now}))

    @cmdlet
    def set_outboundconnector(self, Identity, **values):  # noqa: N803
        found = there(self.outbound, Identity)
        if not {"IsValidated", "LastValidationTimestamp"} & set(values):
            values["IsValidated"] = False
        found.update(values, WhenChanged=self.now)
        routed(found)

    @cmdlet
    def remove_outboundconnector(self, Identity, **_):  # noqa: N803
        if any(rule["RouteMessageOutboundConnector"] == Identity for rule in self.rules):
            raise Thrown("the connector is used by a transport rule")
        self.outbound.remove(there(self.outbound, Identity))

    @cmdlet
    def validate_outboundconnector(self, Identity, **_):  # noqa: N803
        found = there(self.outbound, Identity)
        tasks = [f"Check connectivity to '{host}'" for host in found["SmartHosts"]] + ["Send test email"]
        return [
            Thing({"TaskName": task, "IsTaskSuccessful": not self.unreachable, "TaskDetail": "450 4.4.316"})
            for task in tasks
        ]

    # Rules, in the order of their priorities.

    @cmdlet
    def get_transportrule(self, **_):
        for place, rule in enumerate(self.rules):
            yield Thing(rule | {"Priority": place} | {key: told(key, rule[key]) for key in RULE if key in rule})

    @cmdlet
    def new_transportrule(self, Name, Priority=None, Enabled=True, **values):  # noqa: N803
        taken(self.rules, Name)
        if len(self.rules) >= 300:
            raise Thrown("no more than 300 rules")
        place = len(self.rules) if Priority is None else Priority
        if place > len(self.rules):
            raise Thrown("the priority is out of range")
        rule = dict.fromkeys(key for key in RULE if key != "Priority") | {
            "Mode": "Enforce",
            "RuleErrorAction": "Ignore",
            "StopRuleProcessing": False,
            "SenderAddressLocation": "Header",
            "Name": Name,
            "State": "Enabled" if Enabled else "Disabled",
        }
        self.rules.insert(place, self.sound(rule | values))

    @cmdlet
    def set_transportrule(self, Identity, Priority=None, **values):  # noqa: N803
        rule = there(self.rules, Identity)
        self.sound(rule | values)
        rule.update(values, WhenChanged=self.now)
        if Priority is not None:
            if Priority >= len(self.rules):
                raise Thrown("the priority is out of range")
            self.rules.remove(rule)
            self.rules.insert(Priority, rule)

    @cmdlet
    def enable_transportrule(self, Identity, **_):  # noqa: N803
        there(self.rules, Identity).update(State="Enabled", WhenChanged=self.now)

    @cmdlet
    def disable_transportrule(self, Identity, **_):  # noqa: N803
        there(self.rules, Identity).update(State="Disabled", WhenChanged=self.now)

    @cmdlet
    def remove_transportrule(self, Identity, **_):  # noqa: N803
        self.rules.remove(there(self.rules, Identity))

    def sound(self, rule):
        """A rule that makes sense; else an error."""
        for prefix in ("", "ExceptIf"):
            for kind, values in (("HeaderContains", "Words"), ("HeaderMatches", "Patterns")):
                both = rule[f"{prefix}{kind}MessageHeader"], rule[f"{prefix}{kind}{values}"]
                if (both[0] is None) != (both[1] is None):
                    raise Strange(f"{prefix}{kind}: one without the other")
        if (rule["SetHeaderName"] is None) != (rule["SetHeaderValue"] is None):
            raise Strange("SetHeader: one without the other")
        if all(rule[key] is None for key in CONDITIONS):
            raise Strange("a rule for all messages")
        if all(rule[key] is None for key in ACTIONS):
            raise Strange("a rule that does nothing")
        if sum(len(str(value)) for value in rule.values() if value is not None) > RULE_SIZE:
            raise Thrown("the rule is too big")
        used = rule["RouteMessageOutboundConnector"]
        if used is not None and not there(self.outbound, used)["IsTransportRuleScoped"]:
            raise Thrown("the connector is not for transport rules")
        return rule | {"WhenChanged": self.now}


def told(key, value):
    """A property as Get-TransportRule shows it."""
    if value is None:
        return None
    if key.endswith("SizeOver"):
        count, unit = re.fullmatch(r"(\d+)([KM]?B)", value).groups()
        size = int(count) * _UNITS[unit]
        return f"{size / 1024**2:.2f} MB ({size:,} bytes)"
    return str(value) if key == "SetSCL" else value


def taken(objects, name):
    if any(one["Name"].lower() == name.lower() for one in objects):
        raise Thrown(f'The name "{name}" is in use already.')


def there(objects, name):
    for one in objects:
        if one["Name"].lower() == name.lower():
            return one
    raise Thrown(f'The object "{name}" couldn\'t be found.')


def restricted(connector):
    """An inbound connector that lets other mail pass."""
    if connector["RestrictDomainsToIPAddresses"] and "*" in connector["SenderDomains"]:
        raise Strange("all mail from elsewhere would be rejected")
    return connector


def routed(connector):
    """An outbound connector that has what it needs."""
    if not connector["UseMXRecord"] and not connector["SmartHosts"]:
        raise Strange("no smart host")
    if (connector["TlsSettings"] == "DomainValidation") != (connector["TlsDomain"] is not None):
        raise Strange("the name of the certificate is not checked")
    return connector

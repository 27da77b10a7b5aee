"""What the cmdlets of Exchange Online take: their documented parameters, and what is right for each.

https://learn.microsoft.com/powershell/module/exchangepowershell/ , a page for each cmdlet, read in November 2026.
Parameters that are documented, but that nobody should pass here, are left out on purpose.
"""

import datetime as dt
import ipaddress
import re

from doubles.powershell_values import Strange, Table

HOST = re.compile(r"(?!-)[A-Za-z0-9-]{1,63}(\.[A-Za-z0-9-]{1,63})+")
ADDRESS = re.compile(r"[^@\s]+@[A-Za-z0-9.-]+")
HEADER = re.compile(r"[!-9;-~]{1,64}")


def need(right, value):
    if not right:
        raise Strange(f"not right: {value!r}")


def flag(value):
    need(isinstance(value, bool), value)


def integer(low, high):
    return lambda value: need(isinstance(value, int) and not isinstance(value, bool) and low <= value <= high, value)


def matching(pattern, most=1024):
    def check(value):
        need(isinstance(value, str) and 0 < len(value) <= most and re.fullmatch(pattern, value), value)

    return check


def one_of(*names):
    return lambda value: need(isinstance(value, str) and value.lower() in {name.lower() for name in names}, value)


def moment(value):
    need(isinstance(value, dt.datetime), value)


def each(check, *, empty=False):
    """A list of values, one of them, or nothing where a parameter can be emptied."""

    def check_all(value):
        if value is None:
            return need(empty, value)
        listed = value if isinstance(value, list) else [value]
        need(bool(listed), value)
        for one in listed:
            check(one)
        return need(len({str(one).lower() for one in listed}) == len(listed), value)

    return check_all


def edited(check):
    """A multivalued property: a list, or @{Add=...; Remove=...}."""

    def check_all(value):
        if isinstance(value, Table):
            need(value and {key.lower() for key in value} <= {"add", "remove"}, value)
            for part in value.values():
                each(check)(part)
        else:
            each(check, empty=True)(value)

    return check_all


def or_nothing(check):
    return lambda value: None if value is None else check(value)


def network(value):
    """An IPv4 address or a network from /24 on."""
    need(isinstance(value, str), value)
    need(ipaddress.IPv4Network(value, strict=False).prefixlen >= 24, value)


def word(value):
    need(isinstance(value, str) and value and value == value.strip() and len(value) <= 128, value)


def pattern(value):
    """A regular expression of what Microsoft's page about them names."""
    need(isinstance(value, str) and value, value)
    re.compile(value)
    rest = re.sub(r"\\[SsDdWw.]|[|*()^$]|[A-Za-z0-9:; -]", "", value)
    need(not rest, value)


def size(value):
    need(isinstance(value, str) and re.fullmatch(r"\d+(B|KB|MB|GB|TB)", value), value)


def infrastructure(value):
    """A domain, or an address with /24: no other network."""
    if not re.search(r"[A-Za-z]", value):
        need(value.endswith("/24"), value)
        ipaddress.IPv4Network(value, strict=False)
    else:
        need(HOST.fullmatch(value), value)


def address_space(value):
    need(value == "*" or HOST.fullmatch(value.removeprefix("*.")), value)


name = matching(r"[^\x00-\x1f]+", 64)
comment = matching(r"[^\x00-\x1f]+")
host = matching(HOST, 253)
lists = {
    "words": each(word, empty=True),
    "patterns": each(pattern, empty=True),
    "networks": each(network, empty=True),
    "people": each(matching(ADDRESS), empty=True),
}
header = or_nothing(matching(HEADER))

CONDITIONS = {
    "FromScope": or_nothing(one_of("InOrganization", "NotInOrganization")),
    "RecipientDomainIs": each(host, empty=True),
    "SentTo": lists["people"],
    "SentToMemberOf": lists["people"],
    "SenderIpRanges": lists["networks"],
    "HeaderContainsMessageHeader": header,
    "HeaderContainsWords": lists["words"],
    "HeaderMatchesMessageHeader": header,
    "HeaderMatchesPatterns": lists["patterns"],
    "MessageSizeOver": or_nothing(size),
}
ACTIONS = {
    "RouteMessageOutboundConnector": or_nothing(name),
    "SetHeaderName": header,
    "SetHeaderValue": or_nothing(matching(r"[ -~]+")),
    "RemoveHeader": header,
    "SetSCL": or_nothing(integer(-1, 9)),
}
RULE = {
    **CONDITIONS,
    **{f"ExceptIf{key}": check for key, check in CONDITIONS.items()},
    **ACTIONS,
    "Comments": comment,
    "Mode": one_of("Audit", "AuditAndNotify", "Enforce"),
    "Name": name,
    "Priority": integer(0, 299),
    "RuleErrorAction": one_of("Ignore", "Defer"),
    "SenderAddressLocation": one_of("Header", "Envelope", "HeaderOrEnvelope"),
    "StopRuleProcessing": flag,
}
INBOUND = {
    "Comment": comment,
    "ConnectorType": one_of("Partner", "OnPremises"),
    "Enabled": flag,
    "Name": name,
    "RequireTls": flag,
    "RestrictDomainsToCertificate": flag,
    "RestrictDomainsToIPAddresses": flag,
    "SenderDomains": each(address_space),
    "SenderIPAddresses": each(network),
}
OUTBOUND = {
    "Comment": comment,
    "ConnectorType": one_of("Partner", "OnPremises"),
    "Enabled": flag,
    "IsTransportRuleScoped": flag,
    "Name": name,
    "SmartHosts": each(host),
    "TestMode": flag,
    "TlsDomain": host,
    "TlsSettings": one_of("EncryptionOnly", "CertificateValidation", "DomainValidation"),
    "UseMXRecord": flag,
}
_SPAM = one_of("AddXHeader", "Delete", "ModifySubject", "MoveToJmf", "NoAction", "Quarantine", "Redirect")
_identity = {"Identity": name}
_removal = _identity | {"Confirm": flag}
_default = {"Identity": one_of("Default")}

CMDLETS = {
    "Get-AcceptedDomain": {},
    "Get-OrganizationConfig": {},
    "Get-TenantAllowBlockListSpoofItems": {},
    "Get-HostedContentFilterPolicy": {},
    "Get-HostedConnectionFilterPolicy": {},
    "Get-ArcConfig": {},
    "Get-InboundConnector": {},
    "Get-OutboundConnector": {"IsTransportRuleScoped": flag, "IncludeTestModeConnectors": flag},
    "Get-TransportRule": {"ResultSize": one_of("Unlimited")},
    "New-TenantAllowBlockListSpoofItems": _default
    | {
        "Action": one_of("Allow", "Block"),
        "SendingInfrastructure": infrastructure,
        "SpoofedUser": one_of("*"),
        "SpoofType": one_of("External", "Internal"),
    },
    "Remove-TenantAllowBlockListSpoofItems": {
        "Identity": one_of("domain.com\\Default"),
        "Ids": each(matching(r"[0-9a-f-]{36}")),
        "Confirm": flag,
    },
    "Set-HostedContentFilterPolicy": _identity
    | {
        "SpamAction": _SPAM,
        "HighConfidenceSpamAction": _SPAM,
        "PhishSpamAction": _SPAM,
        "HighConfidencePhishAction": one_of("MoveToJmf", "Redirect", "Quarantine"),
    },
    "Set-HostedConnectionFilterPolicy": _identity | {"IPAllowList": edited(network), "EnableSafeList": flag},
    "Set-ArcConfig": _default | {"ArcTrustedSealers": lambda value: value == [" "] or each(host)(value)},
    "New-InboundConnector": INBOUND,
    "Set-InboundConnector": _identity | INBOUND,
    "Remove-InboundConnector": _removal,
    "New-OutboundConnector": OUTBOUND,
    "Set-OutboundConnector": _identity | OUTBOUND | {"IsValidated": flag, "LastValidationTimestamp": moment},
    "Remove-OutboundConnector": _removal,
    "Validate-OutboundConnector": _identity | {"Recipients": each(matching(ADDRESS))},
    "New-TransportRule": RULE | {"Enabled": flag},
    "Set-TransportRule": _identity | RULE,
    "Enable-TransportRule": _removal,
    "Disable-TransportRule": _removal,
    "Remove-TransportRule": _removal,
}
REQUIRED = {
    "New-TenantAllowBlockListSpoofItems": set(CMDLETS["New-TenantAllowBlockListSpoofItems"]),
    "New-InboundConnector": {"Name", "SenderDomains"},
    "New-OutboundConnector": {"Name"},
    "New-TransportRule": {"Name"},
    "Validate-OutboundConnector": {"Identity", "Recipients"},
    "Set-ArcConfig": {"Identity", "ArcTrustedSealers"},
}
CONFIRMED = ("Remove-InboundConnector", "Remove-OutboundConnector", "Remove-TransportRule", "Disable-TransportRule",
             "Remove-TenantAllowBlockListSpoofItems")  # fmt: skip
"""They wait for a yes unless -Confirm:$false is given."""


def check(cmdlet, parameters):
    """Whether the call is one that the documentation knows; else an error."""
    if cmdlet not in CMDLETS:
        raise Strange(f"no such cmdlet: {cmdlet}")
    known = CMDLETS[cmdlet]
    for key, value in parameters.items():
        if key not in known:
            raise Strange(f"{cmdlet} has no parameter {key}")
        try:
            known[key](value)
        except (Strange, ValueError, AttributeError) as error:
            raise Strange(f"{cmdlet} -{key}: {error}") from None
    required = REQUIRED.get(cmdlet, {"Identity"} if "Identity" in known else set())
    if missing := required - set(parameters):
        raise Strange(f"{cmdlet} needs {missing}")
    if cmdlet in CONFIRMED and parameters.get("Confirm") is not False:
        raise Strange(f"{cmdlet} would ask")

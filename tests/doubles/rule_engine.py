"""How Exchange's rules treat a message, as far as Microsoft's pages tell: by priority, conditions all, exceptions any.

https://learn.microsoft.com/exchange/security-and-compliance/mail-flow-rules/mail-flow-rules
That a later rule sees what an earlier one made of the header is how rules are used; no page promises it.
"""

import ipaddress
import re
from dataclasses import dataclass, field, replace

ACCEPTED = ("acme.example", "sub.acme.example", "other.example")
_UNITS = {"KB": 1024, "MB": 1024**2}


@dataclass(frozen=True)
class Mail:
    """A message on its way through Exchange."""

    sender: str = "ann@sender.example"
    recipient: str = "bob@acme.example"
    address: str = "203.0.113.9"
    """Who handed it in, "" for a mailbox of the organisation."""
    authenticated: bool = False
    size: int = 10_000
    fields: tuple[tuple[str, str], ...] = ()
    scl: int | None = None
    route: str | None = None
    groups: tuple[str, ...] = field(default=())
    """Groups that the recipient is a member of."""

    def values(self, name):
        return [value for key, value in self.fields if key.lower() == name.lower()]

    def without(self, name):
        return tuple((key, value) for key, value in self.fields if key.lower() != name.lower())


def apply(rules, mail):
    """The message after all rules that are for it."""
    for rule in rules:
        if rule["State"] == "Enabled" and meant(rule, mail):
            mail = acted(rule, mail)
            if rule["StopRuleProcessing"]:
                break
    return mail


def meant(rule, mail):
    named = [name for name in TESTS if rule[name] is not None]
    excepted = [name for name in TESTS if rule[f"ExceptIf{name}"] is not None]
    return all(TESTS[name](mail, rule[name], rule, "") for name in named) and not any(
        TESTS[name](mail, rule[f"ExceptIf{name}"], rule, "ExceptIf") for name in excepted
    )


def acted(rule, mail):
    if rule["RemoveHeader"]:
        mail = replace(mail, fields=mail.without(rule["RemoveHeader"]))
    if rule["SetHeaderName"]:
        mail = replace(
            mail, fields=((rule["SetHeaderName"], rule["SetHeaderValue"]), *mail.without(rule["SetHeaderName"]))
        )
    if rule["SetSCL"] is not None:
        mail = replace(mail, scl=rule["SetSCL"])
    if rule["RouteMessageOutboundConnector"]:
        mail = replace(mail, route=rule["RouteMessageOutboundConnector"])
    return mail


def from_scope(mail, value, rule, prefix):
    inside = mail.authenticated and mail.sender.rpartition("@")[2] in ACCEPTED
    return (value == "InOrganization") == inside


def recipient_domain(mail, value, rule, prefix):
    domain = mail.recipient.rpartition("@")[2]
    return any(domain == one or domain.endswith(f".{one}") for one in value)


def ip_ranges(mail, value, rule, prefix):
    return bool(mail.address) and any(
        ipaddress.ip_address(mail.address) in ipaddress.ip_network(one, strict=False) for one in value
    )


def contains_words(mail, value, rule, prefix):
    found = mail.values(rule[f"{prefix}HeaderContainsMessageHeader"])
    return any(re.search(rf"(?<!\w){re.escape(one)}(?!\w)", text, re.IGNORECASE) for one in value for text in found)


def matches_patterns(mail, value, rule, prefix):
    found = mail.values(rule[f"{prefix}HeaderMatchesMessageHeader"])
    return any(re.search(one, text, re.IGNORECASE) for one in value for text in found)


def size_over(mail, value, rule, prefix):
    count, unit = re.fullmatch(r"(\d+)([KM]B)", value).groups()
    return mail.size >= int(count) * _UNITS[unit]


TESTS = {
    "FromScope": from_scope,
    "RecipientDomainIs": recipient_domain,
    "SentTo": lambda mail, value, rule, prefix: mail.recipient in value,
    "SentToMemberOf": lambda mail, value, rule, prefix: bool(set(value) & set(mail.groups)),
    "SenderIpRanges": ip_ranges,
    "HeaderContainsWords": contains_words,
    "HeaderMatchesPatterns": matches_patterns,
    "MessageSizeOver": size_over,
}

r"""The rules: who is redirected, what happens to mail that comes back, and in which order.

A rule's conditions must all be met, one of its exceptions is enough, and a later rule sees what an earlier one made of
the header. The hardened rules by their places, and what each does with a message on its two ways through Exchange:

| rule | from outside | back from Sluice |
|---|---|---|
| 0 guard: has the loop header, not from our addresses: take it away | a forged value is gone | |
| 1, 2 redirect: from outside, protected, without value, small enough: set it, to Sluice, stop | goes to Sluice | |
| 3 high, 4 low: from our addresses, Microsoft's first verdict was spam: SCL 9, 6 | | Microsoft's spam stays spam |
| 5 spam: from our addresses, Sluice says spam: SCL 6 | | Sluice's spam becomes spam |
| 6 trust: from our addresses, with value, neither says spam: SCL -1 | | is not judged a second time |
| 7 clean: from our addresses, with value: take it away | | nobody ever reads the value |

So mail skips the scan only when it bears the value *and* comes from our addresses: 0 takes the value from all others,
then 1 asks for it alone. Mail from our addresses without it goes to Sluice again, which knows it and ends the loop.
Mail that is too big for Sluice passes, and none of 3 to 6 believes what is written in it. A rule that fails defers the
mail. 6 never speaks where 3, 4 or 5 does: it does not matter whether the first or the last word on a score counts.

As in the article, the value or the address is enough, the value stays in the mail, and there are neither 0 nor 6 nor 7.

A sender is outside (`FromScope NotInOrganization`) when its domain is not an accepted one, Microsoft's page says, and
inside when it is one and came authenticated; mail from outside in the name of an own domain is neither. As far as is
known it is redirected. Patterns are made of what is documented for rules: \s \S | ( ) ^ $.
https://learn.microsoft.com/exchange/security-and-compliance/mail-flow-rules/conditions-and-exceptions
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from relay.onboarding.exchange.plan import Form, Kind, Property, Step, Variant, flag, nothing, several, text

OUTBOUND = "Sluice Scanning"
LOOP = "X-PERCEPTION-POINT-CUSTOM"
SPAM = "X-PERCEPTION-POINT-SPAM"
REPORT = "X-PP-Forefront-Antispam-Report"
LARGEST_KB = 40_000
"""Mail from this size on is not sent to Sluice."""
FAIL = r"^\s*FAIL\s*$"


def level(*values: int) -> str:
    """SCL with one of these values, as a whole entry of the report: not SCL:-1, nor SCL:50, nor BCL:5."""
    return rf"(^|;|\s)SCL:({'|'.join(map(str, values))})(;|\s|$)"


@dataclass(frozen=True, slots=True)
class Scope:
    """Whose mail is redirected: of members of groups, of users, or of whole domains when neither is named."""

    domains: tuple[str, ...]
    groups: tuple[str, ...]
    users: tuple[str, ...]

    @property
    def whole(self) -> bool:
        """Whether whole domains are meant."""
        return not (self.groups or self.users)


@dataclass(frozen=True, slots=True)
class _Common:
    """What the rules of one plan have in common."""

    scope: Scope
    values: tuple[str, ...]
    addresses: tuple[str, ...]
    hardened: bool

    def place(self, number: int) -> int | None:
        """Where a rule stands; as in the article that matters for those that redirect only."""
        return number if self.hardened else None


def steps(
    scope: Scope,
    values: tuple[str, ...],
    addresses: tuple[str, ...],
    variant: Variant,
    allowed: tuple[str, ...],
) -> Iterable[Step]:
    """The rules in the order in which they are made: what redirects comes when all else is there, `allowed` too.

    On the way back they go in the opposite order.
    """
    common = _Common(scope, values, addresses, variant is Variant.HARDENED)
    marking = (_spam(common), _low(common), _high(common))
    around = (_clean(common), _trust(common), _guard(common))
    present = (*around[:2], *marking, around[2]) if common.hardened else marking
    needs = ("organisation", *allowed, *(step.id for step in present))
    yield from present
    first, second = _redirects(common)
    yield replace(first, needs=needs)
    yield replace(second, needs=(*needs, first.id))
    if not common.hardened:
        yield from (replace(step, absent=True, place=None, rotates=False) for step in around)


def _rule(
    common: _Common, step_id: str, title: str, name: str, place: int | None, why: str, properties: Iterable[Property]
) -> Step:
    every = (
        text("Mode", "Enforce"),
        text("RuleErrorAction", "Defer" if common.hardened else "Ignore"),
    )
    return Step(
        step_id,
        title,
        Kind.RULE,
        "rules",
        "TransportRule",
        name,
        (*properties, *every),
        ("organisation",),
        place=place,
        why=why,
    )


def _ours(common: _Common) -> Property:
    """From our addresses; as in the article, rules about spam believe everybody."""
    return _addresses(common) if common.hardened else nothing("SenderIpRanges")


def _addresses(common: _Common, prefix: str = "") -> Property:
    return several(f"{prefix}SenderIpRanges", *common.addresses, form=Form.RANGES)


def _bears_value(common: _Common, prefix: str = "") -> tuple[Property, ...]:
    return (
        text(f"{prefix}HeaderContainsMessageHeader", LOOP),
        several(f"{prefix}HeaderContainsWords", *common.values, form=Form.SECRETS),
    )


def _matches(header: str, *patterns: str, prefix: str = "") -> tuple[Property, ...]:
    return (
        text(f"{prefix}HeaderMatchesMessageHeader", header),
        several(f"{prefix}HeaderMatchesPatterns", *patterns, form=Form.EXACT),
    )


def _score(value: int) -> Property:
    return Property("SetSCL", Form.NUMBER, value)


def _guard(common: _Common) -> Step:
    return _rule(
        common,
        "guard",
        "Take the loop header from mail that is not from Sluice",
        "Sluice Guard Rule",
        common.place(0),
        "Whoever writes that header into a message does not skip the scan with it.",
        (
            *_matches(LOOP, r"\S"),
            _addresses(common, "ExceptIf"),
            text("RemoveHeader", LOOP),
        ),
    )


def _redirects(common: _Common) -> tuple[Step, Step]:
    """One rule; two where groups and users are meant, for conditions of one rule must all be met.

    The second is there before the first means fewer people, and goes after the first means more again.
    """
    groups, users = common.scope.groups, common.scope.users
    place = 1 if common.hardened else 0
    first = replace(common.scope, users=()) if groups else common.scope
    main = _redirect(common, first, "redirect", "Send mail from outside to Sluice", "Sluice Redirect Rule", place)
    others = replace(common.scope, groups=())
    title, name = "Send mail from outside to single users to Sluice", "Sluice Redirect Rule (users)"
    second = _redirect(common, others, "redirect-users", title, name, place + 1)
    if groups and users:
        return second, main
    return main, replace(second, absent=True, place=None, rotates=False)


def _redirect(common: _Common, scope: Scope, step_id: str, title: str, name: str, place: int) -> Step:
    made = _rule(
        common,
        step_id,
        title,
        name,
        place,
        "The rule that protects. Everything else must be right before it is there.",
        (*_recipients(scope), *_redirection(common), *_exceptions(common)),
    )
    return replace(made, rotates=True, redirects=True)


def _recipients(scope: Scope) -> tuple[Property, ...]:
    return (
        several("RecipientDomainIs", *(scope.domains if scope.whole else ())),
        several("SentToMemberOf", *scope.groups),
        several("SentTo", *scope.users),
    )


def _redirection(common: _Common) -> tuple[Property, ...]:
    return (
        text("FromScope", "NotInOrganization"),
        text("RouteMessageOutboundConnector", OUTBOUND),
        text("SetHeaderName", LOOP),
        Property("SetHeaderValue", Form.SECRET, common.values),
        flag("StopRuleProcessing", True),
        text("SenderAddressLocation", "Header"),
    )


def _exceptions(common: _Common) -> tuple[Property, ...]:
    """One of them is enough, so that the address must not be one where value and address are demanded together."""
    return (
        *_bears_value(common, "ExceptIf"),
        nothing("ExceptIfSenderIpRanges") if common.hardened else _addresses(common, "ExceptIf"),
        Property("ExceptIfMessageSizeOver", Form.SIZE, LARGEST_KB),
    )


def _high(common: _Common) -> Step:
    patterns = (level(7, 8, 9),) if common.hardened else ("SCL:9", "SCL:8", "SCL:7")
    return _rule(
        common,
        "high",
        "Keep Microsoft's verdict: certainly spam",
        "Send Office 365 spam emails to Junk folder (High)",
        common.place(3),
        "Sluice copies the verdict of the first way through, which Exchange overwrites when the mail comes back.",
        (*_matches(REPORT, *patterns), _ours(common), _score(9)),
    )


def _low(common: _Common) -> Step:
    patterns = (level(5, 6),) if common.hardened else ("SCL:6", "SCL:5")
    return _rule(
        common,
        "low",
        "Keep Microsoft's verdict: spam",
        "Send Office 365 spam emails to Junk folder (Low)",
        common.place(4),
        "The same for lower scores.",
        (*_matches(REPORT, *patterns), _ours(common), _score(6)),
    )


def _spam(common: _Common) -> Step:
    return _rule(
        common,
        "spam",
        "Obey Sluice's verdict: spam",
        "Sluice Spam Rule",
        common.place(5),
        "What Sluice marks as spam goes to the Junk Email folder.",
        (*_matches(SPAM, FAIL if common.hardened else "FAIL"), _ours(common), _score(6)),
    )


def _trust(common: _Common) -> Step:
    made = _rule(
        common,
        "trust",
        "Do not judge mail twice",
        "Sluice Trust Rule",
        common.place(6),
        "In some of Microsoft's forests allowed addresses are judged all the same; this is Microsoft's remedy.",
        (
            *_bears_value(common),
            _addresses(common),
            *_matches(REPORT, level(5, 6, 7, 8, 9), prefix="ExceptIf"),
            text("ExceptIfHeaderContainsMessageHeader", SPAM),
            several("ExceptIfHeaderContainsWords", "FAIL", form=Form.EXACT),
            _score(-1),
        ),
    )
    return replace(made, rotates=True)


def _clean(common: _Common) -> Step:
    made = _rule(
        common,
        "clean",
        "Take the loop value from mail that is delivered",
        "Sluice Clean Rule",
        common.place(7),
        "Nobody who reads the message learns the value.",
        (*_bears_value(common), _addresses(common), text("RemoveHeader", LOOP)),
    )
    return replace(made, rotates=True)

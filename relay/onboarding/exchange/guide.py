"""The plan as a guide for people, in Markdown: each step with its place in the portals and its values.

Values of a tenant stand in code spans only, in which Markdown takes nothing for a sign (CommonMark section 6.1).
"""

import re
from collections.abc import Iterable

from relay.errors import Unusable
from relay.onboarding.exchange.plan import Form, Kind, Plan, Property, Step, Variant
from relay.onboarding.exchange.portals import LABELS, PORTALS, WORDS


def guide(plan: Plan) -> str:
    """The whole guide. It has the loop values. Raises Unusable when a value has control characters."""
    steps = [step for step in plan.steps if not step.absent]
    lines = [
        *_head(plan),
        *(line for number, step in enumerate(steps, 1) for line in (*_step(number, step, plan), "")),
        *_order(plan),
        *_afterwards(plan),
    ]
    return "\n".join(lines) + "\n"


def code(text: str) -> str:
    """A text as a code span, whatever backticks it has. Raises Unusable for control characters."""
    if not text.isprintable() or not text.strip():
        raise Unusable(f"a value cannot be shown: {text[:50]!a}")
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", text)), default=0))
    space = " " if text.startswith(("`", " ")) or text.endswith(("`", " ")) else ""
    return f"{fence}{space}{text}{space}{fence}"


def _head(plan: Plan) -> Iterable[str]:
    yield f"# Exchange Online for {code(plan.tenant)}, by hand"
    yield ""
    yield (
        f"The environment is {code(plan.environment)}, the rules are {plan.variant.value}. Take the steps in this "
        "order: mail is redirected by the last rule only, when all that brings it back is there. `sluice tenant "
        "script` writes a script that does the same, and looks whether all is still so."
    )
    yield ""
    yield (
        "Keep this page secret: it has the value that proves mail to be this tenant's. You need an account that may "
        "manage Exchange and security settings. It follows Microsoft's documentation; what the portals call things may "
        "have changed since."
    )
    yield ""
    yield "Good to know:"
    yield ""
    yield from (f"- {note}" for note in plan.notes)
    yield ""


def _step(number: int, step: Step, plan: Plan) -> Iterable[str]:
    where, link = PORTALS[step.portal]
    yield f"## {number}. {step.title}"
    yield ""
    yield step.why
    yield ""
    yield f"[{where}]({link})"
    yield ""
    if step.name:
        yield f"- Name: {code(step.name)}"
    yield from (f"- {LABELS[one.name]}: {_said(one)}" for one in step.properties if _is_shown(one))
    if step.kind in (Kind.CONNECTOR, Kind.RULE):
        word = "Description" if step.kind is Kind.CONNECTOR else "Comments"
        yield f"- {word}: {code(plan.mark)} (so the script knows it for Sluice's)"
    if step.hint:
        yield ""
        yield f"If it fails: {step.hint}"


def _is_shown(one: Property) -> bool:
    return one.form is not Form.EMPTY and one.name in LABELS


def _said(one: Property) -> str:
    if one.form is Form.FLAG:
        return "yes" if one.value else "no"
    texts = one.texts[:1] if one.form is Form.SECRET else one.texts
    return ", ".join(code(WORDS.get((one.name, text), text)) for text in texts)


def _order(plan: Plan) -> Iterable[str]:
    """Where the rules stand, and which must not be there."""
    placed = sorted((step for step in plan.steps if step.place is not None), key=lambda step: step.place or 0)
    yield "## The order of the rules"
    yield ""
    yield "Put them above all other rules, the first one at priority 0:"
    yield ""
    yield from (f"{number}. {code(step.name)}" for number, step in enumerate(placed, 1))
    yield ""
    yield (
        "A rule of your own that only blocks senders by their address may stand above them, if it stops processing "
        "more rules."
    )
    absent = [code(step.name) for step in plan.steps if step.absent]
    if absent:
        yield ""
        yield f"If there are rules of these names from an earlier set-up, remove them: {', '.join(absent)}."
    yield ""


def _afterwards(plan: Plan) -> Iterable[str]:
    should = "should not have" if plan.variant is Variant.HARDENED else "has"
    yield "## Afterwards"
    yield ""
    yield (
        "Wait half an hour, send yourself a message from outside, and look at `sluice scans list`: it should be there "
        f"once, with its proof. In the mailbox it {should} the header with the loop value."
    )
    yield ""
    yield (
        "**A new loop value** (`sluice tenant rotate`): first add the new value beside the old one wherever a rule "
        "looks for it. Half an hour later have the redirect rule set the new one. Take the old one out when "
        "`sluice tenant show` tells that it is not seen any more."
    )
    yield ""
    yield (
        "**Other addresses or another smart host** (another environment, a second region): first add the new addresses "
        "beside the old ones wherever a rule has them. Half an hour later change the smart host. Half an hour after "
        "that take the old addresses out, also out of the allow list. Else mail under way is sent to Sluice a second "
        "time, which refuses it."
    )
    yield ""
    yield (
        "**To leave Sluice**: disable the redirect rule first, and wait half an hour until mail comes directly. Then "
        "remove the rules, then the connectors, then the allow lists, and at last `sluice tenant remove`."
    )

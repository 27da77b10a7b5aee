"""The guide: every step and every value of the plan, in words of the portals, and nothing of a tenant outside code."""

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from onboarding.exchange_kit import NEW, OLD, plan

from relay.errors import Unusable
from relay.onboarding.exchange import guide
from relay.onboarding.exchange.plan import Form, Kind, Variant
from relay.onboarding.exchange.portals import LABELS, PORTALS, WORDS

EVERYBODY = {}
SOME = {"groups": ["staff@acme.example"], "users": ["boss@acme.example"]}


@pytest.mark.parametrize("variant", list(Variant))
@pytest.mark.parametrize("scope", [EVERYBODY, SOME])
def test_every_step_and_every_value_is_told(variant, scope):
    made = plan(variant, scope=scope, multi_region=True)
    written = guide.guide(made)
    sections = re.split(r"(?m)^## ", written)
    for number, step in enumerate([step for step in made.steps if not step.absent], 1):
        section = next(text for text in sections if text.startswith(f"{number}. {step.title}\n"))
        assert step.why in section
        assert PORTALS[step.portal][1] in section
        assert f"`{step.name}`" in section or not step.name
        for one in step.properties:
            check(one, section)
        if step.kind in (Kind.CONNECTOR, Kind.RULE):
            assert f"`{made.mark}`" in section
    assert all(note in written for note in made.notes)


def check(one, section):
    if one.form is Form.EMPTY or one.name == "WholeDomains":
        return
    (line,) = [line for line in section.splitlines() if line.startswith(f"- {LABELS[one.name]}: ")]
    for text in one.texts if one.form is not Form.FLAG else ():
        told = WORDS.get((one.name, text), text)
        assert f"`{told}`" in line
    if one.form is Form.FLAG:
        assert line.endswith(": yes" if one.value else ": no")


def test_a_property_that_no_portal_knows_by_name_is_not_forgotten():
    names = {one.name for variant in Variant for step in plan(variant, scope=SOME).steps for one in step.properties}
    assert names - set(LABELS) == {"WholeDomains"}
    assert set(LABELS) - names == set()


def test_labels_are_each_their_own():
    assert len(set(LABELS.values())) == len(LABELS)


def test_of_several_loop_values_the_rule_sets_the_first():
    written = guide.guide(plan(loop_values=[NEW, OLD]))
    assert f"- Set the message header to the value: `{NEW}`\n" in written
    assert f": `{NEW}`, `{OLD}`\n" in written


def test_the_order_of_the_rules_and_what_must_not_be_there():
    written = guide.guide(plan())
    assert written.index("1. `Sluice Guard Rule`\n2. `Sluice Redirect Rule`\n3. `Send Office") > 0
    assert "remove them: `Sluice Redirect Rule (users)`." in written
    article = guide.guide(plan(Variant.ARTICLE))
    assert "1. `Sluice Redirect Rule`\n\n" in article
    assert "`Sluice Guard Rule`" in article.partition("remove them: ")[2]


@given(st.text(min_size=1, max_size=40))
def test_a_code_span_holds_whatever_it_is_given(text):
    try:
        span = guide.code(text)
    except Unusable:
        assert not text.isprintable() or not text.strip()
        return
    fence = re.match("`+", span).group()
    assert span.endswith(fence)
    inside = span[len(fence) : -len(fence)]
    assert fence not in re.findall("`+", inside)
    assert text in (inside, inside[1:-1])


HOSTILE = ["](javascript:x) <script>", "# x", "`` ` ``", "*x* _y_ | z", "&amp; \\", "![a](b)", "$(x)"]


@pytest.mark.parametrize("text", HOSTILE)
def test_no_value_is_markdown(text):
    made = plan()
    steps = tuple(
        replace(
            step,
            name=text if step.name else "",
            properties=tuple(replace(one, value=(text,)) if one.form is Form.LIST else one for one in step.properties),
        )
        for step in made.steps
    )
    written = guide.guide(replace(made, tenant=text, environment=text, steps=steps))
    assert guide.code(text) in written
    assert text not in written.replace(guide.code(text), "").replace(
        guide.code(f"Made by Sluice for tenant {text}"), ""
    )


@pytest.mark.parametrize("text", ["a\nb", "a\r\n\r\n# b", "\x1b[31m", "\u202e", "", "  "])
def test_what_cannot_be_shown_is_refused(text):
    with pytest.raises(Unusable, match="cannot be shown"):
        guide.code(text)

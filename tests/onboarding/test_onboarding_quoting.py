"""Values stand in string literals and nowhere else, whatever they are; people see only what the script is made of."""

from dataclasses import replace

import pytest
from doubles.exchange import Exchange
from doubles.powershell import Machine, Node, parse, walk
from hypothesis import example, given, settings
from hypothesis import strategies as st
from onboarding.exchange_kit import OLD, plan

from relay.errors import Unusable
from relay.onboarding.exchange import script
from relay.onboarding.exchange.plan import Form, Variant

HOSTILE = [
    "it's",
    "''; Remove-TransportRule *; '",
    "$(Remove-TransportRule *)",
    '$env:PATH `n `" "',
    "'@",
    '"@',
    "@'",
    "#>",
    "<#",
    "#endregion",
    "\u2018; Exit \u2019",
    "\u201a\u201b\u201c\u201d",
    "}) -or $true",
    "%s {0} \\1",
    "\N{GRINNING FACE} \u00e9\u0301 \u202e",
    " ",
]
CONTROLS = ["\n", "\r\n", "\0", "\x1b[31m", "\x85", "a\tb", "\x7f"]


def valued(text):
    """Both plans, with that text wherever a value or a name can be."""
    for variant in Variant:
        made = plan(variant)
        steps = tuple(
            replace(
                step,
                name=text,
                title=text,
                hint=text,
                properties=tuple(
                    replace(one, value=text if one.form is Form.TEXT else (text, "x"))
                    for one in step.properties
                    if one.form not in (Form.SIZE, Form.FLAG, Form.NUMBER, Form.EMPTY)
                ),
            )
            for step in made.steps
        )
        yield replace(made, tenant=text, organisation=text, secrets=(text,), notes=(text,), steps=steps)


def shape(node: Node):
    """The tree without the texts in it; how many pieces a text is written in is not its shape."""
    if node.type in ("string_literal", "parenthesized_expression") and is_text(node):
        return "text"
    if node.type == "comment":
        return node.text
    return (node.type, *(shape(child) for child in node.children)) if node.children else (node.type, node.text)


def is_text(node):
    """A literal, or literals and characters by number, put together."""
    allowed = {
        "additive_expression", "array_literal_expression", "bitwise_expression", "cast_expression", "(", ")", "+",
        "comparison_expression", "expression_with_unary_operator", "format_expression", "hexadecimal_integer_literal",
        "integer_literal", "logical_expression", "multiplicative_expression", "parenthesized_expression", "pipeline",
        "pipeline_chain", "range_expression", "string_literal", "type_identifier", "type_literal", "type_name",
        "type_spec", "unary_expression", "verbatim_string_characters", "[", "]",
    }  # fmt: skip
    return {one.type for one in walk(node)} <= allowed


def quoted(node):
    return node.type in ("verbatim_string_characters", "comment")


def outside(root):
    """All that is written outside of literals."""
    return "".join(node.text.decode() for node in walk(root) if not node.children and not quoted(node))


PLAIN = parse(script.script(*valued("x")))
SHAPE, OUTSIDE = shape(PLAIN), outside(PLAIN)


def check(text):
    made = script.script(*valued(text))
    assert made.isascii()
    root = parse(made)
    assert shape(root) == SHAPE
    if text.strip() and len(text) > 3 and text.isascii():
        assert outside(root).count(text) == OUTSIDE.count(text)


@pytest.mark.parametrize("text", HOSTILE)
def test_a_value_cannot_leave_its_literal(text):
    check(text)


TEXTS = st.text(st.characters(exclude_categories=("Cc", "Cs")), min_size=1, max_size=40)


@settings(max_examples=25, deadline=None)
@given(TEXTS)
@example("\u2018")
@example("0000")
def test_no_value_can_leave_its_literal(text):
    check(text)


@given(TEXTS)
def test_a_literal_means_its_text(text):
    root = parse(f"$x = {script.literal(text)}\n$x")
    machine = Machine(root, Exchange())
    out = []
    machine.statements(next(child for child in root.children if child.type == "statement_list"), out)
    assert [told.encode("utf-16", "surrogatepass").decode("utf-16") for told in out] == [text]


@pytest.mark.parametrize("text", CONTROLS)
def test_control_characters_are_refused(text):
    with pytest.raises(Unusable, match="control characters"):
        script.literal(text)


def test_the_script_is_what_its_parts_are_and_the_plan():
    made = script.script(plan(), plan(Variant.ARTICLE))
    assert made.isascii()
    assert "\r" not in made
    before, _, rest = made.partition("#region plan\n")
    data, _, after = rest.partition("\n#endregion\n")
    assert OLD not in before + after
    for line in data.splitlines():
        assert not line.lstrip().startswith("#")
    assert made.startswith("#Requires -Version 5.1\n")


def test_windows_powershell_knows_all_of_it():
    """No operator and no syntax that came with PowerShell 7."""
    types = {node.type for node in walk(parse(script.script(plan(), plan(Variant.ARTICLE))))}
    assert not types & {"ternary_expression", "null_coalesce_expression", "&&", "||", "??", "?.", "?[", "here_string"}

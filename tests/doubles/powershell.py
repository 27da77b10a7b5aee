"""A small PowerShell: it walks the tree that tree-sitter makes of a script, and knows what our script uses.

It is stricter than the real one: variables and properties that are not there, arguments too many, lists that are
compared, and whatever it does not know are errors (`Strange`). Cmdlets that the script does not define are asked of
`host`, an object with `call(name, parameters) -> list of results`.
"""

import datetime as dt
import re
from dataclasses import dataclass, field

import tree_sitter
import tree_sitter_powershell
from doubles.powershell_values import (
    OPERATORS,
    Block,
    Strange,
    Table,
    Thing,
    Thrown,
    call,
    cast,
    items,
    member,
    minus,
    number,
    plus,
    string,
    text,
    truth,
)

LANGUAGE = tree_sitter.Language(tree_sitter_powershell.language())


class Node:
    """A node of the tree as plain data: to ask the parser's own ones again and again is slow."""

    __slots__ = ("children", "end_byte", "named_children", "source", "start_byte", "type")

    def __init__(self, node, source):
        if node.is_error or node.is_missing:
            raise Strange(f"{node.start_point}: {node.text[:100]!r}")
        self.type, self.source = node.type, source
        self.start_byte, self.end_byte = node.start_byte, node.end_byte
        self.children, self.named_children = [], []
        for child in node.children:
            made = Node(child, source)
            self.children.append(made)
            if child.is_named:
                self.named_children.append(made)

    @property
    def text(self):
        """What is written there; cut out when it is asked for, as most nodes are never asked."""
        return self.source[self.start_byte : self.end_byte]


def parse(source: str) -> Node:
    """The tree of a script; a script with mistakes is an error."""
    written = source.encode()
    return Node(tree_sitter.Parser(LANGUAGE).parse(written).root_node, written)


def walk(node):
    """A node and all below it, in the order in which they are written."""
    waiting = [node]
    while waiting:
        yield (one := waiting.pop())
        waiting += reversed(one.children)


class Return(Exception):
    """The end of a function; what it gave is in its output already."""


class Continue(Exception):
    """The next turn of a loop."""


class Exit(Exception):
    """The end of the script."""


@dataclass
class Ran:
    """What a script did."""

    status: int
    output: list
    said: list[str] = field(default_factory=list)


def known(method):
    """A method that is called by the name of a node (`do_` a statement, `ex_` and `op_` an expression) or a command."""
    return method


class Machine:
    """One run of one script."""

    def __init__(self, root, host, *, now=None, installed=True):
        self.root = root
        self.host = host
        self.now = now or dt.datetime(2026, 11, 28, 12, tzinfo=dt.UTC)
        self.installed = installed
        self.functions = {}
        self.scopes = [{}]
        self.said = []
        self.what_if = False

    def run(self, **switches) -> Ran:
        """Run the script with these switches: WhatIf=True, Remove=True."""
        self.what_if = switches.pop("WhatIf", False)
        assert not (switches.get("Remove") and switches.get("Rotate")), "parameter sets"
        param = only(self.root, "param_block")
        names = [name for name, _ in self.parameters(param)]
        assert set(switches) <= set(names), switches
        for name in names:
            self.set(name, switches.get(name, False))
        self.set("PSCmdlet", Thing(methods={"ShouldProcess": self.should_process}))
        self.set("true", True)
        self.set("false", False)
        self.set("null", None)
        out = []
        try:
            self.statements(only(self.root, "statement_list"), out)
        except Exit as left:
            return Ran(left.args[0], out, self.said)
        return Ran(0, out, self.said)

    def should_process(self, target, action):
        if self.what_if:
            self.said.append(f'What if: Performing the operation "{action}" on target "{target}".')
        return not self.what_if

    # Variables: assigned in the innermost scope, read from whichever has them.

    def set(self, name, value):
        self.scopes[-1][name.lower()] = value

    def get(self, name):
        for scope in reversed(self.scopes):
            if name.lower() in scope:
                return scope[name.lower()]
        raise Strange(f"no variable ${name}")

    # Statements write to `out`, as to a pipeline.

    def statements(self, node, out):
        for child in node.named_children:
            if child.type != "comment":
                getattr(self, f"do_{child.type}")(child, out)

    def block(self, node, out):
        for child in node.named_children:
            if child.type == "statement_list":
                self.statements(child, out)

    @known
    def do_function_statement(self, node, out):
        self.functions[source(only(node, "function_name")).lower()] = only(node, "script_block")

    @known
    def do_pipeline(self, node, out):
        (child,) = node.named_children
        if child.type == "assignment_expression":
            self.assign(child)
        else:
            out.extend(self.chain(child))

    @known
    def do_if_statement(self, node, out):
        if truth(self.value(only(node, "pipeline"))):
            return self.block(only(node, "statement_block"), out)
        for clauses in children(node, "elseif_clauses"):
            for clause in clauses.named_children:
                if truth(self.value(only(clause, "pipeline"))):
                    return self.block(only(clause, "statement_block"), out)
        for clause in children(node, "else_clause"):
            self.block(only(clause, "statement_block"), out)
        return None

    @known
    def do_foreach_statement(self, node, out):
        name = source(only(node, "variable"))[1:]
        given = self.value(only(node, "pipeline"))
        for item in [] if given is None else items(given):
            self.set(name, item)
            try:
                self.block(only(node, "statement_block"), out)
            except Continue:
                continue

    @known
    def do_for_statement(self, node, out):
        def part(name):
            return only(only(node, name), "pipeline")

        self.do_pipeline(part("for_initializer"), out)
        while truth(self.value(part("for_condition"))):
            self.block(only(node, "statement_block"), out)
            self.value(part("for_iterator"))

    @known
    def do_switch_statement(self, node, out):
        value = string(self.value(only(only(node, "switch_condition"), "pipeline")))
        clauses = only(only(node, "switch_body"), "switch_clauses").named_children
        for clause in clauses:
            condition = only(clause, "switch_clause_condition")
            wanted = condition.named_children
            if (wanted and self.string(wanted[0]).lower() == value.lower()) or source(condition) == "default":
                return self.block(only(clause, "statement_block"), out)
        return None

    @known
    def do_try_statement(self, node, out):
        try:
            self.block(only(node, "statement_block"), out)
        except Thrown as error:
            self.set("_", Thing({"Exception": Thing({"Message": str(error)})}))
            (clause,) = only(node, "catch_clauses").named_children
            self.block(only(clause, "statement_block"), out)

    @known
    def do_flow_control_statement(self, node, out):
        word = node.children[0].type
        given = [item for child in node.named_children for item in self.outputs(child)]
        if word == "return":
            out.extend(given)
            raise Return
        if word == "throw":
            raise Thrown(" ".join(map(text, given)))
        if word == "exit":
            raise Exit(number(given[0]))
        assert word == "continue"
        raise Continue

    def assign(self, node):
        target = innermost(only(node, "left_assignment_expression"))
        value = self.value(only(node, "pipeline"))
        if source(only(node, "assignement_operator")) == "+=":
            value = plus(self.expression(target), value)
        if target.type == "element_access":
            self.expression(target.named_children[0])[string(self.expression(target.named_children[1]))] = value
        else:
            assert target.type == "variable", target.type
            self.set(source(target)[1:], value)

    # Pipelines.

    def outputs(self, node):
        """All that a pipeline gives."""
        out = []
        getattr(self, f"do_{node.type}")(node, out)
        return out

    def value(self, node):
        """A pipeline as a value: nothing, the one item, or a list; a lone expression as it is."""
        (child,) = node.named_children
        if child.type == "pipeline_chain" and len(child.named_children) == 1:
            (child,) = child.named_children
            if child.type != "command":
                return self.expression(child)
        given = self.outputs(node)
        return given[0] if len(given) == 1 else given or None

    def chain(self, node):
        if node.type != "pipeline_chain":
            return items(self.expression(node))
        first, *others = node.named_children
        given = self.command(first, None) if first.type == "command" else items(self.expression(first))
        for command in others:
            given = self.command(command, given)
        return given

    def command(self, node, given):
        name, arguments, parameters = self.read_command(node)
        builtin = getattr(self, f"cmd_{name.replace('-', '_').lower()}", None)
        if builtin:
            return builtin(given, *arguments, **parameters)
        assert given is None, f"nothing is piped into {name}"
        if name.lower() in self.functions:
            return self.function(name, arguments, parameters)
        assert not arguments, f"{name}: parameters are named"
        return self.host.call(name, parameters)

    def read_command(self, node):
        first, *rest = [child for child in node.named_children if child.type != "command_invokation_operator"]
        name = source(first) if first.type == "command_name" else string(self.called(first))
        parts = [part for element in rest for part in element.named_children if source(part) != " "]
        arguments, parameters = [], {}
        while parts:
            part = parts.pop(0)
            if part.type == "command_parameter" and not parts:
                parameters[source(part)[1:]] = True
            elif part.type == "command_parameter":
                value = parts.pop(0)
                parameters[source(part)[1:]] = self.argument(parts.pop(0) if source(value) == ":" else value)
            elif source(part).startswith("@") and innermost(part).type == "variable":
                parameters |= self.get(source(part)[1:])
            else:
                arguments.append(self.argument(part))
        return name, arguments, parameters

    def called(self, node):
        child = node.named_children[0]
        return self.get(source(node)[1:]) if child.type == "path_command_name" else self.expression(child)

    def argument(self, node):
        return source(node) if node.type == "generic_token" else self.expression(node)

    def function(self, name, arguments, parameters):
        assert not parameters, f"{name}: our own functions are called by place"
        body = self.functions[name.lower()]
        params = children(body, "param_block")
        names = list(self.parameters(params[0])) if params else []
        assert len(arguments) <= len(names), f"{name}: too many arguments"
        arguments = arguments + [None] * (len(names) - len(arguments))
        scope = {
            key.lower(): cast(kind, value) if kind else value
            for (key, kind), value in zip(names, arguments, strict=True)
        }
        return self.scoped(only(body, "script_block_body"), scope)

    def scoped(self, body, scope):
        out = []
        self.scopes.append(scope)
        try:
            self.statements(only(body, "statement_list"), out)
        except Return:
            pass
        finally:
            self.scopes.pop()
        return out

    def parameters(self, block):
        """Name and type of each parameter."""
        for one in only(block, "parameter_list").named_children:
            kinds = [source(kind) for kind in walk(one) if kind.type == "type_literal"]
            yield source(only(one, "variable"))[1:], kinds[-1][1:-1].lower() if kinds else None

    # The commands that PowerShell has itself.

    @known
    def cmd_where_object(self, given, block):
        return [item for item in given if truth(collected(self.each(block, item)))]

    @known
    def cmd_foreach_object(self, given, block):
        return [result for item in given for result in self.each(block, item)]

    def each(self, block, item):
        return self.scoped(only(block.node, "script_block_body"), {"_": item})

    @known
    def cmd_out_null(self, given):
        return []

    @known
    def cmd_write_host(self, given, line):
        self.said.append(string(line))
        return []

    @known
    def cmd_set_strictmode(self, given, Off):  # noqa: N803 - PowerShell's name
        assert Off is True
        return []

    @known
    def cmd_get_date(self, given):
        return [self.now]

    @known
    def cmd_get_command(self, given, name, ErrorAction):  # noqa: N803 - PowerShell's name
        assert ErrorAction == "SilentlyContinue"
        return [Thing({"Name": name})] if self.installed else []

    # Expressions.

    def expression(self, node):
        while len(node.children) == 1 and node.named_children and not hasattr(self, f"ex_{node.type}"):
            node = node.named_children[0]
        method = getattr(self, f"ex_{node.type}", None) or getattr(self, f"op_{node.type}", None)
        if method is None:
            raise Strange(f"{node.type}: {source(node)[:80]}")
        return method(node)

    @known
    def op_logical_expression(self, node):
        left, operator, right = node.children
        first = truth(self.expression(left))
        if source(operator) == "-and":
            return first and truth(self.expression(right))
        assert source(operator) == "-or"
        return first or truth(self.expression(right))

    @known
    def op_comparison_expression(self, node):
        left, right = (self.expression(node.children[place]) for place in (0, 2))
        operator = source(node.children[1]).lower()
        if operator == "-match":
            found = re.search(right, string(left), re.IGNORECASE)
            if found:
                self.set("Matches", [found.group(), *found.groups()])
            return found is not None
        return OPERATORS[operator](left, right)

    @known
    def op_additive_expression(self, node):
        left, operator, right = node.children
        return {"+": plus, "-": minus}[source(operator)](self.expression(left), self.expression(right))

    @known
    def op_array_literal_expression(self, node):
        return [self.expression(child) for child in node.named_children]

    @known
    def ex_expression_with_unary_operator(self, node):
        if len(node.children) == 1:
            return self.expression(node.named_children[0])
        operator, operand = node.children
        value = self.expression(operand)
        return not truth(value) if source(operator) == "-not" else -number(value)

    @known
    def ex_cast_expression(self, node):
        kind, operand = node.named_children
        return cast(source(kind)[1:-1].lower(), self.expression(operand))

    @known
    def ex_post_decrement_expression(self, node):
        name = source(node.named_children[0])[1:]
        self.set(name, number(self.get(name)) - 1)

    @known
    def ex_parenthesized_expression(self, node):
        return self.value(only(node, "pipeline"))

    @known
    def ex_array_expression(self, node):
        out = []
        self.block(node, out)
        return out

    @known
    def ex_sub_expression(self, node):
        return collected(self.ex_array_expression(node))

    @known
    def ex_script_block_expression(self, node):
        return Block(only(node, "script_block"))

    @known
    def ex_hash_literal_expression(self, node):
        table = Table()
        for body in node.named_children:
            for entry in body.named_children:
                table[source(only(entry, "key_expression"))] = self.value(only(entry, "pipeline"))
        return table

    @known
    def ex_variable(self, node):
        return self.get(source(node)[1:])

    @known
    def ex_integer_literal(self, node):
        return int(source(node), 0)

    @known
    def ex_string_literal(self, node):
        return self.string(node)

    @known
    def ex_member_access(self, node):
        return member(self.expression(node.named_children[0]), self.name(node.named_children[1]))

    @known
    def ex_element_access(self, node):
        value, index = (self.expression(child) for child in node.named_children)
        return value[string(index)] if isinstance(value, Table) else value[number(index)]

    @known
    def ex_invokation_expression(self, node):
        target, name, given = node.named_children
        arguments = [self.expression(one) for listed in given.named_children for one in listed.named_children]
        return call(self.expression(target), self.name(name), arguments)

    def name(self, node):
        child = node.named_children[0]
        return string(self.expression(child)) if child.type == "variable" else source(child)

    def string(self, node):
        (child,) = node.named_children
        inside = source(child)[1:-1]
        if child.type == "verbatim_string_characters":
            return inside.replace("''", "'")
        assert child.type == "expandable_string_literal", child.type
        assert "`" not in inside, "escapes are not needed"
        return self.expanded(child)

    def expanded(self, node):
        pieces, at = [], node.start_byte + 1
        whole = node.text
        for child in node.named_children:
            pieces.append(whole[at - node.start_byte : child.start_byte - node.start_byte].decode())
            pieces.append(text(self.expression(child)))
            at = child.end_byte
        return "".join(pieces) + whole[at - node.start_byte : -1].decode()


def source(node) -> str:
    return node.text.decode()


def children(node, kind):
    return [child for child in node.named_children if child.type == kind]


def only(node, kind):
    (child,) = children(node, kind)
    return child


def innermost(node):
    """What a chain of nodes with one child each is about."""
    while len(node.children) == 1 and node.named_children and node.type not in ("variable", "string_literal"):
        node = node.named_children[0]
    return node


def collected(given):
    return given[0] if len(given) == 1 else given or None

"""Values of PowerShell, and what its operators make of them. What is not needed or not sure here is an error.

https://learn.microsoft.com/powershell/module/microsoft.powershell.core/about/about_operators
"""

import datetime as dt
import re


class Strange(AssertionError):
    """The script does what this double does not know, or what a person would not expect."""


class Thrown(Exception):
    """An error that a script can catch."""


class Table(dict):
    """A hashtable: keys in any case; what is missing is nothing."""

    def __init__(self, pairs=()):
        super().__init__()
        for key, value in dict(pairs).items():
            self[key] = value

    def _own(self, key):
        return next((own for own in self if own.lower() == key.lower()), key)

    def __setitem__(self, key, value):
        super().__setitem__(self._own(key), value)

    def __getitem__(self, key):
        return self.get(self._own(key))


class Thing:
    """An object with properties and methods; asking for one that it has not is an error."""

    def __init__(self, properties=(), methods=()):
        self.properties = dict(properties)
        self.methods = dict(methods)

    def __repr__(self):
        return f"Thing({self.properties})"

    def get(self, name):
        for own, value in self.properties.items():
            if own.lower() == name.lower():
                return value
        raise Strange(f"no property {name} in {sorted(self.properties)}")


class Block:
    """A script block."""

    def __init__(self, node):
        self.node = node


def text(value):
    """As in "$value"."""
    if value is None:
        return ""
    if isinstance(value, list):
        return " ".join(map(text, value))
    if isinstance(value, bool | int | float | str):
        return str(value)
    raise Strange(f"as text: {value!r}")


def truth(value):
    if isinstance(value, list):
        return len(value) > 1 or bool(value and truth(value[0]))
    return bool(value) or isinstance(value, Table | Thing)


def items(value):
    """As a pipeline sees a value."""
    return value if isinstance(value, list) else [value]


def equal(left, right, *, exact=False):
    if isinstance(left, list):
        raise Strange(f"a list is compared, which filters it: {left!r}")
    if isinstance(left, bool) or left is None:
        return left is right
    if isinstance(left, str):
        other = text(right)
        return left == other if exact else left.lower() == other.lower()
    if isinstance(left, int | float) and isinstance(right, int | float) and not isinstance(right, bool):
        return left == right
    raise Strange(f"compared: {left!r} and {right!r}")


def contains(left, right, *, exact=False):
    return any(equal(one, right, exact=exact) for one in items(left))


def number(value):
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Strange(f"not a number: {value!r}")
    return value


def replace(left, right):
    pattern, by = right
    return re.sub(pattern, re.sub(r"\$(\d)", r"\\\1", by), string(left), flags=re.IGNORECASE)


def string(value):
    if not isinstance(value, str):
        raise Strange(f"not a text: {value!r}")
    return value


def texts(value):
    return [string(one) for one in value]


OPERATORS = {
    "-eq": equal,
    "-ne": lambda left, right: not equal(left, right),
    "-ceq": lambda left, right: equal(left, right, exact=True),
    "-contains": contains,
    "-notcontains": lambda left, right: not contains(left, right),
    "-ccontains": lambda left, right: contains(left, right, exact=True),
    "-cnotcontains": lambda left, right: not contains(left, right, exact=True),
    "-lt": lambda left, right: number(left) < number(right),
    "-gt": lambda left, right: number(left) > number(right),
    "-join": lambda left, right: string(right).join(map(text, items(left))),
    "-split": lambda left, right: re.split(right, string(left)),
    "-replace": replace,
}
"""All but -match, which has a side effect."""


def plus(left, right):
    if isinstance(left, list):
        return left + items(right)
    if isinstance(left, str):
        return left + text(right)
    return number(left) + number(right)


def minus(left, right):
    if isinstance(left, dt.datetime):
        if left.tzinfo is None or right.tzinfo is None:
            raise Strange("times without zone")
        return Thing({"TotalMinutes": (left - right).total_seconds() / 60})
    return number(left) - number(right)


def cast(kind, value):
    if kind == "int":
        return int(text(value))
    if kind == "bool" and isinstance(value, bool):
        return value
    if kind == "string":
        return text(value)
    if kind == "hashtable" and isinstance(value, Table):
        return value
    if kind == "pscustomobject":
        return Thing(value)
    if kind == "datetime" and isinstance(value, dt.datetime):
        return value
    if kind == "char":
        return chr(number(value))
    raise Strange(f"[{kind}] {value!r}")


METHODS = {
    (str, "trim"): lambda value: value.strip(),
    (str, "replace"): lambda value, old, new: value.replace(old, new),
    (str, "endswith"): lambda value, end: value.endswith(end),
    (str, "tolowerinvariant"): lambda value: value.lower(),
    (dt.datetime, "touniversaltime"): lambda value: value.astimezone(dt.UTC),
}


def member(value, name):
    """`$value.name`; of a list only how many there are, for the rest would ask all its items."""
    if isinstance(value, Table):
        if name.lower() == "values":
            return list(value.values())
        if name.lower() in ("keys", "count"):
            raise Strange(name)
        return value[name]
    if isinstance(value, Thing):
        return value.get(name)
    if isinstance(value, list) and name.lower() == "count":
        return len(value)
    raise Strange(f".{name} of {value!r}")


def call(value, name, arguments):
    """`$value.name(arguments)`."""
    if isinstance(value, Thing) and name in value.methods:
        return value.methods[name](*arguments)
    for (kind, own), method in METHODS.items():
        if isinstance(value, kind) and own == name.lower():
            return method(value, *arguments)
    raise Strange(f".{name}() of {value!r}")

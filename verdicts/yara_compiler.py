"""The compiler of YARA rules, a program of its own (`yara_rules.py` runs it): what it imports stays out of the relay.

A file is a namespace of its own, as two vendors may call a rule the same. A rule's metadata may give `severity`, in the
contract's words, `weight` and `description`. Conditions may use the variables in `VARIABLES`.
"""

import io
import sys
from collections.abc import Iterable
from pathlib import Path

import yara_x

from verdicts.contract import Severity
from verdicts.yara_rules import files_in

VARIABLES: dict[str, str | int] = {"sender": "", "recipients": 0, "tenant": "", "filename": "", "extension": ""}
"""What conditions may use, and its value where nothing is known; `recipients` is their number, `extension` ".exe"."""
_MOST_WEIGHT = 1_000


def compiled(folders: Iterable[str]) -> bytes:
    """The rules of all *.yar and *.yara files in `folders`. Raises ValueError and OSError naming the file and line."""
    compiler = yara_x.Compiler(includes_enabled=False)  # what is included would change unnoticed
    for name, value in VARIABLES.items():
        compiler.define_global(name, value)
    for folder in folders:
        files = files_in(folder)
        if not files:
            raise ValueError(f"{folder}: there is no *.yar or *.yara file")
        for file in files:
            _add(compiler, file)
    rules = compiler.build()
    for rule in rules:
        _check(rule)
    serialised = io.BytesIO()
    rules.serialize_into(serialised)
    return serialised.getvalue()


def main() -> None:
    """Compile the rules in the folders that are the arguments, to standard output; a mistake goes to standard error."""
    try:
        sys.stdout.buffer.write(compiled(sys.argv[1:]))
    except (OSError, ValueError) as error:
        sys.exit(str(error))


def _add(compiler: yara_x.Compiler, file: Path) -> None:
    compiler.new_namespace(str(file))
    try:
        compiler.add_source(file.read_text("utf-8"), origin=str(file))
    except UnicodeDecodeError:
        raise ValueError(f"{file} is not in UTF-8") from None
    except yara_x.CompileError as error:
        mistake = compiler.errors()[0]
        raise ValueError(f"{file}:{mistake.get('line', '?')}: {mistake.get('title', error)}") from None


def _check(rule: yara_x.Rule) -> None:
    """Raises ValueError when its metadata give no severity or no weight."""
    metadata = dict(rule.metadata)
    severity, weight = metadata.get("severity", "note"), metadata.get("weight", 0.0)
    place = f"{rule.namespace}: rule {rule.identifier}"
    if not (isinstance(severity, str) and severity.upper() in Severity.__members__):
        raise ValueError(
            f"{place}: severity must be one of {', '.join(Severity.__members__).lower()}, not {severity!r}"
        )
    if isinstance(weight, bool) or not isinstance(weight, int | float) or not abs(weight) <= _MOST_WEIGHT:
        raise ValueError(f"{place}: weight must be a number from -{_MOST_WEIGHT} to {_MOST_WEIGHT}, not {weight!r}")

"""Tables that READMEs hold of what the code says, and the way to write them: SLUICE_REWRITE=1."""

import ast
import os
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]


def check_block(readme: Path, name: str, table: str) -> None:
    """The part of `readme` between `<!-- name: ... -->` and `<!-- name: end -->` must be `table`."""
    text = readme.read_text()
    begin, _, end = re.search(rf"(<!-- {name}: (?!end)[^>]*-->\n)(.*?)(<!-- {name}: end -->)", text, re.DOTALL).groups()
    wanted = text[: text.index(begin)] + begin + table + text[text.index(end) :]
    if os.environ.get("SLUICE_REWRITE") == "1":
        readme.write_text(wanted)
        return
    assert text == wanted, f"{readme.relative_to(ROOT)} is not what the code says; SLUICE_REWRITE=1 writes it"


def without_blocks(text: str) -> str:
    """`text` without its written parts."""
    return re.sub(r"<!-- (\w+): (?!end).*?<!-- \1: end -->\n?", "", text, flags=re.DOTALL)


def documented(body: list[ast.stmt]) -> Iterator[tuple[ast.AnnAssign, str]]:
    """The annotated names of a class, with the text that stands below each."""
    for statement, after in zip(body, [*body[1:], None], strict=True):
        if isinstance(statement, ast.AnnAssign):
            text = after.value.value if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant) else ""
            yield statement, " ".join(text.split())


def python_files(*rooms: str) -> Iterator[Path]:
    """The Python files of these top-level folders."""
    for room in rooms:
        yield from sorted((ROOT / room).rglob("*.py"))

"""config/README.md tells every setting, its default and its explanation; those of every engine too."""

import ast
from pathlib import Path

import pytest
from house.documents import ROOT, check_block, documented

from config.load import _model_in
from config.settings import Settings
from verdicts.contract import EngineOptions

CLASSES = {
    node.name: node
    for file in ("verdicts/contract.py", "config/settings.py", "config/onboarding.py")
    for node in ast.parse((ROOT / file).read_text()).body
    if isinstance(node, ast.ClassDef)
}


def shown(value) -> str:
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, Path | str):
        return f'`"{value}"`'
    if isinstance(value, list | frozenset):
        value = sorted(value)
        return "`[" + ", ".join(f'"{item}"' for item in value) + "]`"
    return "" if value is None else f"`{value}`"


def capital(text: str) -> str:
    """`text` with a capital at its beginning."""
    return text[:1].upper() + text[1:]


def default(field) -> str:
    return "required" if field.is_required() else shown(field.get_default(call_default_factory=True))


def tables():
    """Name, class and documented settings of each table."""
    for name, field in Settings.model_fields.items():
        if name != "engines":
            model = _model_in(field.annotation)
            yield (
                "environments.NAME" if name == "environments" else name,
                model,
                list(documented(CLASSES[model.__name__].body)),
            )
    yield "engines.NAME", EngineOptions, list(documented(CLASSES["EngineOptions"].body))


def written() -> str:
    lines = []
    for name, model, settings in tables():
        lines += ["", f"## [{name}]", "", capital(model.__doc__.partition(": ")[2]), ""]
        lines += ["| setting | default | meaning |", "|---|---|---|"]
        for statement, text in settings:
            key = statement.target.id
            lines.append(f"| `{key}` | {default(model.model_fields[key])} | {text.replace('|', chr(92) + '|')} |")
    return "\n".join(lines).lstrip("\n") + "\n"


def test_every_setting_is_in_the_readme_as_it_is():
    check_block(ROOT / "config/README.md", "settings", written())


@pytest.mark.parametrize(("name", "model", "settings"), list(tables()), ids=[name for name, _, _ in tables()])
def test_every_setting_is_explained(name, model, settings):
    explained = {statement.target.id: text for statement, text in settings}
    assert explained.keys() == model.model_fields.keys()
    assert [key for key, text in explained.items() if not text.endswith(".")] == []

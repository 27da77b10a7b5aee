"""Rules of the house: documents that are there and short, help texts, no trace of the machine it was made on."""

import ast
import re
import shutil
import subprocess

import pytest
import typer
from house.documents import ROOT, python_files, without_blocks

from relay.cli.app import app

ROOMS = sorted(
    {file.parent for file in python_files("relay", "verdicts", "config") if file.name == "__init__.py"}
    - {ROOT / "relay", ROOT / "relay/records/migrations", ROOT / "relay/records/migrations/versions"}
)
LONGEST_README = 60
GUIDES = {ROOT / "verdicts", ROOT / "verdicts/engines"}
"""One is the guide for engine authors too, the other has a paragraph for each engine."""
MACHINE = re.compile(
    r"(?<![\w.-])/(?:work|home|root|Users)/"
    r"|(?<!no-emit-)\b(?:index-url|extra-index|trusted-host|find-links)\b"
    r"|\b(?:pypi|pythonhosted|npmjs|artifactory|nexus|devpi)\b",
    re.IGNORECASE,
)


def project_files():
    """The files that belong to the project, as git sees them."""
    git = shutil.which("git")
    if git is None or not (ROOT / ".git").exists():
        pytest.skip("not a git repository")
    listed = subprocess.run(
        [git, "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT, capture_output=True, check=True
    )
    return sorted(path for name in listed.stdout.decode().split("\0") if name and (path := ROOT / name).is_file())


def commands(group=None, words=("sluice",)):
    """Every command and group, with the words that call it."""
    group = group or typer.main.get_command(app)
    yield words, group
    for name, command in getattr(group, "commands", {}).items():
        yield from commands(command, (*words, name))


@pytest.mark.parametrize("room", ROOMS, ids=lambda room: str(room.relative_to(ROOT)))
def test_every_room_has_a_short_readme_and_a_docstring(room):
    readme = room / "README.md"
    assert readme.is_file()
    assert room in GUIDES or len(without_blocks(readme.read_text()).splitlines()) <= LONGEST_README
    module = ast.parse((room / "__init__.py").read_text())
    assert ast.get_docstring(module)


def public(tree, prefix=""):
    """Public classes, functions and methods of a module."""
    for node in tree.body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and not node.name.startswith("_"):
            yield f"{prefix}{node.name}", node
            if isinstance(node, ast.ClassDef):
                yield from public(node, f"{prefix}{node.name}.")


@pytest.mark.parametrize("room", ["relay", "verdicts", "config"])
def test_everything_public_has_a_docstring(room):
    bare = []
    for file in python_files(room):
        if "migrations" in file.parts or file.name.startswith("test_"):
            continue
        tree = ast.parse(file.read_text())
        names = [name for name, node in public(tree) if not ast.get_docstring(node)]
        bare += [f"{file.relative_to(ROOT)}: {name}" for name in names]
        if not ast.get_docstring(tree):
            bare.append(str(file.relative_to(ROOT)))
    assert bare == []


def test_every_command_and_option_has_a_help_text():
    silent = []
    for words, command in commands():
        if not command.help:
            silent.append(" ".join(words))
        silent += [f"{' '.join(words)}: {param.name}" for param in command.params if not param.help]
    assert silent == []


def test_the_outside_contract_has_its_commands():
    called = {" ".join(words) for words, _ in commands()}
    assert called >= {
        "sluice serve", "sluice check", "sluice demo", "sluice tenant apply", "sluice tenant list", "sluice scans list",
        "sluice scans show", "sluice quarantine list", "sluice quarantine show", "sluice quarantine release",
        "sluice quarantine delete", "sluice judge",
    }  # fmt: skip


def written_commands():
    """What READMEs tell people to type: (file, words) of each `make ...` and `sluice ...`."""
    for readme in project_files():
        if readme.suffix == ".md":
            text = readme.read_text()
            code = re.findall(r"```[^\n]*\n(.*?)```", text, re.DOTALL) + re.findall(r"`([^`\n]+)`", text)
            for line in "\n".join(code).splitlines():
                found = re.match(r"(?:\$ )?(?:[A-Z_]+=\S+ )*(make|sluice)((?: [a-z]+)*)", line.strip())
                if found and found.group(2):
                    yield readme.relative_to(ROOT), found.group(1), found.group(2).split()


def test_commands_in_readmes_exist():
    known = {words[1:] for words, _ in commands()}
    makefile = ROOT / "Makefile"
    targets = set(re.findall(r"^([a-z-]+):", makefile.read_text(), re.MULTILINE)) if makefile.is_file() else set()
    wrong = []
    for readme, program, words in written_commands():
        if program == "make":
            wrong += [f"{readme}: make {word}" for word in words if word not in targets]
        elif not any(tuple(words[:length]) in known for length in (1, 2)) or (words[0],) not in known:
            wrong.append(f"{readme}: sluice {' '.join(words)}")
    assert wrong == []


def test_no_file_tells_of_the_machine_it_was_made_on():
    told = []
    for file in project_files():
        if file.name == "test_house_rules.py":
            continue
        for number, line in enumerate(file.read_bytes().decode(errors="replace").splitlines(), 1):
            if MACHINE.search(line):
                told.append(f"{file.relative_to(ROOT)}:{number}: {line.strip()[:80]}")
    assert told == []

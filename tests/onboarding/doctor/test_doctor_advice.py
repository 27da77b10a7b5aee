"""What the doctor advises can be done: every command that it names is one."""

import re
from pathlib import Path

import typer

import relay.onboarding.doctor
from relay import control
from relay.cli.app import app

ROOMS = Path(relay.onboarding.doctor.__file__).parent, Path(control.__file__).parent


def leaves(group=None, words=()):
    """Every command that is no group."""
    inner = getattr(group or typer.main.get_command(app), "commands", {})
    if group is not None and not inner:
        yield words
    for name, command in inner.items():
        yield from leaves(command, (*words, name))


def test_every_command_that_is_advised_exists():
    files = [*ROOMS[0].glob("*.py"), ROOMS[1] / "diagnosis.py", ROOMS[1] / "examination.py"]
    texts = {text for file in files for text in re.findall(r"sluice((?: [a-z-]+)+)", file.read_text())}
    known = set(leaves())
    advised = {tuple(text.split()) for text in texts}
    assert [words for words in advised if words[:1] not in known and words[:2] not in known] == []

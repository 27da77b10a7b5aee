"""What lies in deploy/ fits what it deploys: settings, engines' options, commands, pinned dependencies."""

import re
import tomllib
from pathlib import Path

import pytest
from typer.testing import CliRunner

from config.settings import Settings
from relay.cli.app import app
from verdicts.registry import problems

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"


@pytest.mark.parametrize("file", ["deploy/compose/config/sluice.toml", "config/example.toml"])
def test_configurations_are_valid(file: str) -> None:
    tables = tomllib.loads((ROOT / file).read_text())
    settings = Settings.model_validate(tables)
    assert problems(settings.engines) == []


def test_the_unit_calls_commands_that_exist() -> None:
    unit = (DEPLOY / "systemd/sluice.service").read_text()
    commands = re.findall(r"^ExecStart(?:Pre)?=/opt/sluice/bin/sluice (\S+)$", unit, re.MULTILINE)
    assert commands == ["check", "serve"]
    for command in commands:
        assert CliRunner().invoke(app, [command, "--help"]).exit_code == 0


def test_every_dependency_is_pinned() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    pinned = set(re.findall(r"^([a-z0-9.-]+)==", (DEPLOY / "requirements.lock").read_text(), re.MULTILINE))
    for requirement in [*project["dependencies"], *project["optional-dependencies"]["engines"]]:
        assert re.split(r"[^A-Za-z0-9._-]", requirement)[0].lower() in pinned


def test_pins_agree() -> None:
    """What is tested is what is deployed."""
    pin = re.compile(r"^(\S+==\S+)", re.MULTILINE)
    run, *others = (
        set(pin.findall((DEPLOY / f"requirements{name}.lock").read_text())) for name in ("", "-dev", "-fuzz", "-bench")
    )
    for pins in others:
        assert run <= pins


@pytest.mark.parametrize(
    "name",
    ["requirements.lock", "requirements-dev.lock", "requirements-fuzz.lock", "requirements-bench.lock", "build.lock"],
)
def test_locks_name_no_place(name: str) -> None:
    text = (DEPLOY / name).read_text()
    assert "://" not in text
    assert " @ " not in text

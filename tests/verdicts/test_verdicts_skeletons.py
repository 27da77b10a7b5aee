"""A new engine's package: written, built, installed in a fresh environment, and used by a relay there."""

import os
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

import pytest
from doubles.background import running
from doubles.client import deliver
from doubles.relay import Relay, letter, wait_until
from typer.testing import CliRunner

from relay.cli.app import app
from verdicts import skeletons

ROOT = Path(skeletons.__file__).parents[1]


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("", "must be 1 to 40"),
        ("LateOwl", "must be 1 to 40"),
        ("9lives", "must be 1 to 40"),
        ("../owl", "must be 1 to 40"),
        ("o" * 41, "must be 1 to 40"),
        ("class", "is a word of the language"),
        ("match", "is a word of the language"),
        ("clamav", "there is an engine called 'clamav' already"),
        ("structure", "'structure' is the panel's own verdict"),
        ("email", "there is a module called 'email' already"),
    ],
)
def test_names_that_cannot_be(tmp_path: Path, name: str, fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        skeletons.write(name, tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_a_folder_that_exists_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "late_owl.py").write_text("mine")
    with pytest.raises(FileExistsError):
        skeletons.write("late_owl", tmp_path)
    assert (tmp_path / "late_owl.py").read_text() == "mine"


def test_nothing_of_the_old_name_is_left(tmp_path: Path) -> None:
    for path in skeletons.write("late_owl", tmp_path / "new"):
        text = path.name + path.read_text()
        assert not any(name in text for name in ("early", "Early", "bird", "Bird"))


def test_the_command_tells_what_it_wrote_and_what_comes_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    said = CliRunner().invoke(app, ["engine", "new", "late_owl"])
    assert said.exit_code == 0
    assert {path.name for path in Path("sluice-late-owl").iterdir()} == {
        "README.md", "late_owl.py", "pyproject.toml", "test_late_owl.py",
    }  # fmt: skip
    assert said.output.splitlines()[-1] == "next: cd sluice-late-owl && pip install '.[test]' && pytest"


@dataclass
class Fresh:
    """An environment of its own that sees Sluice and what it needs, and into which the new engine was installed."""

    python: Path
    folder: Path
    program: Path

    def run(self, *command: str | Path) -> str:
        done = subprocess.run([self.python, *command], cwd=self.folder, capture_output=True, text=True, timeout=100)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Fresh:
    folder = tmp_path_factory.mktemp("fresh")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / "env"], check=True, timeout=100)
    python = folder / "env/bin/python"
    packages = next((folder / "env").glob("lib/python*/site-packages"))
    (packages / "sluice.pth").write_text(f"{ROOT}\n{sysconfig.get_path('purelib')}\n")
    program = folder / "env/bin/sluice"
    program.write_text(f'#!/bin/sh\nexec {python} -m relay.cli "$@"\n')
    program.chmod(0o755)
    skeletons.write("late_owl", folder / "sluice-late-owl")
    subprocess.run(
        [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-deps", "--no-index",
         "--no-build-isolation", "--disable-pip-version-check", folder / "sluice-late-owl"],
        check=True, timeout=100, env={**os.environ, "PIP_CONFIG_FILE": os.devnull},
    )  # fmt: skip
    (folder / "empty").mkdir()
    return Fresh(python, folder / "empty", program)


def test_its_own_tests_pass_against_what_was_installed(fresh: Fresh) -> None:
    told = fresh.run("-c", "import late_owl; print(late_owl.__file__)")
    assert "site-packages" in told
    test = fresh.folder.parent / "sluice-late-owl/test_late_owl.py"
    fresh.run("-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:asyncio", "--import-mode=importlib", test)


def test_its_types_are_right(fresh: Fresh) -> None:
    package = fresh.folder.parent / "sluice-late-owl"
    fresh.run(
        "-m", "mypy", "--config-file", package / "pyproject.toml", package / "late_owl.py", package / "test_late_owl.py"
    )


def test_a_relay_uses_it(fresh: Fresh, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("doubles.relay.SLUICE", str(fresh.program))
    config = '[engines.late_owl]\nwords = ["HOOT"]'
    with running() as hop, Relay(tmp_path / "relay", hop=hop.address, config=config) as relay:
        fresh.run("-m", "relay.cli", "check", "--config", str(relay.config_file))
        assert deliver(relay.smtp_port, letter("HOOT"), ["bob@acme.example"]).code == 250
        (record,) = wait_until(lambda: relay.scans(1))
        (verdict,) = record["verdicts"]
    assert (verdict["engine"], verdict["outcome"]) == ("late_owl", "answered")
    assert [(found["name"], found["severity"]) for found in verdict["findings"]] == [("SHOUTS", "suspicious")]

import re
import tomllib
from pathlib import Path

from verdicts import contract
from verdicts.skeletons import SKELETON

README = (Path(contract.__file__).parent / "README.md").read_text()


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def test_the_example_is_what_the_command_writes():
    engine, its_test = blocks("python")
    entry, configuration = map(tomllib.loads, blocks("toml"))
    assert engine == (SKELETON / "early_bird.py").read_text()
    assert its_test == (SKELETON / "test_early_bird.py").read_text()
    project = tomllib.loads((SKELETON / "pyproject.toml").read_text())["project"]
    assert entry["project"]["entry-points"] == project["entry-points"]
    assert configuration in map(
        tomllib.loads, re.findall(r"```toml\n(.*?)```", (SKELETON / "README.md").read_text(), re.DOTALL)
    )


def test_the_commands_are_what_the_package_says():
    said = (SKELETON / "README.md").read_text()
    assert "pip install '.[test]'" in README
    assert "pip install '.[test]'" in said

import importlib
import re
import tomllib
from pathlib import Path

from verdicts import contract
from verdicts.kit import pretend_tools

README = (Path(contract.__file__).parent / "README.md").read_text()


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


async def test_the_example_engine_works_as_written(tmp_path, monkeypatch):
    engine, its_test = blocks("python")
    entry, configuration = map(tomllib.loads, blocks("toml"))
    (tmp_path / "early_bird.py").write_text(engine)
    (tmp_path / "early_bird_test.py").write_text(its_test)
    monkeypatch.syspath_prepend(tmp_path)
    await importlib.import_module("early_bird_test").test_early_bird()
    module, _, name = entry["project"]["entry-points"]["sluice.engines"]["early_bird"].partition(":")
    engine_class = getattr(importlib.import_module(module), name)
    options = engine_class.Options.model_validate(configuration["engines"]["early_bird"])
    engine_class(options, pretend_tools())
    assert options.deadline == 2.0

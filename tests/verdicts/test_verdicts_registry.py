import tomllib
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from verdicts import registry
from verdicts.contract import EngineOptions
from verdicts.engines.clamav import Clamav
from verdicts.engines.testpatterns import TestPatterns
from verdicts.kit import pretend_tools


def test_the_engines_of_this_distribution_are_there():
    assert {"clamav", "rspamd", "testpatterns"} <= set(registry.available())


def test_every_engine_here_has_its_entry_point():
    """Without one it could not be switched on; by the file, as what is installed may be older."""
    root = Path(registry.__file__).parents[1]
    points = tomllib.loads((root / "pyproject.toml").read_text())["project"]["entry-points"]["sluice.engines"]
    modules = {f"verdicts.engines.{file.stem}" for file in (root / "verdicts" / "engines").glob("*.py")}
    assert {point.partition(":")[0] for point in points.values()} == modules - {"verdicts.engines.__init__"}


def test_without_tables_the_test_patterns_run():
    assert registry.problems({}) == []
    (seat,) = registry.build({}, pretend_tools())
    assert (seat.name, type(seat.engine), seat.deadline) == ("testpatterns", TestPatterns, 10.0)


def test_engines_get_their_options():
    tables = {"clamav": {"address": "/run/clamd.sock", "deadline": 7}, "rspamd": {"url": "http://h:1/"}}
    assert registry.problems(tables) == []
    clamav, rspamd = registry.build(tables, pretend_tools())
    assert (clamav.name, clamav.deadline, type(clamav.engine)) == ("clamav", 7.0, Clamav)
    assert rspamd.engine.options.url == "http://h:1"
    assert clamav.options is clamav.engine.options


def test_one_engine_can_have_several_tables():
    tables = {"clamav": {}, "other": {"engine": "clamav", "address": "h:1"}}
    seats = registry.build(tables, pretend_tools())
    assert [(seat.name, type(seat.engine), seat.options.address) for seat in seats] == [
        ("clamav", Clamav, "127.0.0.1:3310"),
        ("other", Clamav, "h:1"),
    ]


@pytest.mark.parametrize(
    ("tables", "path", "message"),
    [
        ({"rspamdd": {}}, ("engines", "rspamdd"), "unknown engine; did you mean 'rspamd'?"),
        ({"zzz": {}}, ("engines", "zzz"), "unknown engine; there are: "),
        ({"rspamd": {"ulr": "x"}}, ("engines", "rspamd", "ulr"), "unknown key; did you mean 'url'?"),
        ({"rspamd": {"url": "h:1"}}, ("engines", "rspamd", "url"), "must begin with http:// or https://"),
        ({"rspamd": {"reject": "x"}}, ("engines", "rspamd", "reject"), "Input should be 'spam' or 'malicious'"),
        ({"clamav": {"address": "h"}}, ("engines", "clamav", "address"), "must be HOST:PORT or the absolute path"),
        ({"clamav": {"address": "h:99999"}}, ("engines", "clamav", "address"), "must be HOST:PORT"),
        ({"clamav": {"deadline": 0}}, ("engines", "clamav", "deadline"), "Input should be greater than 0"),
        ({"clamav": {"on_late": "x"}}, ("engines", "clamav", "on_late"), "Input should be 'ignore', 'unscanned' or"),
        ({"clamav": {"directions": []}}, ("engines", "clamav", "directions"), "Frozenset should have at least 1 item"),
        ({"clamav": {"shadow": True}}, ("engines",), "all engines are shadows"),
        ({"two": {"engine": "clamavv"}}, ("engines", "two", "engine"), "unknown engine; did you mean 'clamav'?"),
        ({"two": {"engine": ["clamav"]}}, ("engines", "two", "engine"), "unknown engine; "),
        ({"t w o": {"engine": "clamav"}}, ("engines", "t w o"), "must be 1 to 40 letters, digits, - and _"),
        ({"two": {"engine": "clamav", "address": "h"}}, ("engines", "two", "address"), "must be HOST:PORT or"),
        ({"structure": {}}, ("engines", "structure"), "is the panel's own verdict on the structure of mail"),
        ({"structure": {"engine": "clamav"}}, ("engines", "structure"), "is the panel's own verdict on the structure"),
    ],
)
def test_mistakes_are_told_by_key(tables, path, message):
    ((found_path, found_message),) = registry.problems(tables)
    assert found_path == path
    assert found_message.startswith(message)
    with pytest.raises(ValueError, match=r"^engines[.:]"):
        registry.build(tables, pretend_tools())


def test_all_mistakes_at_once_and_no_secret_in_them():
    tables = {"x": {}, "clamav": {"max_bytes": 0, "at_once": 0}, "rspamd": {"password": ["hunter2"]}}
    found = registry.problems(tables)
    assert len(found) == 4
    assert "hunter2" not in str(found)


@pytest.mark.parametrize("value", ["no.such.module:X", "json:loads", "json:JSONDecoder"])
def test_an_engine_that_cannot_be_loaded(monkeypatch, value):
    point = EntryPoint("broken", value, registry.GROUP)
    monkeypatch.setattr(registry, "available", lambda: {"broken": point})
    ((path, message),) = registry.problems({"broken": {}})
    assert path == ("engines", "broken")
    assert message.startswith("the engine cannot be loaded: ")


@pytest.mark.parametrize("name", sorted(registry.available()))
def test_an_engine_may_choose_another_default_for_a_common_option_but_no_other_meaning(name):
    own = registry.available()[name].load().Options.model_fields
    for key, field in EngineOptions.model_fields.items():
        assert own[key].annotation == field.annotation, key

"""Logs: one line an event, from us and from libraries, without secrets and without what a terminal obeys."""

import dataclasses
import datetime as dt
import json
import logging
import re
import subprocess
import sys
from pathlib import Path

import pytest
import structlog
from hypothesis import example, given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from relay.observe import logs


@pytest.fixture
def configured(capsys, monkeypatch):
    """Configure logging for one test; `lines()` is what was written to stderr."""
    handlers, level = logging.root.handlers[:], logging.root.level
    monkeypatch.setattr(logs, "_tell", logs._tell)
    quiet = {name: logging.getLogger(name).level for name in logs._QUIET}

    def written():
        logs.flush()
        return capsys.readouterr().err.splitlines()

    def configure(*args):
        logs.configure(*args)
        return written

    yield configure
    structlog.reset_defaults()
    logging.captureWarnings(capture=False)
    logging.root.handlers[:] = handlers
    logging.root.setLevel(level)
    for name, old in quiet.items():
        logging.getLogger(name).setLevel(old)


def fail(text):
    raise ValueError(text)


def test_json_is_one_line_an_event(configured):
    lines = configured("info", "json")
    logs.get_logger().info("message", subject='a\n"b"\x1b[31m\u202e', size=5, path=ValueError("x"))
    (line,) = lines()
    assert line.isascii()
    told = json.loads(line)
    assert told.pop("timestamp").endswith("Z")
    assert told == {
        "event": "message", "level": "info", "subject": 'a\n"b"\x1b[31m\u202e', "size": 5, "path": "x",
    }  # fmt: skip


def test_exceptions_stay_on_the_line(configured):
    lines = configured("info", "json")
    try:
        fail("broken\nbadly")
    except ValueError:
        logs.get_logger().exception("failed")
        logging.getLogger("library").exception("failed too")
    ours, theirs = map(json.loads, lines())
    assert "ValueError: broken\nbadly" in ours["exception"]
    assert "ValueError: broken\nbadly" in theirs["exception"]


def test_text_shows_nothing_that_a_terminal_obeys(configured):
    lines = configured("info", "text")
    logs.get_logger().warning("refused", peer="192.0.2.1", helo="\x1b]0;x\x07\nfake line", empty="")
    (line,) = lines()
    assert line.isprintable()
    assert line.endswith(r"warning refused peer=192.0.2.1 helo='\x1b]0;x\x07\nfake line' empty=")


def test_text_puts_the_traceback_below(configured):
    lines = configured("info", "text")
    try:
        fail("broken")
    except ValueError:
        logs.get_logger().exception("failed", code=5)
    first, *rest = lines()
    assert first.endswith("error   failed code=5")
    assert rest[-1] == "ValueError: broken"


def test_a_traceback_shows_nothing_that_a_terminal_obeys(configured):
    lines = configured("info", "text")
    try:
        fail("a \x1b[2J stranger's words")
    except ValueError:
        logs.get_logger().exception("broke")
    told = lines()
    assert not any("\x1b" in line for line in told)
    assert any("stranger" in line for line in told)


def test_values_under_a_secret_name_are_masked(configured):
    lines = configured("debug", "json")
    logs.get_logger().info("x", loop_values=["hunter2"], password="hunter2", Token="kept")
    (line,) = lines()
    assert "hunter2" not in line
    assert json.loads(line)["password"] == "***"


@pytest.mark.parametrize("style", ["json", "text"])
@pytest.mark.parametrize("level", ["debug", "info", "warning"])
def test_a_message_has_the_line_of_a_logger(configured, style, level):
    lines = configured(level, style)
    facts = {"id": "1", "sender": "é\x1b@x", "size": 5, "seconds": 0.25}
    logs.get_logger().info("delivered", **facts)
    logs.message("delivered", dict(facts))
    told = [re.sub(r"\d{4}-\d\d-\d\dT[\d:.]+Z", "now", line) for line in lines()]
    assert len(told) == (0 if level == "warning" else 2)
    assert told[:1] == told[1:]


def test_a_message_is_told_without_configuration(monkeypatch):
    monkeypatch.setattr(logs, "_tell", logs._tell_unconfigured)
    with capture_logs() as told:
        logs.message("delivered", {"id": "1"})
    assert told == [{"event": "delivered", "id": "1", "log_level": "info"}]


texts = st.text(st.characters())  # lone surrogates and controls too
values = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts


@given(st.dictionaries(texts, values | st.lists(values, max_size=3) | st.dictionaries(texts, values, max_size=3)))
@example({"": "\x7f", "wide": 2**64, "\ud800": "\u202e"})
def test_any_event_is_one_line_of_ascii_that_says_the_same(event):
    line = logs._as_json(None, "", event)
    assert line.isascii()
    assert line.isprintable()
    assert json.loads(line) == event


@dataclasses.dataclass
class Holder:
    name: str
    secret: str = dataclasses.field(repr=False)


def test_what_json_does_not_know_is_told_as_text():
    event = {"who": Holder("acme", "hunter2"), "at": dt.date(2026, 1, 2), "path": Path("/x")}
    assert json.loads(logs._as_json(None, "", event)) == {name: str(value) for name, value in event.items()}


@pytest.mark.parametrize(
    ("level", "expected"),
    [
        ("debug", ["debug", "info", "warning", "error"]),
        ("info", ["info", "warning", "error"]),
        ("warning", ["warning", "error"]),
        ("error", ["error"]),
    ],
)
def test_the_level_holds_for_us_and_for_libraries(configured, level, expected):
    lines = configured(level, "json")
    for logger in (logs.get_logger(), logging.getLogger("some.library")):
        for name in ("debug", "info", "warning", "error"):
            getattr(logger, name)("x")
        assert [json.loads(line)["level"] for line in lines()] == expected


def test_noise_of_libraries_is_left_out(configured):
    lines = configured("debug", "json")
    logging.getLogger("mail.log").warning("one line for each command")
    logging.getLogger("asyncio").info("Using selector")
    logging.getLogger("aiohttp.access").info("GET /")
    assert lines() == []
    logging.getLogger("mail.error").error("something %s", "bad")
    (line,) = lines()
    assert json.loads(line).items() >= {"event": "something bad", "logger": "mail.error", "level": "error"}.items()


def test_warnings_are_logged(configured):
    code = (
        "import warnings; from relay.observe import logs; logs.configure('info', 'json');"
        "warnings.warn('old'); logs.get_logger().info('x')"
    )
    ran = subprocess.run([sys.executable, "-W", "default", "-c", code], capture_output=True, text=True, check=True)
    first, second = map(json.loads, ran.stderr.splitlines())
    assert "UserWarning: old" in first["event"]
    assert second["event"] == "x"
    assert ran.stdout == ""

"""Logs: one line an event, from us and from libraries, without secrets and without what a terminal obeys."""

import json
import logging
import subprocess
import sys

import pytest
import structlog

from relay.observe import logs


@pytest.fixture
def configured(capsys):
    """Configure logging for one test; `lines()` is what was written to stderr."""
    handlers, level = logging.root.handlers[:], logging.root.level
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


def test_values_under_a_secret_name_are_masked(configured):
    lines = configured("debug", "json")
    logs.get_logger().info("x", loop_values=["hunter2"], password="hunter2", Token="kept")
    (line,) = lines()
    assert "hunter2" not in line
    assert json.loads(line)["password"] == "***"


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

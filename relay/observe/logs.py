"""The one place where logging is set up: structlog for us, the same line for what libraries say through stdlib logging.

One event is one line on stderr. Values under a name of `_SECRETS` are never written.
"""

import atexit
import datetime as dt
import json
import logging
import sys
from collections.abc import Callable, Mapping, MutableMapping
from typing import Any, Final, TextIO, cast

import orjson
import structlog
from structlog.typing import Processor, WrappedLogger

from relay.observe.outlet import Outlet

_LEVELS: Final = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}
_QUIET: Final = {
    "aiohttp": logging.WARNING,
    "aiosmtpd": logging.ERROR,
    "alembic": logging.WARNING,
    "asyncio": logging.WARNING,
    "mail": logging.ERROR,
    "sqlalchemy": logging.WARNING,
}
"""Libraries that tell what we tell better; "mail" is aiosmtpd's, which logs every command of every session."""
_SECRETS: Final = frozenset(
    {"loop_value", "loop_values", "password", "secret", "token", "authorization", "private_key"}
)
_ORJSON: Final = orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_PASSTHROUGH_DATETIME
"""Leave to str() what json.dumps leaves to it: orjson would tell a dataclass's fields, those without repr too."""

LAST_MOMENT: Final = 2.0
"""Seconds that the end of the process waits for the log."""
_outlet: Outlet | None = None


def get_logger() -> Any:
    """A logger for a module: `log.info("event", key=value)`. Cheap to keep, configured on first use."""
    return structlog.get_logger()


def message(event: str, facts: dict[str, Any]) -> None:
    """Tell what became of a message: the line of `get_logger().info(event, **facts)` at a tenth of its cost.

    `facts` is the log's from now on, and must hold nothing secret.
    """
    _tell(event, facts)


def configure(level: str = "info", style: str = "json") -> None:
    """Write what is at least `level` (debug, info, warning, error) to stderr, as "json" or as "text"."""
    global _outlet, _tell  # noqa: PLW0603 - one process has one log
    _outlet = Outlet(sys.stderr)
    render: Processor = _as_text if style == "text" else _as_json
    common: list[Processor] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        _without_secrets,
    ]
    structlog.configure(
        processors=[*common, render],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        logger_factory=structlog.WriteLoggerFactory(file=cast(TextIO, _outlet)),
        cache_logger_on_first_use=True,
    )
    _tell = _teller(level, render, _outlet)
    _configure_stdlib(level, common, render, _outlet)
    atexit.register(flush)


def flush() -> None:
    """Wait until what was logged is written, for a moment at most."""
    if _outlet is not None:
        _outlet.drain(LAST_MOMENT)


def lost() -> int:
    """Lines that could not be written so far."""
    return 0 if _outlet is None else _outlet.lost


def _tell_unconfigured(event: str, facts: dict[str, Any]) -> None:
    get_logger().info(event, **facts)


_tell: Callable[[str, dict[str, Any]], None] = _tell_unconfigured


def _teller(level: str, render: Processor, outlet: Outlet) -> Callable[[str, dict[str, Any]], None]:
    """What `message` does, without the layers between a logger and its line."""

    def tell(event: str, facts: dict[str, Any]) -> None:
        facts["event"], facts["level"] = event, "info"
        facts["timestamp"] = dt.datetime.now(dt.UTC).isoformat().replace("+00:00", "Z")
        outlet.write(cast(str, render(None, "info", facts)) + "\n")

    def be_silent(event: str, facts: dict[str, Any]) -> None:
        pass

    return tell if _LEVELS[level] <= logging.INFO else be_silent


def _configure_stdlib(level: str, common: list[Processor], render: Processor, outlet: Outlet) -> None:
    handler = logging.StreamHandler(outlet)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *common],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, render],
        )
    )
    logging.basicConfig(level=_LEVELS[level], handlers=[handler], force=True)
    logging.captureWarnings(capture=True)
    for name, least in _QUIET.items():
        logging.getLogger(name).setLevel(max(least, _LEVELS[level]))


def _without_secrets(_: WrappedLogger, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    for name in _SECRETS & event.keys():
        event[name] = "***"
    return event


def _as_json(_: WrappedLogger, __: str, event: Mapping[str, Any]) -> str:
    """One line of printable ASCII. orjson is ten times as quick as json, but escapes neither DEL nor what is above."""
    try:
        line = orjson.dumps(event, str, _ORJSON).decode()
    except TypeError:  # a lone surrogate, an integer over 64 bits, a name that is no text
        line = ""
    quick = line and line.isascii() and "\x7f" not in line
    return line if quick else json.dumps(event, default=str, separators=(",", ":"))


def _as_text(_: WrappedLogger, __: str, event: MutableMapping[str, Any]) -> str:
    head = f"{event.pop('timestamp')} {event.pop('level'):<7} {_shown(event.pop('event'))}"
    trace = event.pop("exception", None)
    line = " ".join([head, *(f"{name}={_shown(value)}" for name, value in event.items())])
    return "\n".join([line, *map(_shown, trace.splitlines())]) if trace else line


def _shown(value: object) -> str:
    """`value` on one line, and without anything that a terminal would obey."""
    text = str(value)
    return text if text.isprintable() else ascii(text)

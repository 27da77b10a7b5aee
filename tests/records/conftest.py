import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog

from relay.records import writer as writing
from relay.records.store import Store


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'sluice.db'}"


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    made = Store(url, busy=0.05)
    made.migrate()
    yield made
    made.close()


class Told:
    """What was logged, by any thread."""

    def __init__(self) -> None:
        self.lines: list[dict[str, Any]] = []
        self._changed = threading.Condition()

    def __call__(self, _logger: Any, level: str, line: dict[str, Any]) -> Any:
        with self._changed:
            self.lines.append({**line, "log_level": level})
            self._changed.notify_all()
        raise structlog.DropEvent

    def of(self, event: str) -> list[dict[str, Any]]:
        return [line for line in self.lines if line["event"] == event]

    def wait(self, event: str, count: int = 1) -> list[dict[str, Any]]:
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.of(event)) >= count, 20), self.lines
        return self.of(event)


@pytest.fixture
def told() -> Iterator[Told]:
    made = Told()
    before = structlog.get_config()
    structlog.configure(processors=[made])
    yield made
    structlog.configure(**before)


@pytest.fixture
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make a writer's pauses short."""
    monkeypatch.setattr(writing, "FIRST_PAUSE", 0.01)
    monkeypatch.setattr(writing, "LONGEST_PAUSE", 0.02)
    monkeypatch.setattr(writing, "GROUP_SECONDS", 0.005)

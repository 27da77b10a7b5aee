import asyncio
import os

import pytest
from pydantic import TypeAdapter, ValidationError

from verdicts.pretend import PretendClock
from verdicts.watched import Watched, WatchedFile


class Reading:
    """Reads a file's text when it is let, and counts."""

    def __init__(self):
        self.go = asyncio.Event()
        self.go.set()
        self.times = 0

    async def __call__(self, path):
        self.times += 1
        await self.go.wait()
        text = path.read_text()
        if text == "bad":
            raise ValueError("line 1 is bad")
        return text


@pytest.fixture
async def watched(tmp_path):
    file = tmp_path / "list"
    file.write_text("one")
    made = Watched(file, Reading(), PretendClock())
    yield made
    await made.close()


def change(watched, text):
    watched.path.write_text(text)
    os.utime(watched.path, ns=(len(text), len(text)))
    watched._clock.now += 5


async def test_it_is_read_once_whoever_asks(watched):
    assert await asyncio.gather(watched.said(), watched.said()) == ["one", "one"]
    watched._clock.now += 5
    assert await watched.said() == "one"
    assert watched._read.times == 1


async def test_a_mistake_changes_nothing_and_is_told_once(watched, caplog):
    await watched.said()
    change(watched, "bad")
    assert await watched.said() == "one"
    watched._clock.now += 5
    assert await watched.said() == "one"
    assert caplog.text.count("line 1 is bad") == 1
    assert watched._read.times == 2
    change(watched, "three")
    assert await watched.said() == "three"
    watched.path.unlink()
    for _ in range(2):
        watched._clock.now += 5
        assert await watched.said() == "three"
    assert caplog.text.count("No such file") == 1


async def test_what_never_was_good_is_an_error_until_it_is(watched):
    change(watched, "bad")
    with pytest.raises(ValueError, match="line 1 is bad"):
        await watched.said()
    watched.path.write_text("one")
    assert await watched.said() == "one"


async def test_who_is_cancelled_does_not_stop_the_reading(watched):
    await watched.said()
    change(watched, "other")
    watched._read.go.clear()
    asking = asyncio.create_task(watched.said())
    while watched._read.times < 2:
        await asyncio.sleep(0)
    asking.cancel()
    await asyncio.wait([asking])
    watched._read.go.set()
    assert await watched.said() == "other"


async def test_a_long_reading_holds_nobody_up(watched, monkeypatch):
    await watched.said()
    monkeypatch.setattr("verdicts.watched._PATIENCE_SECONDS", 0.0)
    change(watched, "other")
    watched._read.go.clear()
    assert await watched.said() == "one"


@pytest.mark.parametrize(("path", "mistake"), [("list", "must be an absolute path"), ("/no/list", "cannot be read")])
def test_paths_that_are_mistakes(path, mistake):
    with pytest.raises(ValidationError, match=mistake):
        TypeAdapter(WatchedFile).validate_python(path)

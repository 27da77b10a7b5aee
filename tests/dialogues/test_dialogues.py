"""Every transcript beside this file is one test. Relays are shared by all transcripts that want the same one."""

import tomllib
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest
from dialogues.hop import MismatchError, ScriptedHop
from dialogues.player import Player
from dialogues.transcript import read
from doubles.answering_rspamd import AnsweringRspamd
from doubles.relay import Relay, as_toml, merged

HERE = Path(__file__).parent
FILES = sorted(HERE.glob("*.txt"))
TENANTS = (HERE / "tenants.toml").read_text()
BASE = tomllib.loads((HERE / "sluice.toml").read_text())


class Relays:
    """Starts relays on demand, one for each configuration, each with a next hop of its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._numbers = count()
        self._running: dict[str, tuple[Relay, ScriptedHop]] = {}
        self.rspamd = AnsweringRspamd()

    def get(self, config: str, tenants: str) -> tuple[Relay, ScriptedHop]:
        """The relay with this configuration; one that was told to stop is replaced."""
        key = config + "\n" + tenants
        if key in self._running and not self._running[key][0].running:
            self._end(key)
        if key not in self._running:
            hop = ScriptedHop()
            config = as_toml(merged(BASE, tomllib.loads(config.replace("{rspamd}", self.rspamd.url))))
            folder = self._folder / str(next(self._numbers))
            relay = Relay(folder, hop=hop.address, config=config, tenants=tenants)
            self._running[key] = (relay, hop)
            try:
                relay.__enter__()
            except BaseException:
                self._end(key)
                raise
        return self._running[key]

    def _end(self, key: str) -> None:
        relay, hop = self._running.pop(key)
        relay.stop()
        hop.close()

    def close(self) -> None:
        """End them all."""
        for key in list(self._running):
            self._end(key)
        self.rspamd.close()


@pytest.fixture(scope="module")
def relays(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Relays]:
    running = Relays(tmp_path_factory.mktemp("dialogues"))
    yield running
    running.close()


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_dialogue(file: Path, relays: Relays) -> None:
    transcript = read(file)
    stored = "tenant = []\n" if transcript.head.get("tenants") == ["-"] else TENANTS
    tenants = stored + "\n".join(transcript.head.get("tenant", []))
    relay, hop = relays.get(transcript.config, tenants)
    start = len(relay.log)
    try:
        Player(relay, hop, transcript).play()
    except MismatchError as error:
        error.add_note("The relay's log:\n" + "\n".join(relay.log[start:][-20:]))
        raise

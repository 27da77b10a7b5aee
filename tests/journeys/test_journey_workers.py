"""Several workers under a supervisor that dies."""

import os
import signal
from pathlib import Path

from doubles.background import running
from doubles.client import Client
from doubles.relay import Relay, letter, wait_until


def test_the_supervisor_is_killed_and_the_transactions_finish(tmp_path: Path) -> None:
    """No worker outlives its supervisor for long, and none drops what is on its way."""
    with running() as hop, Relay(tmp_path, hop=hop.address, config="smtp.workers = 2") as relay:
        with Client(relay.smtp_port) as client, Client(relay.smtp_port) as idle:
            for one in (client, idle):
                one.hello()
            assert {answer.code for answer in client.envelope("ann@sender.example", ["bob@acme.example"])} == {250}
            assert client.ask("DATA").code == 354
            os.kill(relay.pid, signal.SIGKILL)
            assert idle.reply().code == 421
            client.send(letter() + b".\r\n")
            assert client.reply().code == 250
            assert client.reply().code == 421
        assert relay.wait() == -signal.SIGKILL
        assert len(relay.events("stopped")) == 2
        assert len(hop.bodies) == 1
        assert [record["outcome"] for record in relay.scans()] == ["delivered"]
        relay.start()
        wait_until(lambda: len(relay.workers) == 2)

"""What is sent, and how one round of it is measured."""

import json
import re
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from mails import KIB, MIB
from processes import cpu_seconds, on, tool

HERE = Path(__file__).resolve().parent
SETTLE = 0.3
"""Seconds after the last reply in which records and logs are still written; their CPU time counts."""


@dataclass(frozen=True)
class Scenario:
    bytes: int
    sessions: int
    fewest: int
    """Messages of the round that warms up; the others are as many as fit the wanted seconds."""
    reuse: bool = False
    timed: bool = False
    """Latencies are wanted: measured with load.py, into sink.py."""
    beside: bool = False
    """While 10 MiB mails run beside."""


SCENARIOS = {
    "4k-1": Scenario(4 * KIB, 1, 200),
    "4k-10": Scenario(4 * KIB, 10, 400),
    "4k-50": Scenario(4 * KIB, 50, 400),
    "4k-200": Scenario(4 * KIB, 200, 600),
    "4k-10r": Scenario(4 * KIB, 10, 400, reuse=True),
    "64k-20": Scenario(64 * KIB, 20, 100),
    "1m-10": Scenario(MIB, 10, 20),
    "10m-4": Scenario(10 * MIB, 4, 8),
    "30m-2": Scenario(30 * MIB, 2, 4),
    "lat-4k-1": Scenario(4 * KIB, 1, 100, timed=True),
    "lat-64k-1": Scenario(64 * KIB, 1, 40, timed=True),
    "lat-10m-1": Scenario(10 * MIB, 1, 3, timed=True),
    "mix-4k-2": Scenario(4 * KIB, 2, 20, timed=True, beside=True),
}


class Relay(NamedTuple):
    """One that runs. `servers`: ids of the processes that it asks; their CPU time is told apart."""

    name: str
    process: subprocess.Popen
    port: int
    log: Path
    servers: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Rig:
    """What all rounds have in common. `tls`: the folder of the certificate, or None."""

    folder: Path
    sink: int
    tls: Path | None
    cores: str | None
    """Where generator and sink run."""

    def run(self, relay, scenario, messages):
        """One round: messages a second, CPU milliseconds a message of all processes, of the busiest one and of the
        servers behind, and for what is `timed` the generator's latencies in milliseconds. Exits when the relay refuses
        a message.
        """
        taken, before, behind = self._taken(), cpu_seconds(relay.process.pid), cpu_seconds(*relay.servers)
        start = time.perf_counter()
        timed = scenario.timed or self.tls
        said = (self._load if timed else self._source)(relay, scenario, messages)
        if self.tls:  # one that queues has accepted before it delivers
            while self._taken() < taken + messages:
                time.sleep(0.002)
        seconds = time.perf_counter() - start
        time.sleep(SETTLE)
        after = cpu_seconds(relay.process.pid)
        used = [after[pid] - before.get(pid, 0.0) for pid in after]
        sent = said.get("sent", messages)
        return {
            "rate": sent / (said["seconds"] if scenario.timed else seconds),
            "cpu": sum(used) * 1000 / sent,
            "busiest": max(used) * 1000 / sent,
            "servers": (sum(cpu_seconds(*relay.servers).values()) - sum(behind.values())) * 1000 / sent,
            "p50": said.get("p50"),
            "p99": said.get("p99"),
        }

    def _taken(self):
        if not self.tls:
            return 0
        with socket.create_connection(("127.0.0.1", self.sink)) as sock:
            sock.recv(100)
            sock.sendall(b"COUNT\r\n")
            return int(sock.recv(100).split()[1])

    def _source(self, relay, scenario, messages):
        command = [*on(self.cores), *source(self.folder, scenario, messages, relay.port)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode or re.search(r"fatal|warning|refused", done.stderr):
            sys.exit(f"bench: smtp-source failed: {done.stderr}")
        return {}

    def _load(self, relay, scenario, messages):
        command = [*on(self.cores), *load(self.folder, scenario, messages, relay.port, self.tls)]
        beside = None
        if scenario.beside:
            stream = source(self.folder, Scenario(10 * MIB, 2, 2), 100_000, relay.port)
            beside = subprocess.Popen([*on(self.cores), *stream], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            time.sleep(0.5)
        try:
            done = subprocess.run(command, capture_output=True, text=True)
        finally:
            if beside:
                beside.terminate()
                beside.wait()
        if done.returncode:
            time.sleep(SETTLE)
            log = "".join(relay.log.read_text().splitlines(keepends=True)[-3:])
            sys.exit(f"bench: {relay.name} refused a mail: {done.stdout}{done.stderr}{log}")
        return json.loads(done.stdout)


def source(folder, scenario, messages, port):
    """smtp-source's command; the letters lie in `folder`."""
    return [
        tool("smtp-source"), "-4", "-s", str(min(scenario.sessions, messages)), "-m", str(messages),
        *(["-d"] if scenario.reuse else []), "-F", str(folder / f"letter-{scenario.bytes}"),
        "-M", "client.example.com", "-f", "sender@example.com", "-t", "rcpt@acme.example", f"127.0.0.1:{port}",
    ]  # fmt: skip


def load(folder, scenario, messages, port, tls=None):
    """load.py's command."""
    return [
        sys.executable, str(HERE / "load.py"), str(port), "--letter", str(folder / f"letter-{scenario.bytes}"),
        "--sessions", str(scenario.sessions), "--messages", str(messages),
        *(["--reuse"] if scenario.reuse else []), *(["--tls", str(tls)] if tls else []),
    ]  # fmt: skip

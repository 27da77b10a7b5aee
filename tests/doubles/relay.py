"""The whole relay as a test's subject: `sluice serve` as a process of its own, seen only from outside."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import tomllib
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self

from doubles.certificates import Authority
from typer.testing import CliRunner

from relay.cli.app import app

SLUICE = os.environ.get("SLUICE_COMMAND") or str(Path(sys.executable).with_name("sluice"))
LOOP = "k7Jq2mV9xT4bR8nL5wZ3cY6h"
NODE = "mx1.relay.example"
_SAMPLE = re.compile(r"^([a-z_]+(?:\{[^}]*\})?) (\S+)$", re.MULTILINE)

TENANTS = f"""
[[tenant]]
name = "acme"
loop_values = ["{LOOP}"]
[[tenant.domain]]
name = "acme.example"
next_hop = "{{hop}}"
verified = true
"""


def letter(subject: str = "hello", body: bytes = b"Hello.\r\n", *, extra: str = "", loop: str = LOOP) -> bytes:
    """A small message as Exchange would hand it over, with the tenant's loop value."""
    head = (
        f"X-PERCEPTION-POINT-CUSTOM: {loop}\r\n{extra}From: <ann@sender.example>\r\nTo: <bob@acme.example>\r\n"
        f"Subject: {subject}\r\nMessage-ID: <{subject}@sender.example>\r\n\r\n"
    )
    return head.encode() + body


def merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with `over` laid on top, table by table; "key = {}" takes a value away."""
    result = dict(base)
    for key, value in over.items():
        old = result.get(key)
        if value == {} and old is not None and not isinstance(old, dict):
            del result[key]
        else:
            result[key] = merged(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return result


def as_toml(tables: Mapping[str, Any], path: str = "") -> str:
    """`tables` as TOML: plain values first, then the tables below. JSON's values are TOML's."""
    plain = [f"{key} = {json.dumps(value)}\n" for key, value in tables.items() if not isinstance(value, dict)]
    below = [
        as_toml(value, f"{path}.{key}" if path else key) for key, value in tables.items() if isinstance(value, dict)
    ]
    return (f"[{path}]\n" if path else "") + "".join(plain) + "".join(below)


def wait_until(true: Callable[[], Any], seconds: float = 15.0, what: str = "") -> Any:
    """The first true value of `true()`. Raises AssertionError when there is none in time."""
    end = time.monotonic() + seconds
    while not (value := true()):
        if time.monotonic() > end:
            raise AssertionError(f"waited {seconds} s in vain: {what or true}")
        time.sleep(0.02)
    return value


class Relay:
    """A running relay. `config` is TOML laid over the base; `tenants` is a tenant file in which {hop} is replaced."""

    def __init__(
        self,
        folder: Path,
        *,
        hop: str = "127.0.0.1:1",
        config: str = "",
        tenants: str = TENANTS,
        preexec: Callable[[], None] | None = None,
    ) -> None:
        self.folder = folder
        self.state = folder / "state"
        self.config_file = folder / "sluice.toml"
        self.tenant_file = folder / "tenants.toml"
        self.log: list[str] = []
        self._hop, self._config, self._tenants = hop, config, tenants
        self._preexec = preexec
        self._process: subprocess.Popen[bytes] | None = None
        self._reader: threading.Thread | None = None
        self._listening: list[dict[str, Any]] = []

    def __enter__(self) -> Self:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.state.mkdir(exist_ok=True)
        self.authority = Authority(self.folder)
        self.authority.issue(NODE, "tls")
        self.configure(self._config)
        self.apply(self._tenants)
        try:
            self.start()
        except BaseException as error:
            self.stop()
            raise AssertionError("the relay did not start:\n" + "\n".join(self.log[-30:])) from error
        return self

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        self.stop()
        if error is not None:
            error.add_note("The relay's log:\n" + "\n".join(self.log[-20:]))

    # Configuration

    def base(self) -> dict[str, Any]:
        """What every relay in a test is told."""
        return {
            "node": {"name": NODE, "state": str(self.state), "drain": 5.0},
            "smtp": {
                "listen": ["127.0.0.1:0"], "require_tls": False, "certificate": "tls.crt", "private_key": "tls.key",
                "max_message_bytes": 48_000_000,
            },
            "admission": {"microsoft": False, "networks": ["127.0.0.0/8"]},
            "delivery": {"tls": "off"},
            "http": {"listen": "127.0.0.1:0"},
        }  # fmt: skip

    def configure(self, config: str) -> None:
        """Write the configuration file anew."""
        self._config = config
        self.config_file.write_text(as_toml(merged(self.base(), tomllib.loads(config))))

    def apply(self, tenants: str) -> None:
        """`sluice tenant apply`. Raises AssertionError with what it said."""
        self.tenant_file.write_text(tenants.replace("{hop}", self._hop))
        self.cli("tenant", "apply", str(self.tenant_file))

    # The process

    def start(self) -> None:
        """Start it and wait until it says that it is ready."""
        self._listening.clear()
        self._process = subprocess.Popen(
            [SLUICE, "serve", "--config", str(self.config_file)],
            cwd=self.folder, preexec_fn=self._preexec,  # noqa: PLW1509
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True,
        )  # fmt: skip
        self._reader = threading.Thread(target=self._read, args=(self._process.stderr,))
        self._reader.start()
        process = self._process
        wait_until(lambda: process.poll() is not None or (self._listening and self.ready()), 30, "the relay is ready")
        assert self.running, "the relay ended"

    def _read(self, pipe: Any) -> None:
        for raw in pipe:
            line = raw.decode("utf-8", "replace").rstrip("\n")
            self.log.append(line)
            if '"listening"' in line:
                with contextlib.suppress(ValueError):
                    self._listening.append(json.loads(line))

    @property
    def pid(self) -> int:
        """The process that `serve` started: with several workers, their supervisor."""
        assert self._process is not None
        return self._process.pid

    @property
    def workers(self) -> list[int]:
        """The processes that the main process has started."""
        return [int(pid) for pid in Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()]

    @property
    def smtp_port(self) -> int:
        """The port that mail comes in at."""
        return int(self._listening[-1]["smtp"][0].rpartition(":")[2])

    @property
    def http_port(self) -> int:
        """The port of metrics and health."""
        return int(self._listening[-1]["http"].rpartition(":")[2])

    @property
    def running(self) -> bool:
        """Whether the process lives."""
        return self._process is not None and self._process.poll() is None

    def signal(self, number: int) -> None:
        """Send a signal to the main process."""
        os.kill(self.pid, number)

    def wait(self, timeout: float = 30.0) -> int:
        """Wait for its end; its exit status. Raises subprocess.TimeoutExpired."""
        assert self._process is not None
        status = self._process.wait(timeout)
        self._forget()
        return status

    def kill9(self) -> None:
        """End it with all its workers, at once, by SIGKILL."""
        assert self._process is not None
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._forget()

    def kill9_main(self) -> None:
        """End the main process alone by SIGKILL, and wait until its workers are gone too."""
        self.signal(signal.SIGKILL)
        self.wait()

    def stop(self) -> None:
        """End it, by SIGTERM first."""
        if self._process is None:
            return
        if self._process.poll() is None:
            self.signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(15)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._forget()

    def _forget(self) -> None:
        if self._process is not None and self._reader is not None:
            self._reader.join(10)
            assert self._process.stderr is not None
            self._process.stderr.close()
            self._reader = None

    # What it tells

    def ready(self) -> bool:
        """Whether /readyz says so."""
        return self.http("/readyz")[0] == 200

    def http(self, path: str) -> tuple[int, str]:
        """Status and body of a GET; status 0 when there is no answer."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.http_port}{path}", timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()
        except OSError:
            return 0, ""

    def metrics(self) -> dict[str, float]:
        """Every sample of /metrics, by name and labels as they are written."""
        return {name: float(value) for name, value in _SAMPLE.findall(self.http("/metrics")[1])}

    def metric(self, name: str, **labels: str) -> float:
        """One sample; 0 when it is not there."""
        inner = ",".join(f'{key}="{value}"' for key, value in labels.items())
        return self.metrics().get(f"{name}{{{inner}}}" if inner else name, 0.0)

    def events(self, name: str) -> list[dict[str, Any]]:
        """The log lines of one event."""
        found = []
        for line in list(self.log):
            with contextlib.suppress(ValueError):
                found.append(json.loads(line))
        return [line for line in found if isinstance(line, dict) and line.get("event") == name]

    def cli(self, *arguments: str, ok: bool = True) -> str:
        """What `sluice ...` prints, asked for inside this process: an interpreter for each would take a second.

        Raises AssertionError when it fails and `ok` is asked for, or the other way round.
        """
        result = CliRunner().invoke(app, [*arguments, "--config", str(self.config_file)])
        assert (result.exit_code == 0) is ok, f"sluice {arguments}: {result.output} {result.exception!r}"
        return result.stdout

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """`sluice ...` as a process of its own."""
        command = [SLUICE, *arguments, "--config", str(self.config_file)]
        return subprocess.run(command, cwd=self.folder, capture_output=True, text=True, timeout=60)

    def scans(self, limit: int = 10_000) -> list[dict[str, Any]]:
        """`sluice scans list`, newest first."""
        return json.loads(self.cli("scans", "list", "--limit", str(limit), "--json"))

    def quarantine(self, limit: int = 10_000) -> list[dict[str, Any]]:
        """`sluice quarantine list`, newest first."""
        return json.loads(self.cli("quarantine", "list", "--limit", str(limit), "--json"))

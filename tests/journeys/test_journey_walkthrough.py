"""deploy/microsoft365/README.md, walked from end to end: every command, a real name server, and the mail."""

import json
import re
import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from doubles.background import Background, running
from doubles.client import deliver
from doubles.nexthop import NextHop
from doubles.real_named import real_named, txt
from doubles.relay import Relay, letter, wait_until
from house.documents import ROOT
from typer.testing import CliRunner, Result

from relay.cli.app import app

README = ROOT / "deploy/microsoft365/README.md"
HOST = "acme-example.mail.protection.outlook.com"
MAIL_SERVERS = f"@ IN MX 0 {HOST}.\n"
SCRIPT = ("-WhatIf", "", "-Rotate", "-Remove")
"""How the page calls the script: what runs it has tests of its own."""


def blocks(kind: str) -> list[str]:
    return re.findall(rf"```{kind}\n(.*?)```", README.read_text(), re.DOTALL)


def shell_lines() -> list[str]:
    """Every command of the page in its order, those within sentences too."""
    text = README.read_text()
    found = re.findall(r"```sh\n(.*?)```|`(sluice [^`\n]+ [^`\n]+)`", text, re.DOTALL)
    return [line for block, inline in found for line in (block or inline).splitlines()]


@dataclass
class Walk:
    """Somebody who types what the page says."""

    relay: Relay
    folder: Path
    names: Callable[[str], str]
    """Starts a name server with these lines in the domain's zone; its address."""
    hop: str
    outputs: dict[str, str] = field(default_factory=dict)

    def configure(self, zone: str) -> None:
        """The page's own tables, and the name server in the place of the Internet's."""
        server = self.names(zone)
        more = f'dns.servers = ["{server}"]\nonboarding.name_servers = ["{server}"]\n'
        self.relay.configure(more + "".join(blocks("toml")))

    def types(self, line: str) -> str:
        command, _, file = line.partition(" > ")
        result = self._run(shlex.split(command.replace("--next-hop HOST", f"--next-hop {self.hop}"))[1:])
        doctor = command.startswith("sluice doctor")  # finds that this machine is none of the page's nodes
        assert result.exit_code in ((0, 1) if doctor else (0,)), f"{line}: {result.output} {result.exception!r}"
        if file:
            (self.folder / file).write_text(result.stdout)
        self.outputs[line] = result.stdout
        return result.stdout

    def _run(self, words: list[str]) -> Result:
        return CliRunner().invoke(app, words, env={"SLUICE_CONFIG": str(self.relay.config_file)})


@pytest.fixture
def hop() -> Iterator[Background]:
    with running(NextHop()) as background:
        yield background


@pytest.fixture
def walk(tmp_path: Path, hop: Background, request: pytest.FixtureRequest) -> Iterator[Walk]:
    def names(zone: str) -> str:
        folder = tmp_path / f"names{len(list(tmp_path.glob('names*')))}"
        folder.mkdir()
        context = real_named(folder, {"acme.example": zone, "outlook.com": f"{HOST}. IN A 40.107.0.1\n"})
        address = context.__enter__()
        request.addfinalizer(lambda: context.__exit__(None, None, None))
        return address

    with Relay(tmp_path / "relay", tenants="tenant = []\n") as relay:
        yield Walk(relay, tmp_path, names, hop.address)


def test_every_command_of_the_page(walk: Walk) -> None:
    walk.configure(MAIL_SERVERS)
    walk.relay.stop()
    for line in shell_lines():
        if line.startswith("sluice domain verify"):
            publish(walk)
        if line.startswith("sluice doctor"):
            walk.types("sluice domain set acme acme.example --next-hop HOST")
            walk.relay.start()
            mail_flows(walk)
        walk.types(line)
    told = walk.outputs
    assert HOST in told["sluice domain find-smtp acme.example"]
    assert "verified" in told["sluice domain verify acme acme.example"]
    assert json.loads(walk.relay.cli("tenant", "list", "--json")) == []
    assert deliver(walk.relay.smtp_port, letter(), ["bob@acme.example"]).code in (451, 550)


def publish(walk: Walk) -> None:
    """What the reader does at their DNS provider: the record that `domain add` told."""
    told = walk.outputs["sluice domain add acme acme.example"]
    name, value = (re.search(rf"^  {key} +(\S+)$", told, re.MULTILINE)[1] for key in ("name", "value"))
    assert name == "_sluice.acme.example"
    walk.configure(MAIL_SERVERS + txt("_sluice", value))


def mail_flows(walk: Walk) -> None:
    """With the value that the script gives Exchange Online mail is handed over, and its record calls it proved."""
    script = (walk.folder / "acme.ps1").read_text()
    value = re.search(r"\b[A-Za-z0-9]{32}\b", script)[0]
    said = wait_until(lambda: deliver(walk.relay.smtp_port, letter(loop=value), ["bob@acme.example"]))
    assert said.code == 250
    wait_until(walk.relay.scans)
    assert walk.relay.scans()[0]["proof"] == "ok"
    assert deliver(walk.relay.smtp_port, letter(loop="a stranger's guess"), ["bob@acme.example"]).code == 550


def test_the_page_calls_the_script_as_it_can_be_called() -> None:
    lines = [line for block in blocks("powershell") for line in block.splitlines()]
    assert {line.removeprefix("./acme.ps1").strip() for line in lines} == set(SCRIPT)

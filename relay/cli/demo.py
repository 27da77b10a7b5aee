"""`sluice demo`: a pretend Microsoft 365 sends five messages, and a table tells their fate.

Everything but Microsoft is real: the relay runs as `sluice serve` with the embedded default (SQLite, a folder, the
testpatterns engine), and mail goes in and out by SMTP.
"""

import asyncio
import json
import signal
import smtplib
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

from rich.console import Console
from rich.table import Table

from relay.cli.mailbox import Mailbox

SLUICE = (sys.executable, "-m", "relay.cli")
LOOP_VALUE = "demo-k7Jq2mV9xT4bR8nL5wZ3cY6h"
GTUBE = "XJS*C4JDBQADN1.NSBN3*2IDNEN*" + "GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X"
EICAR = "X5O!P%@AP[4\\PZX54(P^)7CC)7}$" + "EICAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"

CONFIG = """\
[node]
name = "mx1.relay.example"
state = "{folder}/state"
[smtp]
listen = ["127.0.0.1:0"]
require_tls = false
[admission]
refresh = false
networks = ["127.0.0.1/32"]
[delivery]
tls = "off"
[http]
listen = "127.0.0.1:0"
"""

TENANTS = """\
[[tenant]]
name = "acme"
loop_values = ["{loop_value}"]
[[tenant.domain]]
name = "acme.example"
next_hop = "127.0.0.1:{port}"
verified = true
"""


def letter(subject: str, text: str) -> bytes:
    """A message as Exchange Online hands it to us."""
    return (
        f"Received: from mail.sender.example (192.0.2.7) by inbound.protection.example; {time.ctime()}\r\n"
        "X-Forefront-Antispam-Report: CIP:192.0.2.7;CTRY:DE;SCL:1;SFV:NSPM;H:mail.sender.example;DIR:INB;\r\n"
        f"X-PERCEPTION-POINT-CUSTOM: {LOOP_VALUE}\r\n"
        "From: Sender <sender@sender.example>\r\nTo: Alice <alice@acme.example>\r\n"
        f"Subject: {subject}\r\nMessage-ID: <{time.time_ns()}@sender.example>\r\n\r\n{text}\r\n"
    ).encode()


@dataclass
class Case:
    """One message of the demo: what is sent and what must come of it."""

    name: str
    data: Callable[[Mailbox], bytes]
    code: int
    fate: Callable[[list[bytes]], bool]
    told: str
    source: str = "127.0.0.1"


CASES = [
    Case("clean", lambda _: letter("Figures", "As discussed."), 250, bool, "delivered"),
    Case(
        "spam", lambda _: letter("Cheap", GTUBE), 250,
        lambda got: b"X-PERCEPTION-POINT-SPAM: FAIL" in got[0], "delivered, marked as spam",
    ),
    Case("malicious", lambda _: letter("Invoice", EICAR), 250, lambda got: not got, "withheld, in quarantine"),
    Case(
        "from a stranger", lambda _: letter("Hello", "I am not Microsoft."), 554,
        lambda got: not got, "refused", "127.0.0.2",
    ),
    Case("loop", lambda mailbox: mailbox.messages[0], 554, lambda got: not got, "refused"),
]  # fmt: skip


def run(keep: bool) -> int:
    """Show it; 0 when everything came out as it must. With `keep` the relay goes on until Ctrl-C."""
    with tempfile.TemporaryDirectory(prefix="sluice-demo-") as folder:
        return asyncio.run(_demo(Path(folder), keep))


async def _demo(folder: Path, keep: bool) -> int:
    async with Mailbox() as mailbox:
        config = await asyncio.to_thread(_write, folder, mailbox.port)
        relay = await asyncio.to_thread(_start, config, folder / "relay.log")
        try:
            smtp, http = await asyncio.to_thread(_addresses, folder / "relay.log", relay)
            right = await _show(smtp, mailbox)
            if keep:
                await _stay(config, smtp, http)
        finally:
            relay.send_signal(signal.SIGTERM)
            await asyncio.to_thread(relay.wait)
    return 0 if right else 1


def _write(folder: Path, port: int) -> Path:
    config, tenants = folder / "sluice.toml", folder / "tenants.toml"
    config.write_text(CONFIG.format(folder=folder))
    tenants.write_text(TENANTS.format(loop_value=LOOP_VALUE, port=port))
    subprocess.run([*SLUICE, "tenant", "apply", tenants, "--config", config], check=True, stdout=subprocess.DEVNULL)  # noqa: S603 - our own words
    return config


def _start(config: Path, log: Path) -> subprocess.Popen[bytes]:
    with log.open("wb") as file:
        return subprocess.Popen([*SLUICE, "serve", "--config", config], stderr=file, stdout=file)  # noqa: S603 - our own words


def _addresses(log: Path, relay: subprocess.Popen[bytes]) -> tuple[tuple[str, int], str]:
    """Where the relay listens, as its log tells, once it is ready. Raises RuntimeError when it does not start."""
    for _ in range(300):
        told = [json.loads(line) for line in log.read_bytes().splitlines() if b'"listening"' in line]
        if told and _ready(told[0]["http"]):
            host, _, port = told[0]["smtp"][0].rpartition(":")
            return (host, int(port)), told[0]["http"]
        if relay.poll() is not None:
            break
        time.sleep(0.1)
    raise RuntimeError(f"Sluice did not start:\n{log.read_text()}")


def _ready(http: str) -> bool:
    try:
        with urllib.request.urlopen(f"http://{http}/readyz", timeout=2) as reply:
            return bool(reply.status == HTTPStatus.OK)
    except OSError:
        return False


async def _show(smtp: tuple[str, int], mailbox: Mailbox) -> bool:
    table = Table("message", "reply to Microsoft", "what came of it", "", title="Five messages through Sluice")
    everything = True
    for case in CASES:
        data, before = case.data(mailbox), len(mailbox.messages)
        code, text = await asyncio.to_thread(_send, smtp, case.source, data)
        right = code == case.code and case.fate(mailbox.messages[before:])
        table.add_row(case.name, f"{code} {text}", case.told if right else "NOT as it must be", "ok" if right else "!!")
        everything = everything and right
    Console().print(table)
    return everything


def _send(smtp: tuple[str, int], source: str, data: bytes) -> tuple[int, str]:
    """Send one message from the address `source`; the last reply heard."""
    try:
        with smtplib.SMTP(*smtp, local_hostname="mail.microsoft.example", source_address=(source, 0)) as client:
            client.ehlo()
            client.mail("sender@sender.example")
            client.rcpt("alice@acme.example")
            code, text = client.data(data)
    except smtplib.SMTPResponseException as error:
        code, text = error.smtp_code, error.smtp_error if isinstance(error.smtp_error, bytes) else b""
    return code, text.decode()


async def _stay(config: Path, smtp: tuple[str, int], http: str) -> None:
    console = Console(soft_wrap=True, highlight=False)
    console.print(f"Sluice runs. Send mail for alice@acme.example to {smtp[0]}:{smtp[1]}, with the header field")
    console.print(f"  X-PERCEPTION-POINT-CUSTOM: {LOOP_VALUE}")
    console.print(f"Metrics: http://{http}/metrics   Health: http://{http}/readyz")
    console.print(f"What it saw: {sys.argv[0]} scans list --config {config}")
    console.print("Ctrl-C ends it.")
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await stop.wait()
